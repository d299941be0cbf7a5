"""Series: one event in Outlook, whose occurrences are meetings here."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.events import ArtefactDetected

BEN, EVE = "ben@contoso.example", "eve@out.example"
BERLIN = ZoneInfo("Europe/Berlin")
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
DAY, WEEK = timedelta(days=1), timedelta(days=7)


def wanted(start: datetime = TOMORROW, **more: Any) -> dict[str, Any]:
    times = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    about = {"subject": "Weekly", "attendees": [{"email": BEN}], "repeats": {"every": "week", "count": 4}}
    return {**times, **about, **more}


async def post(house: Any, key: str = "s1", **more: Any) -> Any:
    return await house.call("POST", "/v1/meetings/series", json=wanted(**more), headers={"Idempotency-Key": key})


async def booked(house: Any, *, on: bool = False, **more: Any) -> str:
    await house.connect(on=on)
    made = await post(house, **more)
    assert made.status_code in {201, 202}, made.text
    await house.work()
    await house.look()
    return str(made.json()["id"])


async def meetings(house: Any, series_id: str) -> list[Any]:
    params = {"order": "start", "series_id": series_id, "limit": 100}
    found: list[Any] = (await house.call("GET", "/v1/meetings", params=params)).json()["items"]
    return found


async def series(house: Any, series_id: str) -> Any:
    return (await house.call("GET", f"/v1/meetings/series/{series_id}")).json()


def starts(found: list[Any]) -> list[datetime]:
    return [datetime.fromisoformat(one["start"]) for one in found if one["status"] == "scheduled"]


async def in_outlook(house: Any, verb: str, **more: Any) -> None:
    meeting = (await house.microsoft.state())["meetings"][0]["id"]
    await house.microsoft.do(verb, meeting=meeting, **more)
    await house.sql("UPDATE mailbox_folder SET dirty = true")
    await house.look()


async def mails(house: Any) -> list[tuple[str, str, Any]]:
    return [(one["kind"], one["to"], one["date"]) for one in (await house.microsoft.state())["invitations"]]


RULES: dict[str, tuple[dict[str, Any], list[timedelta]]] = {
    "daily": ({"every": "day", "interval": 2, "count": 3}, [0 * DAY, 2 * DAY, 4 * DAY]),
    "weekly": ({"every": "week", "count": 3}, [0 * WEEK, WEEK, 2 * WEEK]),
    "until": ({"every": "week", "until": (TOMORROW + 8 * DAY).date().isoformat()}, [0 * WEEK, WEEK]),
}


@pytest.mark.parametrize("rule", RULES)
async def test_each_occurrence_is_a_meeting_of_the_one_online_meeting(house: Any, rule: str) -> None:
    repeats, expected = RULES[rule]
    series_id = await booked(house, repeats=repeats)
    found = await meetings(house, series_id)
    assert starts(found) == [TOMORROW + later for later in expected]
    told = await house.published("meeting.scheduled")
    assert {event["meeting_id"] for event in told} == {one["id"] for one in found}
    assert {(event["series_id"], event["online_meeting_id"], event["join_url"]) for event in told} == {
        (series_id, (await house.at_microsoft("id"))[0], found[0]["join_url"])
    }
    starts_told = {event["meeting_id"]: event["original_start"] for event in told}  # in order per meeting only
    assert starts_told == {one["id"]: one["original_start"] for one in found}
    assert {state["meeting_id"] for state in await house.published("meeting.state")} == {one["id"] for one in found}
    assert len(await house.events()) == 1
    assert await mails(house) == [("invitation", BEN, None)]
    shown = await series(house, series_id)
    assert (shown["status"], shown["repeats"]["every"], shown["problem"]) == ("scheduled", repeats["every"], None)


async def test_a_monthly_series_is_on_its_day_and_far_ones_come_later(house: Any) -> None:
    """T9: the window of sixty days moves on, and cancels nothing."""
    series_id = await booked(house, repeats={"every": "month", "count": 12})
    first = await meetings(house, series_id)
    assert 2 <= len(first) <= 3
    assert {start.day for start in starts(first)} <= {TOMORROW.day, 28, 29, 30}
    await house.sql("UPDATE mailbox_folder SET swept_at = swept_at - interval '1 day'")
    await house.sql("DELETE FROM meeting WHERE id = :id", id=first[-1]["id"])  # as if its day had just come near
    await house.sql("UPDATE mailbox_folder SET dirty = true")
    await house.look()
    again = await meetings(house, series_id)
    assert [one["id"] for one in again] == [one["id"] for one in first], "the same id, whenever it is found"
    assert await house.published("meeting.cancelled") == []


async def test_a_series_keeps_its_local_time_when_the_clocks_change(house: Any) -> None:
    """T11, shown by Graph's instances: Berlin goes from UTC+1 to UTC+2 between two of them."""
    start = datetime(2027, 3, 24, 9, tzinfo=BERLIN)
    await house.connect(on=False)
    await post(house, start=start, time_zone="Europe/Berlin", repeats={"every": "week", "count": 2})
    await house.work()
    (event,) = await house.events()
    assert event["zones"] == ["Europe/Berlin"] * 2
    (slots,) = await house.at_microsoft("slots")
    found = [datetime.fromisoformat(slot[0]).astimezone(BERLIN) for slot in slots]
    assert [(one.hour, one.utcoffset()) for one in found] == [(9, timedelta(hours=1)), (9, timedelta(hours=2))]


