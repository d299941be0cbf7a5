"""The Org Admin's switch acts at once on what is waited for, detected or under way, and nothing is lost by it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.responses import Response

from shared.events import MeetingRecordingChanged, UserState
from shared.testing.waiting import waits_for_a_lock

from .steps import KIB, SIZE, booked, counts, do_all

LONG_AGO = datetime.now(UTC) - timedelta(days=3)


async def statuses(house: Any) -> dict[str, str]:
    return {kind: shown["status"] for kind, shown in (await house.ledger()).items()}


async def asked(house: Any) -> int:
    """How often Microsoft was asked for anything but the state of a subscription."""
    return len([call for call in await house.microsoft.calls() if "/subscriptions" not in call["path"]])


async def happen_without_storage(house: Any) -> None:
    """A meeting takes place while storage is away, so its import waits."""
    meeting = await booked(house)
    down = Response(status_code=503)
    house.our_wire.instead = lambda _method, path: down if path.startswith("/storage") else None
    await house.happen(meeting)
    await house.settle()


async def test_a_transfer_stops_at_the_next_range_and_goes_on_from_there(house: Any) -> None:
    await house.microsoft.recording_size(SIZE)
    meeting = await booked(house)
    await house.happen(meeting)
    house.our_wire.during("PUT", "/storage/", lambda: house.tenant(2, on=False), number=2)
    await house.settle()
    assert len(house.our_wire.accepted) == 2
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("paused", "feature_off")
    assert "switched off for your organisation" in shown["reason"]
    (job,) = await house.sql("SELECT state, checkpoint FROM job WHERE kind = 'transfer'")
    assert (job.state, job.checkpoint) == ("waiting", {"size": SIZE, "done": 6 * KIB})
    (told,) = await house.published("recording.unavailable")
    assert told["code"] == "feature_off"
    await do_all(house)
    assert (len(house.our_wire.accepted), await counts(house)) == (2, [2, 0, await transcripts(house)])
    await house.tenant(3)
    await house.settle()
    assert len(house.our_wire.accepted) == 5
    assert house.graph_wire.ranges()[-1] == f"bytes={6 * KIB}-"
    assert await counts(house) == [2, 1, 1]
    assert (await statuses(house)) == {"recording": "imported", "transcript": "imported"}
    awaited = [event for event in await house.published("artefact.awaited") if event["kind"] == "recording"]
    assert [(event["detected"], event["aggregate_version"] > told["aggregate_version"]) for event in awaited] == [
        (True, True)
    ]


async def transcripts(house: Any) -> int:
    return len(await house.sql("SELECT * FROM transcript"))


@pytest.mark.parametrize(("request_", "contents"), [(2, 0), (3, 1)])
async def test_a_transcript_that_is_being_read_is_not_kept(house: Any, request_: int, contents: int) -> None:
    """The first request is the notification's; then it is looked at, then read."""
    meeting = await booked(house)
    await house.happen(meeting)
    house.graph_wire.during("GET", "/transcripts/", lambda: house.tenant(2, on=False), number=request_)
    await house.settle()
    read = [path for _, path, _ in house.graph_wire.requests if "/transcripts/" in path and path.endswith("/content")]
    assert len(read) == contents
    assert await transcripts(house) == 0
    assert (await statuses(house))["transcript"] == "paused"
    house.graph_wire.instead = None
    await house.tenant(3)
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def test_queued_imports_wait_for_the_switch(house: Any) -> None:
    meeting = await booked(house)
    house.our_wire.instead = lambda _method, path: Response(status_code=503) if path.startswith("/storage") else None
    house.graph_wire.instead = lambda _method, path: (
        Response(status_code=503, headers={"Retry-After": "60"})
        if "/transcripts/" in path and path.endswith("/content")
        else None
    )
    await house.happen(meeting)
    await house.settle()
    assert await statuses(house) == {"recording": "importing", "transcript": "importing"}
    house.our_wire.instead = house.graph_wire.instead = None
    await house.tenant(2, on=False)
    calls = await asked(house)
    await do_all(house)
    assert await statuses(house) == {"recording": "paused", "transcript": "paused"}
    assert (await asked(house), await counts(house)) == (calls, [2, 0, 0])
    house.wait(61)
    await house.tenant(3)
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def test_missed_notifications_are_not_looked_for_while_off(house: Any) -> None:
    await house.microsoft.recording_size(SIZE)
    await house.happen(await booked(house))
    house.our_wire.during("PUT", "/storage/", lambda: house.tenant(2, on=False), number=2)
    await house.settle()
    (before,) = await house.sql("SELECT revision FROM ledger_meeting")
    row = house.simulator.store.all("subscriptions")[0]
    item = {"subscriptionId": row["id"], "clientState": row["clientState"], "lifecycleEvent": "missed"}
    assert (await house.http.post("/webhooks/graph", json={"value": [item]})).status_code == 202
    await do_all(house)
    assert await house.sql("SELECT * FROM graph_notification") == []
    assert await house.published("artefact.awaited") == []
    assert (await house.sql("SELECT revision FROM ledger_meeting")) == [before]


