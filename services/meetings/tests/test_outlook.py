"""Outlook is a second author: what is changed there is neither undone nor ignored by a change in Prospo."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import ArtefactDetected

START = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
LATER = START + timedelta(hours=2)


async def booked(house: Any) -> str:
    await house.connect(on=False)
    (meeting_id,) = await house.booked()
    return str(meeting_id)


async def moved_in_outlook(house: Any, minutes: int = 120) -> None:
    (link,) = await house.at_microsoft("join_url")
    await house.microsoft.do("meeting_rescheduled", meeting=link, later_minutes=minutes)


async def change(house: Any, meeting_id: str, **what: Any) -> Any:
    answer = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=what)
    assert answer.status_code == 200, answer.text
    await house.work()
    return await house.record(meeting_id)


async def event_of(house: Any) -> tuple[str, datetime]:
    (event,) = await house.events()
    return event["body"]["subject"], datetime.fromisoformat(event["start"])


async def test_a_change_of_the_subject_does_not_move_the_meeting_back(house: Any) -> None:
    meeting_id = await booked(house)
    await moved_in_outlook(house)
    shown = await change(house, meeting_id, subject="Renamed")
    assert await event_of(house) == ("Renamed", LATER)
    assert (datetime.fromisoformat(shown["start"]), shown["problem"]) == (LATER, None)
    (told,) = await house.published("meeting.rescheduled")
    assert (told["subject"], datetime.fromisoformat(told["start"])) == ("Renamed", LATER)
    assert (told["aggregate_version"], told["origin"]) == (shown["version"], "prospo")


async def test_what_both_sides_changed_stays_as_it_is_in_outlook_and_is_said(house: Any) -> None:
    meeting_id = await booked(house)
    await moved_in_outlook(house)
    wanted = START + timedelta(days=1)
    times = {"start": wanted.isoformat(), "end": (wanted + timedelta(minutes=30)).isoformat()}
    shown = await change(house, meeting_id, subject="Renamed", **times)
    assert await event_of(house) == ("Renamed", LATER)
    assert shown["problem"]["code"] == "changed_in_outlook"
    assert LATER.isoformat() in shown["problem"]["detail"]
    assert wanted.isoformat() in shown["problem"]["detail"]
    assert datetime.fromisoformat(shown["start"]) == LATER
    again = await change(house, meeting_id, **times)
    assert await event_of(house) == ("Renamed", wanted)
    assert again["problem"] is None


async def test_a_meeting_cancelled_in_outlook_is_cancelled_here(house: Any) -> None:
    meeting_id = await booked(house)
    (link,) = await house.at_microsoft("join_url")
    await house.microsoft.do("meeting_cancelled", meeting=link)
    shown = await change(house, meeting_id, subject="Renamed")
    assert (shown["status"], shown["problem"]["code"]) == ("cancelled", "cancelled_in_outlook")
    (told,) = await house.published("meeting.cancelled")
    assert told["origin"] == "outlook"
    assert await house.published("meeting.rescheduled") == []


async def test_only_what_changed_is_sent_and_nothing_when_nothing_did(house: Any) -> None:
    meeting_id = await booked(house)
    before = await house.record(meeting_id)
    asked = await house.asked("PATCH")
    same = {name: before[name] for name in ("subject", "start", "end", "attendees")}
    for nothing in ({}, same):
        assert (await change(house, meeting_id, **nothing))["version"] == before["version"]
    assert (await house.asked("PATCH"), await house.published("meeting.rescheduled")) == (asked, [])
    house.wire.requests.clear()
    await change(house, meeting_id, subject="Renamed")
    assert await house.asked("PATCH", "/events/") == 1


async def test_quick_changes_are_one_update_and_one_event(house: Any) -> None:
    meeting_id = await booked(house)
    for name in ("One", "Two", "Three"):
        await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": name})
    await house.work()
    (told,) = await house.published("meeting.rescheduled")
    assert (told["subject"], await house.asked("PATCH", "/events/")) == ("Three", 1)
    assert told["aggregate_version"] == (await house.record(meeting_id))["version"]


async def test_a_change_whose_answer_was_lost_is_told_once(house: Any) -> None:
    meeting_id = await booked(house)
    await house.microsoft.fault("done_but_error", times=1, match={"method": "PATCH"})
    await change(house, meeting_id, subject="Renamed")
    await house.try_again()
    assert await event_of(house) == ("Renamed", START)
    (told,) = await house.published("meeting.rescheduled")
    assert told["subject"] == "Renamed"
    assert (await house.record(meeting_id))["problem"] is None


@pytest.mark.parametrize("last", [["Third"], ["Second", "Third"], ["Review"]])
@pytest.mark.parametrize("theirs", [False, True])
async def test_a_change_after_a_lost_answer_is_no_conflict_with_ourselves(
    house: Any, last: list[str], *, theirs: bool
) -> None:
    """Microsoft has the first change, and the record does not know it; the last may be the subject of before."""
    meeting_id = await booked(house)
    await house.microsoft.fault("done_but_error", times=1, match={"method": "PATCH"})
    await change(house, meeting_id, subject="First")
    assert (await event_of(house))[0] == "First"
    if theirs:
        await moved_in_outlook(house)
    for subject in last:
        shown = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": subject})
        assert shown.status_code == 200, shown.text
    await house.try_again()
    assert await event_of(house) == (last[-1], LATER if theirs else START)
    record = await house.record(meeting_id)
    assert (record["subject"], record["problem"]) == (last[-1], None)
    assert len(await house.published("meeting.rescheduled")) == 1
    await moved_in_outlook(house, 180)
    assert (await change(house, meeting_id, subject="Afterwards"))["problem"] is None


async def test_a_meeting_booked_by_an_older_version_keeps_what_outlook_changed(house: Any) -> None:
    meeting_id = await booked(house)
    await house.sql("UPDATE meeting SET shown = NULL")
    await moved_in_outlook(house)
    await change(house, meeting_id, subject="Renamed")
    assert await event_of(house) == ("Renamed", LATER)


async def test_a_rehearsal_long_before_does_not_end_the_meeting(house: Any) -> None:
    meeting_id = await booked(house)
    early = START - timedelta(hours=3)
    seen = {"org_id": "acme", "meeting_id": meeting_id, "created_at": early, "ended_at": early + timedelta(minutes=2)}
    await house.hear(ArtefactDetected(**seen, artefact_id="r1", kind="recording", aggregate_version=1))
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["ended"], shown["recording"]["duration_s"]) == ("scheduled", None, 120)
    assert await house.published("meeting.ended") == []
    assert (await change(house, meeting_id, subject="Renamed"))["subject"] == "Renamed"


async def test_a_late_online_meeting_is_waited_for_and_the_record_says_so(house: Any) -> None:
    await house.connect(on=False)
    await house.microsoft.fault("online_meeting_late", times=60)
    meeting_id = (await house.schedule()).json()["id"]
    for _ in range(40):
        await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("scheduling", "join_link_late")
    await house.microsoft.clear_faults()
    await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"], len(await house.events())) == ("scheduled", None, 1)


async def test_an_online_meeting_that_never_comes_is_given_as_the_reason(house: Any) -> None:
    await house.connect(on=False)
    await house.microsoft.fault("online_meeting_late", times=None)
    meeting_id = (await house.schedule()).json()["id"]
    await house.sql("UPDATE job SET tried_since = tried_since - interval '2 hours' WHERE kind = 'schedule'")
    await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("failed", "join_link_missing")
    assert "in your calendar already" in shown["problem"]["detail"]


async def test_a_calendar_without_teams_keeps_no_event(house: Any) -> None:
    await house.connect(on=False)
    await house.microsoft.do("meeting_policy", whose="contoso.example", online_meetings=False)
    refused = await house.schedule()
    assert (refused.status_code, refused.json()["code"]) == (409, "teams_not_offered")
    assert await house.events() == []
    assert (await house.record(refused.json()["meeting_id"]))["status"] == "failed"


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"start": "2020-03-01T10:00:00Z", "end": "2020-03-01T10:30:00Z"}, "start_in_the_past"),
        ({"start": "2020-03-01T10:00:00Z"}, "meeting_too_long"),
    ],
)
async def test_a_meeting_is_neither_made_in_the_past_nor_moved_there(house: Any, times: Any, code: str) -> None:
    meeting_id = await booked(house)
    for answer in (
        await house.post("another", **times),
        await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=times),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await house.record(meeting_id))["status"] == "scheduled"


async def test_an_attendee_is_invited_once_whatever_the_case(house: Any) -> None:
    await house.connect(on=False)
    people = [{"email": "bo@acme.example", "name": "Bo"}, {"email": "BO@acme.example"}, {"email": "ann@acme.example"}]
    shown = (await house.schedule(attendees=people)).json()
    assert [person["email"] for person in shown["attendees"]] == ["bo@acme.example", "ann@acme.example"]
    (event,) = await house.events()
    assert len(event["body"]["attendees"]) == 2


async def test_a_page_after_an_unknown_cursor_is_refused(house: Any) -> None:
    await booked(house)
    answer = await house.call("GET", "/v1/meetings?cursor=018f0000-0000-7000-8000-000000000001")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_cursor")


async def test_who_is_not_connected_is_led_to_where_it_is_done(house: Any) -> None:
    await house.hear(house.tenant(1))
    refused = await house.post()
    assert (refused.json()["code"], refused.json()["link"]) == ("account_not_connected", "/integrations")