@pytest.mark.parametrize("silent", [True, False])
async def test_deleting_the_third_in_outlook_cancels_exactly_that_one(house: Any, silent: bool) -> None:
    """T2. Microsoft tells of it as a change of the series only."""
    await house.microsoft.do("outlook_rules", write_subscribes=True, instance_deleted_silent=silent)
    series_id = await booked(house)
    before = await meetings(house, series_id)
    meeting = (await house.microsoft.state())["meetings"][0]["id"]
    await house.microsoft.do("meeting_cancelled", meeting=meeting, occurrence=3)
    await house.notified()
    after = await meetings(house, series_id)
    assert [one["status"] for one in after] == ["scheduled", "scheduled", "cancelled", "scheduled"]
    (told,) = await house.published("meeting.cancelled")
    assert (told["meeting_id"], told["original_start"]) == (before[2]["id"], before[2]["original_start"])
    assert (told["origin"], told["series_id"]) == ("outlook", series_id)


@pytest.mark.parametrize("stub", [True, False])
async def test_one_moved_in_outlook_keeps_its_identity_and_its_title(house: Any, stub: bool) -> None:
    """T3. Also over its neighbour."""
    await house.microsoft.do("outlook_rules", stub_occurrences=stub)
    series_id = await booked(house)
    before = await meetings(house, series_id)
    await in_outlook(house, "meeting_rescheduled", occurrence=2, later_minutes=8 * 24 * 60)
    after = {one["id"]: one for one in await meetings(house, series_id)}
    moved = after[before[1]["id"]]
    assert datetime.fromisoformat(moved["start"]) == TOMORROW + WEEK + 8 * DAY
    assert (moved["original_start"], moved["subject"]) == (before[1]["original_start"], "Weekly")
    (told,) = await house.published("meeting.rescheduled")
    assert (told["meeting_id"], told["origin"]) == (moved["id"], "outlook")
    others = [one for one in before if one["id"] != moved["id"]]
    assert [after[one["id"]]["start"] for one in others] == [one["start"] for one in others]


