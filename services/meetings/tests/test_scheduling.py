"""What a meeting is scheduled with beside times and people, and what its attendees answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

BEN, EVE = "ben@contoso.example", "eve@out.example"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
TIMES = {"start": TOMORROW.isoformat(), "end": (TOMORROW + timedelta(hours=1)).isoformat()}


async def booked(house: Any, *, on: bool = False, **more: Any) -> str:
    await house.connect(on=on)
    made = await house.schedule(**{**TIMES, "attendees": [{"email": BEN}, {"email": EVE}], **more})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def change(house: Any, meeting_id: str, **what: Any) -> Any:
    answer = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=what)
    assert answer.status_code == 200, answer.text
    await house.work()
    return await house.record(meeting_id)


async def event(house: Any) -> Any:
    (found,) = await house.events()
    return found


async def meeting_at_microsoft(house: Any) -> Any:
    (found,) = (await house.microsoft.state())["meetings"]
    return found


async def mails(house: Any) -> list[tuple[str, str]]:
    return [(one["kind"], one["to"]) for one in (await house.microsoft.state())["invitations"]]


async def in_outlook(house: Any, verb: str, **more: Any) -> None:
    await house.microsoft.do(verb, meeting=(await meeting_at_microsoft(house))["id"], **more)
    await house.sql("UPDATE mailbox_folder SET dirty = true")
    await house.look()


async def test_a_changed_agenda_leaves_the_rest_of_the_text_as_it_is(house: Any) -> None:
    meeting_id = await booked(house, body="First: <numbers>\nThen: plans")
    text = (await event(house))["body"]["body"]["content"]
    assert "First: &lt;numbers&gt;<br>Then: plans" in text
    outside = text.replace("<body>", "<body><p>From Outlook</p>")
    await in_outlook(house, "meeting_edited", body=outside)
    shown = await change(house, meeting_id, body="Only plans")
    content = (await event(house))["body"]["body"]["content"]
    assert (shown["body"], shown["problem"]) == ("Only plans", None)
    assert "Only plans" in content
    assert "numbers" not in content
    assert all(part in content for part in ("From Outlook", "me-email-headline"))
    assert await house.microsoft.findings() == []


async def test_an_agenda_written_in_outlook_is_shown_and_not_overwritten(house: Any) -> None:
    meeting_id = await booked(house, body="Ours")
    text = (await event(house))["body"]["body"]["content"]
    await in_outlook(house, "meeting_edited", body=text.replace("Ours", "Theirs<br>and <b>more</b>&nbsp;of it"))
    assert (await house.record(meeting_id))["body"] == "Theirs\nand more of it"
    unheard = {"meeting": (await meeting_at_microsoft(house))["id"], "body": text.replace("Ours", "Again")}
    await house.microsoft.do("meeting_edited", **unheard)
    shown = await change(house, meeting_id, body="Mine")
    assert (shown["body"], shown["problem"]["code"]) == ("Again", "changed_in_outlook")
    assert "“Mine” was wanted" in shown["problem"]["detail"]


async def test_lines_that_are_typed_into_the_agenda_in_outlook_belong_to_it(house: Any) -> None:
    meeting_id = await booked(house, body="Ours")
    text = (await event(house))["body"]["body"]["content"]
    typed = text.replace("Ours", "Ours<div>second</div><div>third <div>and more</div></div>")
    await in_outlook(house, "meeting_edited", body=typed)
    assert (await house.record(meeting_id))["body"] == "Ours\nsecond\nthird\nand more"
    assert (await change(house, meeting_id, body="Mine"))["body"] == "Mine"
    content = (await event(house))["body"]["body"]["content"]
    assert content == text.replace("Ours", "Mine"), "nothing of the former agenda is left, nothing else is changed"


@pytest.mark.parametrize("bare", [False, True])
async def test_an_event_without_a_marked_agenda_gets_one(house: Any, bare: bool) -> None:
    """The event is of an older version, or its text was rewritten in Outlook."""
    meeting_id = await booked(house)
    if bare:
        await house.sql("UPDATE meeting SET shown = shown - 'agenda' - 'zone' - 'options', body = 'Old'")
    shown = await change(house, meeting_id, body="New")
    content = (await event(house))["body"]["body"]["content"]
    assert (shown["body"], shown["problem"]) == ("New", None)
    assert all(part in content for part in ("New", "me-email-headline"))


async def test_attendees_see_the_meeting_in_its_own_zone(house: Any) -> None:
    meeting_id = await booked(house, time_zone="America/New_York")
    assert (await event(house))["zones"] == ["America/New_York"] * 2
    assert datetime.fromisoformat((await event(house))["start"]) == TOMORROW
    shown = await change(house, meeting_id, time_zone="Asia/Tokyo")
    assert (await event(house))["zones"] == ["Asia/Tokyo"] * 2
    assert (shown["time_zone"], datetime.fromisoformat(shown["start"])) == ("Asia/Tokyo", TOMORROW)
    (told,) = await house.published("meeting.rescheduled")
    assert (told["time_zone"], datetime.fromisoformat(told["start"])) == ("Asia/Tokyo", TOMORROW)
    for unknown in ("Mars/Olympus", "../etc/passwd", "W. Europe Standard Time", ""):
        answer = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"time_zone": unknown})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "time_zone"), unknown


@pytest.mark.parametrize("fold", [0, 1])
async def test_a_time_that_the_clock_shows_twice_is_the_right_one(house: Any, fold: int) -> None:
    """T11. New York turns its clocks back at 06:00 UTC on 3 November 2030."""
    start = datetime(2030, 11, 3, 5 + fold, 30, tzinfo=UTC)
    times = {"start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    await booked(house, **times, time_zone="America/New_York")
    assert datetime.fromisoformat((await event(house))["start"]) == start


async def test_who_need_not_come_is_invited_as_optional(house: Any) -> None:
    people = [{"email": BEN}, {"email": EVE, "type": "optional"}]
    meeting_id = await booked(house, attendees=people)
    assert [one["type"] for one in (await event(house))["body"]["attendees"]] == ["required", "optional"]
    shown = await change(house, meeting_id, attendees=[{"email": BEN, "type": "optional"}, people[1]])
    assert [one["type"] for one in (await event(house))["body"]["attendees"]] == ["optional", "optional"]
    (told,) = await house.published("meeting.rescheduled")
    assert [one["type"] for one in told["attendees"]] == [one["type"] for one in shown["attendees"]]


async def test_lobby_and_presenters_are_set_and_changed(house: Any) -> None:
    meeting_id = await booked(house, lobby="invited", presenters="organizer")
    options = (await meeting_at_microsoft(house))["options"]
    assert (options["lobbyBypassSettings"]["scope"], options["allowedPresenters"]) == ("invited", "organizer")
    shown = await change(house, meeting_id, lobby="everyone")
    options = (await meeting_at_microsoft(house))["options"]
    assert (options["lobbyBypassSettings"]["scope"], options["allowedPresenters"]) == ("everyone", "organizer")
    assert (shown["lobby"], shown["presenters"], shown["problem"]) == ("everyone", "organizer", None)
    assert await house.asked("PATCH", "/events/") == 0


async def test_refused_options_leave_a_usable_meeting_that_says_so(house: Any) -> None:
    await house.refuse(400, "*/onlineMeetings/*")
    meeting_id = await booked(house, lobby="invited")
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("scheduled", "options_refused")
    assert shown["auto_recording_reason"].startswith("An Org Admin has auto-recording switched off")


async def test_one_meeting_may_choose_not_to_record(house: Any) -> None:
    meeting_id = await booked(house, on=True, auto_recording=False)
    shown = await house.record(meeting_id)
    assert (await house.at_microsoft(), shown["auto_recording"]) == ([False], False)
    assert "chosen" in shown["auto_recording_reason"]
    for wanted in (True, False):
        shown = await change(house, meeting_id, auto_recording=wanted)
        assert (await house.at_microsoft(), shown["auto_recording"]) == ([wanted], wanted)
    told = await house.published("meeting.recording_changed")
    assert [(one["auto_recording"], one["code"]) for one in told] == [(True, None), (False, "chosen_off")]
    asked = await house.asked("PATCH")
    await house.hear(house.tenant(2, on=False), house.tenant(3, on=True))
    await house.try_again()
    assert (await house.at_microsoft(), await house.asked("PATCH")) == ([False], asked)


async def test_the_switch_of_the_organisation_has_the_last_word(house: Any) -> None:
    meeting_id = await booked(house, on=False, auto_recording=True)
    shown = await change(house, meeting_id, auto_recording=True)
    assert (await house.at_microsoft(), shown["auto_recording"]) == ([False], False)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_of_what_was_read_before_another_change_is_refused(house: Any, method: str) -> None:
    meeting_id = await booked(house)
    path = f"/v1/meetings/{meeting_id}"
    read = (await house.call("GET", path)).headers["ETag"]
    await change(house, meeting_id, subject="Another's")
    body = {"json": {"subject": "Mine"}} if method == "PATCH" else {}
    refused = await house.call(method, path, headers={"If-Match": read}, **body)
    assert (refused.status_code, refused.json()["code"]) == (412, "meeting_changed")
    assert ((await house.record(meeting_id))["subject"], len(await house.events())) == ("Another's", 1)
    read = (await house.call("GET", path)).headers["ETag"]
    assert (await house.call(method, path, headers={"If-Match": read}, **body)).status_code == 200


async def test_the_list_goes_by_time_with_filters_page_by_page(house: Any) -> None:
    await house.connect(on=False)
    starts = [TOMORROW + timedelta(days=days) for days in (5, 1, 9, 3)]
    for number, start in enumerate(starts):
        times = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
        await house.schedule(f"k{number}", **times, subject=str(number))
    cancelled = (await house.call("GET", "/v1/meetings")).json()["items"][0]
    await house.call("DELETE", f"/v1/meetings/{cancelled['id']}")

    async def listed(**params: Any) -> Any:
        return (await house.call("GET", "/v1/meetings", params={"order": "start", **params})).json()

    assert [one["subject"] for one in (await listed())["items"]] == ["1", "3", "0", "2"]
    first = await listed(limit=2, status="scheduled")
    rest = await listed(limit=2, status="scheduled", cursor=first["next_cursor"])
    assert [one["subject"] for one in first["items"] + rest["items"]] == ["1", "0", "2"]
    window = {"since": starts[3].isoformat(), "until": starts[2].isoformat()}
    assert [one["subject"] for one in (await listed(**window))["items"]] == ["3", "0"]
    assert (await listed(cursor=first["next_cursor"]))["code"] == "unknown_cursor", "of another list"
    other = await house.call("GET", "/v1/meetings", user="bo", params={"cursor": first["next_cursor"], "limit": 2})
    assert other.json()["code"] == "unknown_cursor"


async def test_answers_are_shown_and_each_is_told_once(house: Any) -> None:
    """T4: a silent answer is not visible, and not declined."""
    meeting_id = await booked(house, attendees=[{"email": BEN}, {"email": "carl@fabrikam.example"}, {"email": EVE}])
    await house.look()
    assert {one["response"] for one in (await house.record(meeting_id))["answers"]} == {"not_visible"}
    other = {"start": "2030-01-01T12:00:00", "end": "2030-01-01T13:00:00"}
    await in_outlook(house, "meeting_answered", person=BEN, answer="declined", propose=other)
    for _ in range(2):
        await house.sql("UPDATE mailbox_folder SET dirty = true, swept_at = NULL")
        await house.look()
    ben, *others = (await house.record(meeting_id))["answers"]
    assert (ben["email"], ben["response"], ben["proposed"]["start"]) == (BEN, "declined", "2030-01-01T12:00:00Z")
    assert ben["responded_at"] is not None
    assert {one["response"] for one in others} == {"not_visible"}
    (told,) = await house.published("meeting.attendee_responded")
    assert (told["email"], told["response"], told["proposed_end"]) == (BEN, "declined", "2030-01-01T13:00:00Z")
    assert told["aggregate_version"] == (await house.record(meeting_id))["version"]
    await in_outlook(house, "meeting_answered", person="carl@fabrikam.example", answer="accepted", silently=True)
    assert (await house.record(meeting_id))["answers"][1]["response"] == "not_visible", "nothing of it can be seen"
    assert await house.published("meeting.rescheduled") == []


async def test_many_quick_changes_are_one_update_and_one_mail_each(house: Any) -> None:
    meeting_id = await booked(house)
    for change_ in ({"subject": "One"}, {"body": "Agenda"}, {"time_zone": "Europe/Berlin"}, {"subject": "Two"}):
        await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=change_)
    await house.work()
    assert await house.asked("PATCH", "/events/") == 1
    assert (await mails(house))[2:] == [("update", BEN), ("update", EVE)]
