"""What is changed in Outlook arrives by itself: by notification, by a look, and before an end is said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import ArtefactDetected

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)


def at(start: datetime, **more: Any) -> dict[str, Any]:
    return {"start": start.isoformat(), "end": (start + HOUR).isoformat(), **more}


async def booked(house: Any, start: datetime = TOMORROW, *, notifies: bool = True) -> str:
    """A meeting whose calendar is followed, and was looked at; ``notifies`` where Microsoft lets us subscribe."""
    await house.microsoft.do("outlook_rules", write_subscribes=notifies)
    await house.connect(on=False)
    (meeting_id,) = await house.booked(**at(start))
    await house.look()
    await house.notified()
    return str(meeting_id)


async def in_outlook(house: Any, verb: str, **more: Any) -> None:
    link = (await house.microsoft.state())["meetings"][0]["join_url"]
    await house.microsoft.do(verb, meeting=link, **more)


async def told(house: Any, topic: str) -> list[Any]:
    return [event for event in await house.published(topic) if event["origin"] == "outlook"]


async def by_notification(house: Any) -> None:
    await house.notified()


async def by_a_look(house: Any) -> None:
    """The notification was lost, and the calendar is due again."""
    await house.sql("DELETE FROM graph_notification")
    await house.sql("DELETE FROM job WHERE kind = 'process_notification'")
    await house.sql("UPDATE mailbox_folder SET dirty = false, read_at = read_at - interval '1 hour'")
    await house.look()


WAYS = {"notified": by_notification, "looked": by_a_look}
CHANGED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "moved": ("meeting_rescheduled", {"later_minutes": 120}, {"start": TOMORROW + 2 * HOUR}),
    "retitled": ("meeting_edited", {"subject": "Renamed"}, {"subject": "Renamed"}),
    "others": (
        "meeting_edited",
        {"attendees": ["ben@contoso.example", "bo@acme.example"]},
        {"attendees": ["ben@contoso.example", "bo@acme.example"]},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", CHANGED)
async def test_a_change_in_outlook_arrives_by_itself_and_is_told_once(house: Any, what: str, way: str) -> None:
    meeting_id = await booked(house)
    verb, given, wanted = CHANGED[what]
    if way == "looked":
        await house.microsoft.fault("drop_notifications", times=None)
    await in_outlook(house, verb, **given)
    for _ in range(2):
        await WAYS[way](house)
    shown = await house.record(meeting_id)
    shown["attendees"] = [one["email"] for one in shown["attendees"]]
    shown["start"] = datetime.fromisoformat(shown["start"])
    assert {name: shown[name] for name in wanted} == wanted
    (event,) = await told(house, "meeting.rescheduled")
    assert (event["aggregate_version"], shown["problem"]) == (shown["version"], None)


@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_and_put_back_in_outlook_it_is_so_here(house: Any, way: str) -> None:
    meeting_id = await booked(house)
    await in_outlook(house, "meeting_cancelled")
    await WAYS[way](house)
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("cancelled", "cancelled_in_outlook")
    (event,) = await told(house, "meeting.cancelled")
    assert event["meeting_id"] == meeting_id
    await in_outlook(house, "meeting_restored")
    await WAYS[way](house)
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]) == ("scheduled", None)
    (again,) = await told(house, "meeting.scheduled")
    assert again["aggregate_version"] == shown["version"]


async def test_our_own_change_comes_back_without_a_second_event(house: Any) -> None:
    """T10."""
    meeting_id = await booked(house)
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Ours"})
    await house.work()
    version = (await house.record(meeting_id))["version"]
    await house.notified()
    await by_a_look(house)
    assert (await house.record(meeting_id))["version"] == version
    (event,) = await house.published("meeting.rescheduled")
    assert event["origin"] == "prospo"


async def test_a_calendar_without_notifications_is_read_more_often(house: Any) -> None:
    """By Microsoft's own page it does, as the permissions that people give hold no right that only reads."""
    meeting_id = await booked(house, notifies=False)
    assert (await house.microsoft.state())["subscriptions"] == []
    (job,) = await house.jobs("follow_calendar")
    assert timedelta(0) < job["run_at"] - datetime.now(UTC) <= timedelta(minutes=2)
    await in_outlook(house, "meeting_edited", subject="Renamed")
    await by_a_look(house)
    assert (await house.record(meeting_id))["subject"] == "Renamed"


async def test_a_meeting_that_leaves_the_window_is_moved_and_not_cancelled(house: Any) -> None:
    """T9. Out of the window Graph names it as removed; from there on it is read by its id once a day."""
    meeting_id = await booked(house)
    far = TOMORROW + timedelta(days=90)
    await house.microsoft.fault("drop_notifications", times=None)
    await in_outlook(house, "meeting_rescheduled", later_minutes=90 * 24 * 60)
    await by_a_look(house)
    shown = await house.record(meeting_id)
    assert (shown["status"], datetime.fromisoformat(shown["start"])) == ("scheduled", far)
    await in_outlook(house, "meeting_edited", subject="Far off")
    await by_a_look(house)
    assert (await house.record(meeting_id))["subject"] == "Review"
    await house.sql("UPDATE mailbox_folder SET swept_at = swept_at - interval '1 day'")
    await by_a_look(house)
    assert (await house.record(meeting_id))["subject"] == "Far off"
    assert await told(house, "meeting.cancelled") == []