async def test_one_occurrence_is_moved_and_cancelled_alone(house: Any) -> None:
    series_id = await booked(house)
    first, second, third, _ = await meetings(house, series_id)
    later = {"start": (TOMORROW + WEEK + DAY).isoformat(), "end": (TOMORROW + WEEK + DAY + DAY / 24).isoformat()}
    answer = await house.call("PATCH", f"/v1/meetings/{second['id']}", json=later)
    assert answer.status_code == 200, answer.text
    await house.work()
    await house.call("DELETE", f"/v1/meetings/{third['id']}")
    await house.work()
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL")
    await house.look()
    now = await meetings(house, series_id)
    assert starts(now) == [TOMORROW, TOMORROW + WEEK + DAY, TOMORROW + 3 * WEEK]
    (moved,), (gone,) = await house.published("meeting.rescheduled"), await house.published("meeting.cancelled")
    assert (moved["meeting_id"], moved["origin"]) == (second["id"], "prospo")
    assert (gone["meeting_id"], gone["origin"]) == (third["id"], "prospo")
    days = [f"{TOMORROW + later:%Y%m%d}" for later in (WEEK, 2 * WEEK)]
    assert (await mails(house))[1:] == [("update", BEN, days[0]), ("cancellation", BEN, days[1])]
    assert first["id"] in {one["id"] for one in now}


async def test_an_attendee_of_one_occurrence_is_invited_to_that_one_only(house: Any) -> None:
    """T13."""
    series_id = await booked(house)
    _, second, *_ = await meetings(house, series_id)
    people = [{"email": BEN}, {"email": EVE}]
    await house.call("PATCH", f"/v1/meetings/{second['id']}", json={"attendees": people})
    await house.work()
    assert (await mails(house))[1:] == [("invitation", EVE, f"{TOMORROW + WEEK:%Y%m%d}")]
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL")
    await house.look()
    counts = [len(one["attendees"]) for one in await meetings(house, series_id)]
    assert counts == [1, 2, 1, 1]


async def test_a_change_of_the_series_reaches_every_occurrence_by_one_update(house: Any) -> None:
    series_id = await booked(house)
    etag = (await house.call("GET", f"/v1/meetings/series/{series_id}")).headers["ETag"]
    path = f"/v1/meetings/series/{series_id}"
    assert (await house.call("PATCH", path, json={"subject": "x"}, headers={"If-Match": '"0"'})).status_code == 412
    answer = await house.call("PATCH", path, json={"subject": "Renamed"}, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    await house.work()
    assert {one["subject"] for one in await meetings(house, series_id)} == {"Renamed"}
    told = await house.published("meeting.rescheduled")
    assert [event["origin"] for event in told] == ["prospo"] * 4
    assert (await mails(house))[1:] == [("update", BEN, None)]
    await in_outlook(house, "meeting_edited", subject="By Outlook")
    assert {one["subject"] for one in await meetings(house, series_id)} == {"By Outlook"}
    assert (await series(house, series_id))["subject"] == "By Outlook"


async def test_a_series_shortened_in_outlook_loses_its_last_ones(house: Any) -> None:
    series_id = await booked(house)
    await in_outlook(house, "meeting_shortened", occurrences=2)
    assert starts(await meetings(house, series_id)) == [TOMORROW, TOMORROW + WEEK]
    assert [event["origin"] for event in await house.published("meeting.cancelled")] == ["outlook"] * 2
    assert (await series(house, series_id))["repeats"]["count"] == 2


@pytest.mark.parametrize("where", ["prospo", "outlook"])
async def test_a_cancelled_series_cancels_every_occurrence_once(house: Any, where: str) -> None:
    series_id = await booked(house)
    if where == "prospo":
        assert (await house.call("DELETE", f"/v1/meetings/series/{series_id}")).json()["status"] == "cancelled"
        await house.work()
    else:
        await in_outlook(house, "meeting_cancelled")
    assert {one["status"] for one in await meetings(house, series_id)} == {"cancelled"}
    assert [event["origin"] for event in await house.published("meeting.cancelled")] == [where] * 4
    assert (await mails(house))[1:] == [("cancellation", BEN, None)]
    assert (await series(house, series_id))["status"] == "cancelled"
    if where == "outlook":
        await in_outlook(house, "meeting_restored")
        assert {one["status"] for one in await meetings(house, series_id)} == {"scheduled"}
        assert (await series(house, series_id))["status"] == "scheduled"


async def test_a_long_series_costs_a_bounded_round(house: Any) -> None:
    """T12: five hundred days, of which those of the window are read and kept."""
    series_id = await booked(house, repeats={"every": "day", "count": 500})
    found = await house.sql("SELECT count(*) FROM meeting WHERE series_id = :id", id=series_id)
    assert 55 <= found[0][0] <= 62
    asked = await house.asked("GET", "/events/")
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL")
    await house.look()
    assert await house.asked("GET", "/events/") - asked <= 3


async def test_a_series_without_end_is_not_taken_and_one_of_outlook_is_bounded(house: Any) -> None:
    await house.connect(on=False)
    for number, repeats in enumerate(
        (
            {"every": "week"},
            {"every": "week", "count": 4, "until": "2031-01-01"},
            {"every": "day", "count": 501},
            {"every": "day", "weekdays": ["monday"], "count": 2},
            {"every": "year", "count": 2},
            {"every": "day", "until": "9999-12-31"},
            {"every": "week", "count": 2, "weekdays": [f"{TOMORROW + DAY:%A}".lower()]},
        )
    ):
        refused = await post(house, f"bad{number}", repeats=repeats)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), repeats
    assert await house.rows("meeting") == []


