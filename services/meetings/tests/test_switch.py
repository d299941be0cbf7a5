"""The organisation's switch for automatic recording acts at once on everything that is booked."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from meetings import queries, recording
from meetings.jobs import does
from shared.connections import tenant_of
from shared.connections.state import keep_tenant
from shared.events import ArtefactAwaited, RecordingUnavailable
from shared.jobs.runner import JobRunner

LOST = {"status": 500, "match": {"method": "PATCH", "path": "*/onlineMeetings/*"}}
JOBS = "SELECT payload ->> 'meeting_id' AS meeting_id, priority, state FROM job WHERE kind = 'set_recording'"


async def test_switched_off_no_booked_meeting_records_and_each_says_why(house: Any) -> None:
    await house.connect()
    ids = await house.booked(3)
    await house.hear(house.tenant(2, on=False))
    await house.try_again()
    assert await house.at_microsoft() == [False, False, False]
    for meeting_id in ids:
        shown = await house.record(meeting_id)
        assert (shown["auto_recording"], shown["problem"]) == (False, None)
        assert "Org Admin has auto-recording switched off" in shown["auto_recording_reason"]
    told = await house.published("meeting.recording_changed")
    assert {event["meeting_id"] for event in told} == set(ids)
    assert len(told) == 3
    assert {(event["auto_recording"], event["code"], event["aggregate_version"]) for event in told} == {
        (False, "switched_off", 3)
    }


async def test_switched_on_what_was_booked_while_it_was_off_records(house: Any) -> None:
    await house.connect(on=False)
    (meeting_id,) = await house.booked()
    assert "switched off" in (await house.record(meeting_id))["auto_recording_reason"]
    await house.hear(house.tenant(2, on=True))
    await house.try_again()
    assert await house.at_microsoft() == [True]
    shown = await house.record(meeting_id)
    assert (shown["auto_recording"], shown["auto_recording_reason"]) == (True, None)


async def test_ended_and_cancelled_meetings_are_left_alone(house: Any) -> None:
    await house.connect()
    ended, cancelled = await house.booked(2)
    await house.call("DELETE", f"/v1/meetings/{cancelled}")
    await house.sql("UPDATE meeting SET status = 'ended' WHERE id = :id", id=ended)
    await house.try_again()
    asked = await house.asked()
    await house.hear(house.tenant(2, on=False))
    await house.try_again()
    assert await house.asked() == asked
    assert (await house.record(ended))["auto_recording"] is True


async def test_moved_quickly_the_last_position_wins_with_one_request_each(house: Any) -> None:
    await house.connect()
    await house.booked(2)
    asked = await house.asked("PATCH", "/onlineMeetings/")
    await house.hear(house.tenant(2, on=False), house.tenant(3, on=True), house.tenant(4, on=False))
    await house.try_again()
    assert await house.at_microsoft() == [False, False]
    assert await house.asked("PATCH", "/onlineMeetings/") == asked + 2
    await house.hear(house.tenant(3, on=True))  # late news
    await house.try_again()
    assert await house.at_microsoft() == [False, False]


async def test_a_switch_that_moves_while_microsoft_is_asked_has_the_last_word(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.hear(house.tenant(2, on=False))
    back_on = partial(house.hear, house.tenant(3, on=True))
    house.wire.during("PATCH", "/onlineMeetings/", back_on, done=True)
    await house.try_again()
    await house.try_again()
    assert await house.at_microsoft() == [True]
    assert (await house.record(meeting_id))["auto_recording"] is True
    assert await house.published("meeting.recording_changed") == []


async def another_worker(house: Any) -> None:
    """Does what is due besides the job that is running here."""
    await JobRunner(house.service.db, does, house.service.provided).drain()


@pytest.mark.parametrize("on", [True, False])
async def test_what_is_scheduled_while_the_switch_moves_ends_as_it_says(house: Any, on: bool) -> None:
    """All booked meetings were already gone through when this one is written by the switch it had read before."""
    await house.connect(on=not on)
    moved: list[bool] = []

    async def moving() -> None:
        await house.hear(house.tenant(2, on=on))
        await another_worker(house)
        moved.append(on)

    house.wire.during("GET", "/onlineMeetings", moving)
    (meeting_id,) = await house.booked()
    assert moved == [on]
    await house.try_again()
    assert await house.at_microsoft() == [on]
    assert (await house.record(meeting_id))["auto_recording"] is on


async def impatiently_off(house: Any) -> None:
    async with house.service.db.unit_of_work("acme") as work:
        await work.session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        await keep_tenant(work.session, house.tenant(2, on=False))


async def test_a_change_of_the_switch_waits_for_a_meeting_that_is_written_by_it(house: Any) -> None:
    await house.connect()
    async with house.service.db.unit_of_work("acme") as writing:
        assert (await tenant_of(writing.session, "acme", hold=True)).connected
        with pytest.raises(DBAPIError, match="lock timeout"):
            await impatiently_off(house)


async def lose_an_answer(house: Any) -> None:
    """Microsoft switches off what it is asked to, but the answer is lost."""
    await house.microsoft.fault("done_but_error", **LOST)
    await house.hear(house.tenant(2, on=False))
    await house.work()
    assert await house.at_microsoft() == [False]


async def test_what_a_try_that_died_may_have_asked_for_is_not_taken_for_done(house: Any) -> None:
    """Microsoft did it, the answer was lost, and the switch went back: the record alone would look right."""
    await house.connect()
    await house.booked()
    await lose_an_answer(house)
    await house.hear(house.tenant(3, on=True))
    await house.try_again()
    assert await house.at_microsoft() == [True]


async def test_a_schedule_that_died_after_asking_ends_as_the_switch_says(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("done_but_error", **LOST)
    house.wire.during("PATCH", "/onlineMeetings/", partial(house.hear, house.tenant(2, on=False)), done=True)
    assert (await house.schedule()).json()["status"] == "scheduling"
    assert await house.at_microsoft() == [True]
    await house.try_again()
    await house.try_again()
    assert await house.at_microsoft() == [False]


@pytest.mark.parametrize("moved", [True, False])
async def test_what_microsoft_may_have_been_asked_for_outlasts_a_lost_connection(house: Any, moved: bool) -> None:
    """Also where the record speaks of another problem by then."""
    await house.connect()
    (meeting_id,) = await house.booked()
    await lose_an_answer(house)
    if moved:
        await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Moved"})
    await house.hear(house.person(2, connected=False))
    await house.try_again()
    await house.hear(house.tenant(3, on=True))
    await house.work()
    await house.hear(house.person(3))
    await house.work()
    assert await house.at_microsoft() == [True]
    assert (await house.record(meeting_id))["problem"] is None
    assert await house.sql(JOBS) == []


@pytest.mark.parametrize("connected", [True, False])
async def test_a_recording_not_changed_is_no_problem_once_the_switch_is_back(house: Any, connected: bool) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.refuse(400, "*/onlineMeetings/*")
    await house.hear(house.person(2, connected=connected), house.tenant(2, on=False))
    await house.try_again()
    assert (await house.record(meeting_id))["problem"]["code"] == "recording_not_changed"
    asked = await house.asked()
    await house.hear(house.tenant(3, on=True))
    await house.work()
    await house.hear(house.person(3))
    assert (await house.record(meeting_id))["problem"] is None
    assert await house.asked() == asked


async def test_a_refused_recording_is_switched_off_once_the_switch_is(house: Any) -> None:
    """What is started by hand is not imported then, so nobody is told to start it."""
    await house.connect()
    await house.refuse(400, "*/onlineMeetings/*")
    (meeting_id,) = await house.booked()
    await house.hear(house.tenant(2, on=False))
    await house.work()
    shown = await house.record(meeting_id)
    assert "switched off" in shown["auto_recording_reason"]
    assert shown["problem"] is None
    (told,) = await house.published("meeting.recording_changed")
    assert (told["auto_recording"], told["code"]) == (False, "switched_off")
    assert told["aggregate_version"] == shown["version"]


@pytest.mark.parametrize("known", [True, False])
async def test_what_a_broken_connection_keeps_on_is_a_problem_until_it_is_mended(house: Any, known: bool) -> None:
    """Known to us by an event already, or only told by the refusal."""
    await house.connect()
    (meeting_id,) = await house.booked()
    house.user_auth.broken = True
    if known:
        await house.hear(house.person(2, connected=False))
    else:
        house.service.provided["tokens"].forget("acme", "anna")
    asked = await house.asked()
    await house.hear(house.tenant(2, on=False))
    await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["auto_recording"], shown["problem"]["code"]) == (True, "recording_not_changed")
    assert "still records by itself at Microsoft" in shown["problem"]["detail"]
    assert "Connect it under Settings" in shown["problem"]["detail"]
    assert (await house.asked(), await house.sql(JOBS)) == (asked, [])
    house.user_auth.broken = False
    await house.hear(house.person(3, connected=False), house.person(4))
    await house.try_again()
    assert await house.at_microsoft() == [False]
    shown = await house.record(meeting_id)
    assert (shown["auto_recording"], shown["problem"]) == (False, None)


async def test_what_microsoft_does_not_turn_off_is_said_and_can_be_tried_again(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.refuse(400, "*/onlineMeetings/*")
    await house.hear(house.tenant(2, on=False))
    await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["auto_recording"], shown["problem"]["code"]) == (True, "recording_not_changed")
    assert [job.state for job in await house.sql(JOBS)] == ["failed"]
    await house.microsoft.clear_faults()
    assert await house.service.runner.redrive(meeting_id) == 1
    await house.try_again()
    assert (await house.record(meeting_id))["problem"] is None
    assert await house.at_microsoft() == [False]


async def test_what_begins_soon_is_changed_before_the_rest_and_each_has_one_job(house: Any) -> None:
    await house.connect()
    (far,) = await house.booked()
    soon = datetime.now(UTC) + timedelta(hours=2)
    times = {"start": soon.isoformat(), "end": (soon + timedelta(hours=1)).isoformat()}
    near = (await house.schedule("near", **times)).json()["id"]
    await house.hear(house.tenant(2, on=False))
    off = {"wanted": False, "works": True}
    for _ in range(2):
        async with house.service.db.unit_of_work("acme") as work:
            for meeting_id, is_soon in await queries.unlike_switch(work.session, "acme", "anna", **off):
                recording.queue(work, meeting_id, soon=is_soon)
    queued = sorted((job.meeting_id, job.priority) for job in await house.sql(JOBS))
    assert queued == sorted([(near, 1), (far, 2)])


async def test_after_the_tenant_is_disconnected_nothing_is_asked_of_microsoft(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    change = {"subject": "Moved"}
    assert (await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=change)).status_code == 200
    await house.hear(house.tenant(2, on=False), house.tenant(3, on=False, connected=False))
    asked = await house.asked()
    await house.try_again()
    assert await house.asked() == asked
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["auto_recording"]) == ("scheduled", True)
    refused = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    await house.hear(house.tenant(4, on=False))
    await house.try_again()
    await house.try_again()
    assert await house.at_microsoft() == [False]
    (event,) = await house.events()
    assert event["body"]["subject"] == "Moved"
    assert (await house.record(meeting_id))["problem"] is None


@pytest.mark.parametrize(("lost", "code"), [("person", "account_not_connected"), ("tenant", "tenant_not_connected")])
async def test_a_booked_meeting_says_it_cannot_be_changed_until_the_reconnect(house: Any, lost: str, code: str) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.hear(
        house.person(2, connected=False) if lost == "person" else house.tenant(2, on=True, connected=False)
    )
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("scheduled", code)
    assert "cannot be changed from Prospo until" in shown["problem"]["detail"]
    (listed,) = (await house.call("GET", "/v1/meetings")).json()["items"]
    assert listed == shown | {"call_events": None}
    await house.connect(version=3)
    assert (await house.record(meeting_id))["problem"] is None


async def test_the_token_of_a_connection_that_ended_is_not_kept(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    assert house.user_auth.asked == 1
    await house.hear(house.person(2, connected=False), house.person(3))
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    await house.try_again()
    assert house.user_auth.asked == 2


async def test_a_cancellation_kept_back_is_told_after_the_reconnect_once(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    await house.hear(house.person(2, connected=False))
    await house.try_again()
    assert await house.asked("POST", "/cancel") == 0
    await house.hear(house.person(3))
    await house.try_again()
    await house.try_again()
    assert (await house.at_microsoft("cancelled"), await house.asked("POST", "/cancel")) == ([True], 1)
    assert len(await house.published("meeting.cancelled")) == 1
    await house.hear(house.person(4, connected=False), house.person(5))
    await house.try_again()
    assert (await house.at_microsoft("cancelled"), await house.asked("POST", "/cancel")) == ([True], 1)


async def test_what_was_kept_away_is_no_longer_said_once_it_is_awaited_again(house: Any) -> None:
    await house.connect(on=False)
    (meeting_id,) = await house.booked()
    told = {"code": "feature_off", "reason": "Switched off."}
    await house.hear(RecordingUnavailable(org_id="acme", meeting_id=meeting_id, aggregate_version=2, **told))
    assert (await house.record(meeting_id))["recording"]["reason"] == "Switched off."
    about = {"org_id": "acme", "meeting_id": meeting_id, "kind": "recording"}
    await house.hear(ArtefactAwaited(**about, detected=False, aggregate_version=1))  # older than what is said
    assert (await house.record(meeting_id))["recording"]["reason"] == "Switched off."
    await house.hear(ArtefactAwaited(**about, detected=False, aggregate_version=3))
    assert (await house.record(meeting_id))["recording"] is None
    await house.hear(ArtefactAwaited(**about, detected=True, aggregate_version=4))
    assert (await house.record(meeting_id))["recording"]["status"] == "importing"
