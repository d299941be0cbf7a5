"""What ends a connection: a refusal whose meaning is published, at once; any other one, when it is so tomorrow."""

from typing import Any

import pytest

EXPIRED_S = 10
STILL_VALID_S = 200
UNLISTED = 999123


@pytest.fixture
async def expired(house: Any) -> Any:
    """Anna is connected and every question is one to Microsoft: no token lasts, and no refusal is kept."""
    house.service.settings.refusal_kept_s = 0
    house.short_tokens(EXPIRED_S)
    await house.connect()
    return house


async def refuse(house: Any, number: int, **more: Any) -> None:
    """Microsoft refuses every refresh from now on."""
    await house.microsoft.client.fault("token_error", number=number, match={"grant": "refresh_token"}, **more)


async def ask(house: Any, times: int = 1) -> set[tuple[int, str]]:
    answers = [await house.token() for _ in range(times)]
    return {(answer.status_code, answer.json().get("code", "")) for answer in answers}


async def a_day_later(house: Any) -> None:
    await house.sql("UPDATE connection SET doubted_since = doubted_since - interval '1 day'")


async def doubted(house: Any) -> bool:
    (row,) = await house.rows("connection")
    return row["doubted_since"] is not None


BUSY = {(503, "microsoft_busy")}
MISCONFIGURED = {(503, "prospo_misconfigured")}
RECONNECT = {(409, "account_not_connected")}


async def test_an_unlisted_refusal_ends_nothing_on_one_day(expired: Any) -> None:
    await refuse(expired, UNLISTED, times=3)
    assert await ask(expired, 3) == BUSY
    expired.service.settings.refusal_kept_s = 60
    assert await ask(expired, 9) == BUSY
    assert expired.microsoft.door.refreshes == 3, "Microsoft is left alone for a minute"
    expired.service.settings.refusal_kept_s = 0
    assert (await expired.connection())["status"] == "connected"
    assert await expired.published("user.connection_expired") == []
    assert await ask(expired) == {(200, "")}, "and nothing was lost"


async def test_the_same_on_the_next_day_ends_it_once(expired: Any) -> None:
    await refuse(expired, UNLISTED, times=10)
    assert await ask(expired, 2) == BUSY
    await a_day_later(expired)
    assert await ask(expired, 3) == RECONNECT
    assert expired.microsoft.door.refreshes == 3
    assert len(await expired.published("user.connection_expired")) == 1
    assert (await expired.connection())["status"] == "expired"


@pytest.mark.parametrize("undone_by", ["a refresh", "a new sign-in"])
async def test_what_was_over_in_between_counts_anew(expired: Any, undone_by: str) -> None:
    await refuse(expired, UNLISTED, times=1)
    assert await ask(expired) == BUSY
    assert await doubted(expired)
    await a_day_later(expired)
    if undone_by == "a refresh":
        assert await ask(expired) == {(200, "")}
    else:
        await expired.connect()
    assert not await doubted(expired)
    await refuse(expired, UNLISTED, times=1)
    assert await ask(expired) == BUSY
    assert (await expired.connection())["status"] == "connected"


async def test_a_token_that_is_still_valid_serves_in_doubt(house: Any) -> None:
    house.short_tokens(STILL_VALID_S)
    await house.connect()
    await refuse(house, UNLISTED, times=2)
    assert await ask(house, 2) == {(200, "")}
    assert await doubted(house)


async def test_a_doubt_is_settled_the_next_day_though_nobody_asks(expired: Any) -> None:
    await refuse(expired, UNLISTED, times=2)
    assert await ask(expired) == BUSY
    await a_day_later(expired)
    await expired.hurry("keep_alive")
    await expired.work()
    assert (await expired.connection())["status"] == "expired"
    assert expired.microsoft.door.refreshes == 2


LISTED = [
    (50173, {}),
    (700082, {}),
    (50076, {}),
    (53003, {}),
    (65001, {}),
    (UNLISTED, {"error": "interaction_required"}),
]


@pytest.mark.parametrize(("number", "more"), LISTED)
async def test_a_refusal_whose_meaning_is_published_is_believed_at_once(
    expired: Any, number: int, more: dict[str, str]
) -> None:
    await refuse(expired, number, times=5, **more)
    assert await ask(expired, 2) == RECONNECT
    asked_for_what_is_left = number == 65001
    assert expired.microsoft.door.refreshes == 1 + asked_for_what_is_left
    assert (await expired.connection())["status"] == "expired"


PASSING = [(90033, {}), (50196, {}), (UNLISTED, {"error": "temporarily_unavailable", "status": 503})]
OURS = [
    (7000215, {}),
    (7000222, {}),
    (700027, {}),
    (70011, {}),
    (500011, {}),
    (UNLISTED, {"error": "invalid_request"}),
    (UNLISTED, {"error": "unauthorized_client"}),
]


@pytest.mark.parametrize(
    ("number", "more", "said"), [*((*one, BUSY) for one in PASSING), *((*one, MISCONFIGURED) for one in OURS)]
)
async def test_our_own_mistakes_and_passing_troubles_never_end_a_connection(
    expired: Any, number: int, more: dict[str, Any], said: set[tuple[int, str]]
) -> None:
    await refuse(expired, number, times=20, **more)
    for _ in range(3):
        assert await ask(expired, 2) == said
        assert not await doubted(expired), "it is not even counted"
        await a_day_later(expired)
    assert (await expired.connection())["status"] == "connected"
    assert await expired.published("user.connection_expired") == []