@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_is_recorded_while_off_is_fetched_when_it_is_on_again(house: Any, by_hand: bool) -> None:
    meeting = await booked(house, auto=not by_hand)
    await house.tenant(2, on=False)
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["expected_by"]) == ("not_expected", None)
    assert "switched off for your organisation" in shown["reason"]
    await house.happen(meeting, record=by_hand)
    calls = await asked(house)
    assert len(await house.sql("SELECT * FROM graph_notification")) == 2
    await do_all(house)
    assert await house.sql("SELECT * FROM graph_notification") == []
    assert (await asked(house), await counts(house)) == (calls, [0, 0, 0])
    assert set((await statuses(house)).values()) == {"not_expected"}  # it has not ended by our clock
    for version in (3, 5):
        await house.tenant(version)
        await do_all(house)
        assert await counts(house) == [2, 1, 1]
        await house.tenant(version + 1, on=False)


async def test_of_an_ended_meeting_it_is_said_at_once_and_not_at_the_deadline(house: Any) -> None:
    await house.connect()
    just_now = datetime.now(UTC) - timedelta(hours=1)
    past = {"start": just_now, "end": just_now + timedelta(minutes=30)}
    await house.hear(house.scheduled(await house.book() | past))
    await house.settle()
    assert await statuses(house) == {"recording": "expected", "transcript": "expected"}
    await house.tenant(2, on=False)
    await house.settle()
    for topic in ("recording.unavailable", "transcript.unavailable"):
        assert [event["code"] for event in await house.published(topic)] == ["feature_off"]
    await house.tenant(3)
    await house.settle()
    assert await statuses(house) == {"recording": "expected", "transcript": "expected"}
    assert [event["detected"] for event in await house.published("artefact.awaited")] == [False, False]


async def test_what_was_listed_before_the_switch_went_off_is_not_taken_up(house: Any) -> None:
    await house.connect()
    meeting = await house.book()
    await house.microsoft.fault("drop_notifications", times=2)
    await house.happen(meeting)
    just_now = datetime.now(UTC) - timedelta(hours=1)
    await house.hear(house.scheduled(meeting | {"start": just_now, "end": just_now + timedelta(minutes=30)}))

    async def off() -> None:
        await house.tenant(2, on=False)
        await (await house.remake()).runner.drain()

    house.graph_wire.during("GET", "/recordings", off)
    await house.hurry("reconcile")
    await house.settle()
    assert (await statuses(house), await counts(house)) == (
        dict.fromkeys(("recording", "transcript"), "unavailable"),
        [0, 0, 0],
    )
    await house.tenant(3)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]


async def test_an_import_under_way_and_the_return_do_not_wait_for_each_other(house: Any) -> None:
    """An import has locked its job and wants its meeting, while the return wants that job."""
    await happen_without_storage(house)
    house.our_wire.instead = None
    await house.tenant(2, on=False)
    await house.settle()
    async with house.service.db.unit_of_work("acme") as work:
        await work.session.execute(text("SELECT FROM job WHERE kind = 'transfer' FOR UPDATE"))
        await house.tenant(3)
        returning = asyncio.create_task((await house.remake()).runner.drain())
        assert await waits_for_a_lock(house, returning)
        await work.session.execute(text("SELECT FROM ledger_meeting FOR UPDATE NOWAIT"))
    await returning
    await do_all(house)
    assert await counts(house) == [2, 1, 1]


