"""After a disconnect the tokens serve to remove what is at Microsoft, for a while, and for nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import (
    ContactTracesRemoved,
    LeftBehind,
    MailTracesRemoved,
    MeetingTracesRemoved,
    RecordingTracesRemoved,
    TenantDisconnected,
    TracesRemoved,
)

from .conftest import tenant_state

REPORTS = (MeetingTracesRemoved, RecordingTracesRemoved, ContactTracesRemoved, MailTracesRemoved)
STAYS = LeftBehind(kind="subscription", count=1, code="refused", until=datetime(2030, 1, 1, tzinfo=UTC))


def report(kind: type[TracesRemoved], version: int = 2, user: str = "anna", **more: Any) -> TracesRemoved:
    about = {"org_id": "acme", "user_id": user, "aggregate_version": version, "removed": 2, "left": []}
    return kind.model_validate(about | more)


async def all_tell(house: Any, **more: Any) -> None:
    await house.hear(*(report(kind, **more) for kind in REPORTS))


async def for_leaving(house: Any, **who: str) -> Any:
    return await house.token(leaving=True, **who)


async def sealed(house: Any) -> list[bool]:
    return [row["sealed_cache"] is not None for row in await house.rows("connection")]


async def test_the_tokens_serve_for_leaving_only_and_end_when_all_have_told(house: Any) -> None:
    await house.connect()
    shown = (await house.disconnect()).json()
    assert (shown["status"], shown["leaving"]["over"], shown["leaving"]["removed"]) == ("disconnected", False, 0)
    assert (await house.token()).json()["code"] == "account_not_connected"
    assert (await for_leaving(house)).status_code == 200
    assert (await house.token()).json()["code"] == "account_not_connected"  # nothing is kept of it
    (state,) = [one for one in await house.published("user.state") if not one["connected"]]
    assert datetime.fromisoformat(state["leaving_until"]) == datetime.fromisoformat(shown["leaving"]["until"])

    await house.hear(*(report(kind) for kind in REPORTS[:3]))
    assert (await sealed(house), await house.published("user.left")) == ([True], [])
    await house.hear(report(REPORTS[3], left=[STAYS]))
    assert await sealed(house) == [False]
    assert (await for_leaving(house)).status_code == 409
    (told,) = await house.published("user.left")
    assert (told["ended_in"], told["removed"], told["silent"]) == (2, 8, [])
    assert [(one["kind"], one["count"], one["code"]) for one in told["left"]] == [("subscription", 1, "refused")]
    leaving = (await house.connection())["leaving"]
    assert (leaving["over"], leaving["until"], leaving["left"]) == (True, None, told["left"])


async def test_leaving_ends_at_its_deadline_and_late_services_are_heard(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    await house.hear(report(MailTracesRemoved))
    await house.hurry("end_leaving")
    await house.work()
    assert await sealed(house) == [False]
    (told,) = await house.published("user.left")
    assert (told["removed"], told["silent"]) == (2, ["contacts", "meetings", "recording-ingest"])
    await house.hear(report(MeetingTracesRemoved, left=[STAYS]))
    first, second = await house.published("user.left")
    assert (second["removed"], second["silent"]) == (4, ["contacts", "recording-ingest"])
    assert second["aggregate_version"] > first["aggregate_version"]


async def test_when_the_time_is_over_no_token_is_given_though_nobody_ended_it(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    await house.sql("UPDATE connection SET leaving_until = clock_timestamp() - interval '1 second'")
    assert (await for_leaving(house)).status_code == 409


@pytest.mark.parametrize("order", ["fact first", "state first"])
async def test_an_organisations_end_lets_all_its_people_leave_in_the_same_time(house: Any, order: str) -> None:
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    until = datetime.now(UTC) + timedelta(minutes=5)
    state = tenant_state(2, connected=False).model_copy(update={"leaving_until": until})
    about = {"org_id": "acme", "aggregate_version": 2, "tid": state.tid, "leaving_until": until}
    fact = TenantDisconnected.model_validate(about | {"code": "by_org_admin", "reason": "An Org Admin did it."})
    for event in (fact, state) if order == "fact first" else (state, fact):
        await house.hear(event)
    for user in ("anna", "ben"):
        assert (await house.token(user=user)).json()["code"] == "tenant_not_connected"
        assert (await for_leaving(house, user=user)).status_code == 200
    ends = [one["leaving_until"] for one in await house.published("user.state") if not one["connected"]]
    assert [datetime.fromisoformat(one) for one in ends] == [until, until]


async def test_where_microsoft_knows_the_tenant_no_more_nothing_is_kept(house: Any) -> None:
    await house.connect()
    await house.hear(tenant_state(2, connected=False))
    assert (await sealed(house), (await for_leaving(house)).status_code) == ([False], 409)
    await all_tell(house, left=[STAYS.model_copy(update={"code": "no_access"})])
    (told,) = await house.published("user.left")
    assert [(one["count"], one["code"]) for one in told["left"]] == [(4, "no_access")]


async def test_who_connects_again_meanwhile_leaves_no_more(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    assert (await house.connect()).status_code == 200
    await all_tell(house)
    await house.hurry("end_leaving")
    await house.work()
    assert (await sealed(house), await house.published("user.left")) == ([True], [])
    assert (await house.connection())["leaving"] is None
    assert (await house.token()).status_code == 200


async def test_a_sign_in_begun_before_the_end_of_the_leaving_succeeds(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    answer = await house.at_microsoft("anna@contoso.example")

    async def meanwhile() -> None:
        house.microsoft.door.before_answer = None
        await all_tell(house)

    house.microsoft.door.before_answer = meanwhile
    assert (await house.complete(answer)).status_code == 200
    assert (await house.connection())["status"] == "connected"


async def test_a_refresh_that_is_refused_while_leaving_expires_nothing(house: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    await house.disconnect()
    assert (await for_leaving(house)).status_code == 200  # renewed at Microsoft
    await house.microsoft.client.fault("token_error", number=50173, times=None, match={"grant": "refresh_token"})
    assert (await for_leaving(house)).status_code == 409
    assert await house.published("user.connection_expired") == []
    assert (await house.connection())["status"] == "disconnected"


async def test_what_is_told_of_an_earlier_end_is_no_news(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    await all_tell(house, version=1)
    assert (await sealed(house), await house.published("user.left")) == ([True], [])
