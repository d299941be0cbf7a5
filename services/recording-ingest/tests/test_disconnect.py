"""The end of a connection stops everything at once, and its return repairs what was missed, each exactly once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import Response

from recording_ingest.handlers import on
from shared.database.unit_of_work import UnitOfWork

from .steps import SIZE, booked, counts, do_all

ROWS = "SELECT subscription_id FROM graph_subscription"


async def end(house: Any, version: int, whose: str = "person") -> None:
    """The event only; what it makes is done later."""
    if whose == "tenant":
        await house.tenant(version, connected=False)
    else:
        await house.hear(house.person(version, connected=False))


async def subscriptions(house: Any) -> list[Any]:
    found: list[Any] = (await house.microsoft.state())["subscriptions"]
    return found


async def test_what_is_notified_after_the_end_is_answered_and_dropped(house: Any) -> None:
    meeting = await booked(house)
    await end(house, 2)
    assert await house.sql(ROWS) == []  # with the event, not with a job after it
    await house.happen(meeting)
    assert await house.sql("SELECT * FROM graph_notification") == []
    assert (await house.microsoft.state())["deliveries"] == []
    state = house.simulator.store.all("subscriptions")[0]
    item = {
        "subscriptionId": state["id"],
        "clientState": state["clientState"],
        "resource": "x",
        "changeType": "created",
    }
    assert (await house.http.post("/webhooks/graph", json={"value": [item]})).status_code == 202
    assert await house.sql("SELECT * FROM graph_notification") == []


async def test_what_was_notified_before_the_end_is_dropped_unread(house: Any) -> None:
    meeting = await booked(house)
    await house.happen(meeting)
    await end(house, 2)
    calls = len(house.graph_wire.requests)
    await house.service.runner.drain()
    read = [path for _, path, _ in house.graph_wire.requests[calls:] if "onlineMeetings" in path]
    assert (read, await house.sql("SELECT * FROM graph_notification")) == ([], [])


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_application_removes_a_persons_subscriptions_where_it_may(house: Any, allowed: bool) -> None:
    await house.connect()
    house.tenant_connector.refused = not allowed
    await end(house, 2)
    calls = len(await house.microsoft.calls())
    await do_all(house)
    ours = (await house.microsoft.calls())[calls:]
    assert len(await subscriptions(house)) == (0 if allowed else 2)
    assert all(call["app_only"] for call in ours)
    assert await house.sql("SELECT * FROM job WHERE kind IN ('end_subscriptions', 'watch_user')") == []


async def test_a_subscription_in_the_making_is_taken_back(house: Any) -> None:
    house.graph_wire.during("POST", "/v1.0/subscriptions", lambda: end(house, 2))
    await house.connect()
    await do_all(house)
    assert await house.sql(ROWS) == []
    made = [
        path for method, path, _ in house.graph_wire.requests if method == "POST" and path.endswith("/subscriptions")
    ]
    assert len(made) == 1  # the second is not begun
    assert await subscriptions(house) == []


async def test_an_account_changed_between_two_subscriptions_stops_the_second(house: Any) -> None:
    await house.connect()
    former = [f"/v1.0/subscriptions/{row.subscription_id}" for row in await house.sql(ROWS)]

    async def change() -> None:
        house.user_auth.tokens["acme", "anna"] = house.user_auth.tokens["globex", "carl"]
        await house.hear(house.person(2, connected=True))

    house.graph_wire.during("GET", "/v1.0/subscriptions/", change)
    calls = len(house.graph_wire.requests)
    await house.hurry("watch_user")
    await house.settle()
    asked = [path for method, path, _ in house.graph_wire.requests[calls:] if method == "GET" and path in former]
    assert len(asked) == 1
    oid = house.user_auth.tokens["globex", "carl"]["oid"]
    assert {row.resource.split("/")[1] for row in await house.sql("SELECT resource FROM graph_subscription")} == {oid}


@pytest.mark.parametrize("whose", ["person", "tenant"])
async def test_nothing_is_asked_of_microsoft_after_the_end_but_what_is_under_way(house: Any, whose: str) -> None:
    """A transfer is running, a transcript and a notification wait, and we hold tokens that would still be good."""
    await house.microsoft.recording_size(SIZE)
    meeting = await booked(house)
    busy = Response(status_code=503, headers={"Retry-After": "60"})
    house.graph_wire.instead = lambda _method, path: busy if "/transcripts/" in path and "/content" in path else None
    await house.happen(meeting)
    before: list[int] = []

    async def ending() -> None:
        await end(house, 2, whose)
        before.append(len(await house.microsoft.calls()))

    house.our_wire.during("PUT", "/storage/", ending, number=2)
    await house.settle()
    house.graph_wire.instead = None
    await do_all(house)
    after = (await house.microsoft.calls())[before[0] :]
    assert [call for call in after if not (whose == "person" and call["app_only"])] == []
    assert len(house.our_wire.accepted) == 2
    code = {"person": "account_not_connected", "tenant": "tenant_not_connected"}[whose]
    shown = await house.ledger()
    assert {kind: (one["status"], one["code"]) for kind, one in shown.items()} == {
        "recording": ("paused", code),
        "transcript": ("paused", code),
    }
    assert [event["code"] for event in await house.published("recording.unavailable")] == [code]
    await house.connect(version=3)
    await do_all(house)
    assert (await counts(house), len(house.our_wire.accepted)) == ([2, 1, 1], 5)
    assert len(await subscriptions(house)) == 2


@pytest.mark.parametrize("whose", ["person", "tenant"])
@pytest.mark.parametrize("switched", [False, True])
async def test_a_meeting_held_meanwhile_is_fetched_once_after_the_reconnect(
    house: Any, whose: str, switched: bool
) -> None:
    meeting = await booked(house)
    await end(house, 2, whose)
    await do_all(house)
    if switched:
        await house.tenant(3, on=False, connected=whose == "person")
        await do_all(house)
    await house.happen(meeting)
    await do_all(house)
    if switched:
        await house.tenant(4, connected=whose == "person")
        await do_all(house)
    assert await counts(house) == [0, 0, 0]
    await house.connect(version=5)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]
    await house.connect(version=6)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]
    assert len(await subscriptions(house)) == 2
    assert len(await house.sql(ROWS)) == 2


async def test_a_person_who_is_heard_of_while_the_tenant_changes_is_not_missed(house: Any) -> None:
    """Neither transaction sees what the other has not committed yet."""
    just_now = datetime.now(UTC) - timedelta(hours=1)
    await house.tenant(1, on=False)
    meeting = await house.book()
    await house.happen(meeting)
    await house.hear(house.scheduled(meeting | {"start": just_now, "end": just_now + timedelta(minutes=30)}))
    await house.settle()

    async with house.service.db.unit_of_work("acme") as work:
        await heard(house.news(2), work)
        async with house.service.db.unit_of_work("acme") as other:
            await heard(house.person(1, connected=True), other)
        await house.settle()
        assert await counts(house) == [0, 0, 0]  # the switch is not known to be on yet
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def heard(event: Any, work: UnitOfWork) -> None:
    """The handler's part, in a transaction that somebody else keeps open."""
    for handler in on.of(event.topic):
        await handler.function(event, work=work)