async def test_meetings_to_come_are_not_listed_when_it_is_on_again(house: Any) -> None:
    meeting = await booked(house)
    for days in range(5):
        start = datetime.now(UTC) + timedelta(days=30 + days)
        later = meeting | {"start": start, "end": start + timedelta(minutes=30)}
        await house.hear(house.scheduled(later, f"later-{days}"))
    just_now = datetime.now(UTC) - timedelta(minutes=10)
    await house.hear(house.scheduled(meeting | {"start": just_now}, "now"))
    await house.tenant(2, on=False)
    await house.settle()
    calls = await asked(house)
    await house.tenant(3)
    await house.settle()
    assert await asked(house) == calls + 2  # both lists of the meeting under way
    planned = "SELECT DISTINCT payload ->> 'meeting_id' FROM job WHERE kind = 'reconcile'"
    assert len(await house.sql(planned)) == 7


async def test_moved_quickly_the_last_position_wins(house: Any) -> None:
    meeting = await booked(house)
    await house.happen(meeting)
    await house.tenant(2, on=False)
    await house.tenant(3)
    await house.tenant(4, on=False)
    await house.tenant(3)  # late news
    await do_all(house)
    assert await counts(house) == [0, 0, 0]
    await house.tenant(5)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]


async def test_what_ended_longer_ago_than_the_deadline_is_not_fetched(house: Any) -> None:
    await house.connect()
    meeting = await house.book()
    await house.tenant(2, on=False)
    past = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30)}
    await house.hear(house.scheduled(meeting | past))
    await house.happen(meeting)
    await do_all(house)
    await house.tenant(3)
    await do_all(house)
    assert await counts(house) == [0, 0, 0]
    assert (await house.ledger())["recording"]["code"] == "feature_off"


async def test_an_import_that_paused_for_long_has_its_whole_time_again(house: Any) -> None:
    await happen_without_storage(house)
    await house.tenant(2, on=False)
    await house.settle()
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '9 days'")
    await house.tenant(3)
    await do_all(house)
    assert (await house.ledger())["recording"]["status"] == "importing"
    house.our_wire.instead = None
    await do_all(house)
    assert (await counts(house))[1] == 1


async def test_an_import_paused_for_too_long_is_given_up_and_may_begin_anew(house: Any) -> None:
    await house.microsoft.recording_size(SIZE)
    await house.happen(await booked(house))
    house.our_wire.during("PUT", "/storage/", lambda: house.tenant(2, on=False), number=2)
    await house.settle()
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '31 days'")
    await house.sql("UPDATE ledger_meeting SET ends_at = ends_at - interval '31 days'")
    await do_all(house)
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("unavailable", "feature_off")
    assert await house.sql("SELECT * FROM job WHERE kind = 'transfer'") == []
    async with house.storage.service.db.system_work() as work:
        await work.session.execute(text("UPDATE stored_file SET touched_at = touched_at - interval '31 days'"))
        await work.session.execute(text("UPDATE job SET run_at = clock_timestamp()"))
    await house.storage.service.runner.drain()
    await house.tenant(3)
    await do_all(house)
    assert (await counts(house), len(house.our_wire.accepted)) == ([2, 1, 1], 2 + 5)


async def test_the_switch_is_off_until_it_was_heard_of(house: Any) -> None:
    oid = house.user_auth.tokens["acme", "anna"]["oid"]
    about = {"org_id": "acme", "aggregate_version": 1, "tid": "t1", "changed_at": datetime.now(UTC)}
    who = {"user_id": "anna", "oid": oid, "name": "Anna", "email": "anna@contoso.example"}
    await house.hear(UserState(**about, **who, status="connected", connected=True))
    await house.settle()
    meeting = await house.book()
    await house.hear(house.scheduled(meeting))
    await house.happen(meeting)
    await do_all(house)
    assert await counts(house) == [0, 0, 0]
    await house.tenant(1)
    await do_all(house)
    assert await counts(house) == [2, 1, 1]


async def test_the_newest_news_of_a_meetings_option_counts_in_any_order(house: Any) -> None:
    await house.connect()
    meeting = await house.book()
    about = {"org_id": "acme", "meeting_id": "m1", "user_id": "anna"}
    await house.hear(
        MeetingRecordingChanged(**about, auto_recording=False, code="switched_off", aggregate_version=5),
        house.scheduled(meeting, auto=True, version=2),
        MeetingRecordingChanged(**about, auto_recording=True, aggregate_version=4),
    )
    assert (await house.read("/v1/ledger/m1")).json()["auto_recording"] is False
    await house.hear(MeetingRecordingChanged(**about, auto_recording=True, aggregate_version=6))
    assert (await house.read("/v1/ledger/m1")).json()["auto_recording"] is True