async def test_an_endless_series_made_so_in_outlook_costs_as_little(house: Any) -> None:
    """T12. Its rule has no form of ours; its occurrences are read all the same."""
    series_id = await booked(house)
    event = (await house.events())[0]
    rule = event["body"]["recurrence"]
    endless = {"pattern": rule["pattern"], "range": {"type": "noEnd", "startDate": rule["range"]["startDate"]}}
    await in_outlook(house, "meeting_edited", recurrence=endless)
    assert 8 <= len(starts(await meetings(house, series_id))) <= 9
    assert (await series(house, series_id))["repeats"]["every"] == "other"


async def test_the_switch_turns_the_recording_of_a_series_once(house: Any) -> None:
    series_id = await booked(house, on=True)
    assert {one["auto_recording"] for one in await meetings(house, series_id)} == {True}
    asked = await house.asked("PATCH", "/onlineMeetings/")
    await house.hear(house.tenant(2, on=False))
    await house.try_again()
    assert {one["auto_recording"] for one in await meetings(house, series_id)} == {False}
    assert await house.asked("PATCH", "/onlineMeetings/") == asked + 1
    assert len(await house.published("meeting.recording_changed")) == 4
    one = (await meetings(house, series_id))[0]
    refused = await house.call("PATCH", f"/v1/meetings/{one['id']}", json={"auto_recording": False})
    assert (refused.status_code, refused.json()["code"]) == (409, "set_for_series")


async def test_a_series_is_no_meeting_and_of_nobody_else(house: Any) -> None:
    series_id = await booked(house)
    assert (await house.call("GET", f"/v1/meetings/{series_id}")).status_code == 404
    one = (await meetings(house, series_id))[0]
    assert (await house.call("GET", f"/v1/meetings/series/{one['id']}")).status_code == 404
    for method in ("GET", "DELETE"):
        for org, user in (("acme", "bo"), ("globex", "anna")):
            answer = await house.call(method, f"/v1/meetings/series/{series_id}", org=org, user=user)
            assert answer.status_code == 404
    again = await post(house)
    assert (again.json()["id"], len(await house.events())) == (series_id, 1)


@pytest.mark.parametrize(("minutes", "status"), [(5, "ended"), (3 * 24 * 60, "scheduled")])
async def test_one_that_was_said_to_be_over_follows_when_it_is_moved(house: Any, minutes: int, status: str) -> None:
    """News of a recording may come before the news that its occurrence was moved away from there."""
    series_id = await booked(house)
    first = (await meetings(house, series_id))[0]
    times = {"created_at": TOMORROW, "ended_at": TOMORROW + timedelta(minutes=50)}
    about = {
        "org_id": "acme",
        "aggregate_version": 1,
        "meeting_id": first["id"],
        "artefact_id": "r",
        "kind": "recording",
    }
    await house.hear(ArtefactDetected.model_validate(about | times))
    assert (await house.record(first["id"]))["status"] == "ended"
    await in_outlook(house, "meeting_rescheduled", occurrence=1, later_minutes=minutes)
    now = await house.record(first["id"])
    assert (now["status"], now["ended"] is not None) == (status, status == "ended")
    assert datetime.fromisoformat(now["start"]) == TOMORROW + timedelta(minutes=minutes)
    (told,) = await house.published("meeting.rescheduled")
    assert (told["meeting_id"], told["origin"]) == (first["id"], "outlook")
    await house.hurry("booked_end")
    await house.work()
    assert (await house.record(first["id"]))["status"] == "ended"