async def test_a_reconnect_while_switched_off_fetches_nothing_until_it_is_on(house: Any) -> None:
    meeting = await booked(house)
    await end(house, 2)
    await house.happen(meeting)
    await house.tenant(2, on=False)
    await do_all(house)
    await house.hear(house.person(3, connected=True))
    await do_all(house)
    assert await counts(house) == [0, 0, 0]
    await house.tenant(3)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]


async def test_the_token_of_a_connection_that_ended_is_not_kept(house: Any) -> None:
    await booked(house)
    kept = house.service.provided["tokens"]
    assert (await kept.user_token("acme", "anna")).value
    house.user_auth.broken = True
    assert (await kept.user_token("acme", "anna")).value  # from memory
    await end(house, 2)
    with pytest.raises(Exception, match="Connect the account again"):
        await kept.user_token("acme", "anna")


async def test_imported_and_booked_meetings_are_untouched_by_end_and_return(house: Any) -> None:
    meeting = await booked(house)
    await house.happen(meeting)
    await house.settle()
    before = await house.ledger()
    assert await counts(house) == [2, 1, 1]
    await end(house, 2)
    await do_all(house)
    assert await house.ledger() == before
    await house.connect(version=3)
    await do_all(house)
    assert await house.ledger() == before
    assert (await counts(house), await house.published("recording.unavailable")) == ([2, 1, 1], [])