async def test_the_window_moves_on_once_a_day_and_cancels_nothing(house: Any) -> None:
    """T9."""
    await booked(house)
    begun = await house.asked("GET", "/calendarView/delta")
    for days, anew in (("0 days", False), ("1 day", True)):
        await house.sql(f"UPDATE mailbox_folder SET swept_at = swept_at - interval '{days}'")
        await by_a_look(house)
        calls = [one for one in await house.microsoft.calls() if one["path"].endswith("/calendarView/delta")]
        assert ("startDateTime" in calls[-1]["query"]) is anew
    assert await house.asked("GET", "/calendarView/delta") > begun
    assert await house.published("meeting.rescheduled") == await house.published("meeting.cancelled") == []


async def test_a_round_that_broke_off_is_begun_again(house: Any) -> None:
    meeting_id = await booked(house)
    await house.microsoft.fault("drop_notifications", times=None)
    await in_outlook(house, "meeting_edited", subject="Renamed")
    await house.refuse(503, "*/calendarView*", "UnknownError")
    await house.sql("UPDATE mailbox_folder SET dirty = true")
    await house.look()
    assert (await house.record(meeting_id))["subject"] == "Review"
    await house.microsoft.clear_faults()
    await house.look()
    assert (await house.record(meeting_id))["subject"] == "Renamed"


@pytest.mark.parametrize("what", ["meeting_rescheduled", "meeting_cancelled"])
async def test_an_end_is_not_said_of_a_meeting_changed_unheard(house: Any, what: str) -> None:
    """D1: moved beyond the deadline, or cancelled, and nobody told."""
    meeting_id = await booked(house)
    await house.microsoft.fault("drop_notifications", times=None)
    await in_outlook(house, what, **({"later_minutes": 600} if what == "meeting_rescheduled" else {}))
    for _ in range(2):
        await house.hurry("booked_end")
        await house.sql("UPDATE job SET run_at = run_at + interval '2 days' WHERE payload ->> 'ends_at' > :end",
                        end=(TOMORROW + 2 * HOUR).isoformat())  # fmt: skip
        await house.work()
    shown = await house.record(meeting_id)
    assert shown["status"] == ("scheduled" if what == "meeting_rescheduled" else "cancelled")
    assert await house.published("meeting.ended") == []


async def test_one_deleted_after_its_call_took_place_all_the_same(house: Any) -> None:
    meeting_id = await booked(house)
    await in_outlook(house, "meeting_cancelled")
    await house.notified()
    seen = {"created_at": TOMORROW, "ended_at": TOMORROW + HOUR, "aggregate_version": 1}
    await house.hear(ArtefactDetected(org_id="acme", meeting_id=meeting_id, artefact_id="r", kind="recording", **seen))
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"], shown["ended"]["source"]) == ("ended", None, "artefact")


async def test_meetings_that_prospo_did_not_book_stay_out(house: Any) -> None:
    await booked(house)
    await house.microsoft.do("meeting_booked", organizer="anna@contoso.example", subject="By hand", in_minutes=60)
    await house.notified()
    await by_a_look(house)
    assert len((await house.call("GET", "/v1/meetings")).json()["items"]) == 1


async def test_a_forged_notification_moves_nothing(house: Any) -> None:
    await booked(house)
    asked = await house.asked()
    (subscription,) = (await house.microsoft.state())["subscriptions"]
    (booked_event,) = await house.sql("SELECT event_id FROM meeting")  # a true notification of it has it read
    item = {"subscriptionId": subscription["id"], "clientState": "guessed", "changeType": "deleted", "resource": "x"}
    item["resourceData"] = {"id": booked_event.event_id}
    assert (await house.http.post("/webhooks/graph", json={"value": [item]})).status_code == 202
    await house.work()
    assert (await house.asked(), await house.rows("graph_notification")) == (asked, [])


async def test_nothing_is_followed_once_nothing_lies_ahead(house: Any) -> None:
    meeting_id = await booked(house)
    assert len((await house.microsoft.state())["subscriptions"]) == 1
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    await house.work()
    await house.look()
    assert (await house.microsoft.state())["subscriptions"] == []
    await house.look()  # the notification of the deletion may have asked for one more
    assert await house.jobs("follow_calendar") == []


async def test_what_changed_while_nobody_was_connected_arrives_afterwards(house: Any) -> None:
    meeting_id = await booked(house)
    await house.hear(house.person(2, connected=False))
    assert await house.rows("graph_subscription") == []
    await in_outlook(house, "meeting_rescheduled", later_minutes=60)
    await house.look()
    assert datetime.fromisoformat((await house.record(meeting_id))["start"]) == TOMORROW
    await house.hear(house.person(3))
    await house.work()
    await house.look()
    assert datetime.fromisoformat((await house.record(meeting_id))["start"]) == TOMORROW + HOUR
    assert len(await told(house, "meeting.rescheduled")) == 1
    assert len((await house.microsoft.state())["subscriptions"]) == 1, "the one of the earlier connection is replaced"


async def test_a_problem_of_another_kind_outlives_a_look_at_the_event(house: Any) -> None:
    await house.connect()
    await house.refuse(400, "*/onlineMeetings/*")
    (meeting_id,) = await house.booked(**at(TOMORROW))
    await in_outlook(house, "meeting_edited", subject="Renamed")
    await house.look()
    shown = await house.record(meeting_id)
    assert (shown["subject"], shown["problem"]["code"]) == ("Renamed", "auto_recording_refused")