@pytest.mark.parametrize("minutes", [60, -60, 7])
@pytest.mark.parametrize("renamed", [True, False])
async def test_a_series_moved_in_outlook_moves_its_occurrences_which_stay(
    house: Any, minutes: int, renamed: bool
) -> None:
    """Whether the ids of its events stay at Microsoft as well, or not."""
    series_id = await booked(house)
    before = await meetings(house, series_id)
    if renamed:
        await house.sql("UPDATE meeting SET event_id = event_id || '-as-it-was' WHERE series_id IS NOT NULL")
    await in_outlook(house, "meeting_rescheduled", later_minutes=minutes)
    after = await meetings(house, series_id)
    assert [one["id"] for one in after] == [one["id"] for one in before]
    assert starts(after) == [start + timedelta(minutes=minutes) for start in starts(before)]
    told = await house.published("meeting.rescheduled")
    assert [event["origin"] for event in told] == ["outlook"] * 4
    assert await house.published("meeting.cancelled") == []
    assert len(await house.published("meeting.scheduled")) == 4


async def test_a_rule_changed_in_outlook_keeps_the_days_that_it_still_has(house: Any) -> None:
    series_id = await booked(house)
    before = await meetings(house, series_id)
    rule = (await house.events())[0]["body"]["recurrence"]
    await in_outlook(house, "meeting_edited", recurrence=rule | {"pattern": rule["pattern"] | {"interval": 2}})
    after = [one for one in await meetings(house, series_id) if one["status"] == "scheduled"]
    assert starts(after) == [TOMORROW + 2 * number * WEEK for number in range(4)]
    assert [one["id"] for one in after][:2] == [before[0]["id"], before[2]["id"]]
    gone = {event["meeting_id"] for event in await house.published("meeting.cancelled")}
    assert gone == {before[1]["id"], before[3]["id"]}
    assert (await series(house, series_id))["repeats"]["interval"] == 2


async def test_a_series_is_shared_at_once_and_what_comes_later_too(house: Any) -> None:
    series_id = await booked(house)
    before = await meetings(house, series_id)
    path = f"/v1/meetings/series/{series_id}"
    for user in ("bo", "boss"):
        refused = await house.call("PATCH", path, json={"shared_with_attendees": True}, user=user)
        assert refused.status_code == 404
    await house.sql("UPDATE meeting SET status = 'ended' WHERE id = :id", id=before[0]["id"])
    await house.sql("DELETE FROM meeting WHERE id = :id", id=before[3]["id"])
    asked = await house.asked("PATCH")
    shown = await house.call("PATCH", path, json={"shared_with_attendees": True})
    assert shown.json()["shared_with_attendees"] is True
    assert {one["shared_with_attendees"] for one in await meetings(house, series_id)} == {True}
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL, dirty = true")
    await house.look()
    now = await meetings(house, series_id)
    assert [one["shared_with_attendees"] for one in now] == [True] * 4, "the one that came later too"
    one = f"/v1/meetings/{now[1]['id']}"
    await house.call("PATCH", one, json={"shared_with_attendees": False})
    assert [one["shared_with_attendees"] for one in await meetings(house, series_id)] == [True, False, True, True]
    assert await house.asked("PATCH") == asked, "Microsoft is told nothing"
    await house.hear(house.person(2, connected=False))
    answer = await house.call("PATCH", path, json={"shared_with_attendees": False})
    assert answer.status_code == 200, "connected or not"
    assert {one["shared_with_attendees"] for one in await meetings(house, series_id)} == {False}
