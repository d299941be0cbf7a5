"""A meeting that was said to be over and is moved in Outlook takes place at the new time: histories of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import ArtefactDetected

from .test_second_author import HOUR, TOMORROW, booked, by_a_look, in_outlook
from .test_series import booked as booked_series
from .test_series import in_outlook as of_series_in_outlook
from .test_series import meetings, series

DAY = timedelta(days=1)
LATER = TOMORROW + DAY


async def recorded(house: Any, meeting_id: str, began: datetime, number: int = 1) -> None:
    about = {"org_id": "acme", "meeting_id": meeting_id, "aggregate_version": number, "call_id": f"c{number}"}
    found = {"artefact_id": f"r{number}", "kind": "recording", "created_at": began, "ended_at": began + HOUR / 2}
    await house.hear(ArtefactDetected.model_validate(about | found))


async def unmet(house: Any) -> None:
    """The booked end is over, and nothing was heard of a call."""
    await house.hurry("booked_end")
    await house.work()


async def moved(house: Any, by: timedelta = DAY) -> None:
    await in_outlook(house, "meeting_rescheduled", later_minutes=by.total_seconds() / 60)
    await house.notified()


async def shown(house: Any, meeting_id: str) -> tuple[str, datetime, datetime | None]:
    """What the record says: whether it is over, when it is booked, when it ended."""
    record = await house.record(meeting_id)
    ended = record["ended"] and datetime.fromisoformat(record["ended"]["at"])
    return record["status"], datetime.fromisoformat(record["start"]), ended


async def version(house: Any, meeting_id: str) -> int:
    """Each change of the record is one more."""
    return int((await house.record(meeting_id))["version"])


async def calls(house: Any, meeting_id: str) -> list[tuple[str, datetime]]:
    found = (await house.record(meeting_id))["calls"]
    return [(one["part"], datetime.fromisoformat(one["began"])) for one in found]


async def ends(house: Any) -> list[tuple[datetime, str, datetime | None]]:
    """What was told of the end: when, by what, and which end it takes the place of."""
    said = await house.published("meeting.ended")
    corrects = [one["corrects"] and datetime.fromisoformat(one["corrects"]) for one in said]
    return [
        (datetime.fromisoformat(one["ended_at"]), one["source"], before)
        for one, before in zip(said, corrects, strict=True)
    ]


MET, UNMET = TOMORROW + HOUR / 2, TOMORROW + HOUR
"""When it was said to be over: people met, or not."""


async def over(house: Any, *, met: bool) -> str:
    meeting_id = await booked(house)
    await (recorded(house, meeting_id, TOMORROW) if met else unmet(house))
    assert await shown(house, meeting_id) == ("ended", TOMORROW, MET if met else UNMET)
    return meeting_id


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("met", [True, False])
async def test_moved_to_a_later_time_it_is_scheduled_again(house: Any, met: bool, lost: bool) -> None:
    meeting_id = await over(house, met=met)
    if lost:
        await house.microsoft.fault("drop_notifications", times=None)
    await moved(house)
    if lost:
        await by_a_look(house)
    assert await shown(house, meeting_id) == ("scheduled", LATER, None)
    (told,) = await house.published("meeting.rescheduled")
    assert (told["origin"], datetime.fromisoformat(told["start"])) == ("outlook", LATER)
    state = (await house.published("meeting.state"))[-1]
    assert (state["status"], state["ended_at"], state["aggregate_version"]) == (
        "scheduled",
        None,
        told["aggregate_version"],
    )
    assert len((await house.record(meeting_id))["recordings"]) == met, "what the first call made stays"
    await unmet(house)
    assert (await ends(house))[-1] == (LATER + HOUR, "booked_end", MET if met else UNMET)


async def test_a_second_call_at_the_new_time_is_its_own_and_corrects_the_end(house: Any) -> None:
    meeting_id = await over(house, met=True)
    await moved(house)
    await recorded(house, meeting_id, LATER, 2)
    assert await shown(house, meeting_id) == ("ended", LATER, LATER + HOUR / 2)
    assert await ends(house) == [(MET, "artefact", None), (LATER + HOUR / 2, "artefact", MET)]
    assert await calls(house, meeting_id) == [("rehearsal", TOMORROW), ("meeting", LATER)]
    assert len((await house.record(meeting_id))["recordings"]) == 2


@pytest.mark.parametrize("met", [True, False])
async def test_moved_back_it_is_over_as_it_was(house: Any, met: bool) -> None:
    meeting_id = await over(house, met=met)
    await moved(house)
    await moved(house, -DAY)
    await unmet(house)
    end = MET if met else UNMET
    assert await shown(house, meeting_id) == ("ended", TOMORROW, end)
    assert (await ends(house))[-1] == (end, "artefact" if met else "booked_end", end)
    assert [one[1] for one in await calls(house, meeting_id)] == ([TOMORROW] if met else [])


async def test_drawn_longer_after_an_early_end_it_ends_with_the_last_call(house: Any) -> None:
    meeting_id = await over(house, met=True)
    await moved(house, timedelta(minutes=20))
    assert await shown(house, meeting_id) == ("ended", TOMORROW + timedelta(minutes=20), MET)
    await recorded(house, meeting_id, TOMORROW + HOUR, 2)
    assert (await ends(house))[-1] == (TOMORROW + 1.5 * HOUR, "artefact", MET)
    assert [part for part, _ in await calls(house, meeting_id)] == ["meeting", "meeting"]


@pytest.mark.parametrize("met", [True, False])
async def test_cancelled_in_outlook_after_the_end_it_stays_over(house: Any, met: bool) -> None:
    """People clean up their calendars."""
    meeting_id = await over(house, met=met)
    before = await version(house, meeting_id)
    await in_outlook(house, "meeting_cancelled")
    await house.notified()
    await by_a_look(house)
    assert await version(house, meeting_id) == before
    assert await house.published("meeting.cancelled") == []


async def test_renamed_in_outlook_after_the_end_it_stays_over_under_its_name(house: Any) -> None:
    meeting_id = await over(house, met=True)
    before = await version(house, meeting_id)
    await in_outlook(house, "meeting_edited", subject="Renamed")
    await house.notified()
    assert await version(house, meeting_id) == before
    await moved(house)
    assert (await house.record(meeting_id))["subject"] == "Renamed"


async def test_moved_then_cancelled_it_is_cancelled(house: Any) -> None:
    meeting_id = await over(house, met=False)
    await moved(house)
    await in_outlook(house, "meeting_cancelled")
    await house.notified()
    assert (await shown(house, meeting_id))[0] == "cancelled"
    (told,) = await house.published("meeting.cancelled")
    assert told["origin"] == "outlook"


async def test_it_records_by_itself_as_the_switch_says_by_then(house: Any) -> None:
    meeting_id = await over(house, met=False)
    await house.hear(house.tenant(2, on=True))
    await house.work()
    assert await house.at_microsoft() == [False], "what is over is left alone"
    await moved(house)
    assert await house.at_microsoft() == [True]
    assert (await house.record(meeting_id))["auto_recording"] is True


async def test_a_change_of_ours_is_possible_again(house: Any) -> None:
    meeting_id = await over(house, met=True)
    path = f"/v1/meetings/{meeting_id}"
    refused = await house.call("PATCH", path, json={"subject": "Ours"})
    assert (refused.status_code, refused.json()["code"]) == (409, "meeting_not_scheduled")
    await moved(house)
    assert (await house.call("PATCH", path, json={"subject": "Ours"})).status_code == 200
    await house.work()
    assert [event["body"]["subject"] for event in await house.events()] == ["Ours"]


async def test_a_calendar_is_followed_for_a_week_after_the_last_meeting(house: Any) -> None:
    await over(house, met=False)
    await house.look()
    assert len((await house.microsoft.state())["subscriptions"]) == 1
    await house.sql("UPDATE meeting SET ends_at = clock_timestamp() - interval '6 days'")
    await house.look()
    assert len((await house.microsoft.state())["subscriptions"]) == 1
    await house.sql("UPDATE meeting SET ends_at = clock_timestamp() - interval '8 days'")
    await house.look()
    assert (await house.microsoft.state())["subscriptions"] == []


async def test_the_last_of_a_series_is_moved_after_all_of_it_was_over(house: Any) -> None:
    start = (datetime.now(UTC) + timedelta(minutes=2)).replace(microsecond=0)
    series_id = await booked_series(house, start=start, repeats={"every": "day", "count": 1})
    (only,) = await meetings(house, series_id)
    await recorded(house, only["id"], start)
    await house.sql("UPDATE meeting SET status = 'ended' WHERE repeats IS NOT NULL")
    await of_series_in_outlook(house, "meeting_rescheduled", occurrence=1, later_minutes=DAY.total_seconds() / 60)
    assert await shown(house, only["id"]) == ("scheduled", start + DAY, None)
    assert (await series(house, series_id))["status"] == "scheduled"
