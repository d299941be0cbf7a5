"""Another time zone, chosen in Outlook or in Prospo: of a meeting, of a series, of one occurrence."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from meetings import series as series_of_meetings

from .test_series import booked as booked_series
from .test_series import in_outlook as of_series_in_outlook
from .test_series import meetings, series, starts

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
EASTERN = "Eastern Standard Time"
"""As Microsoft names it."""
HOUR = timedelta(hours=1)
WINTER, SUMMER = datetime(2030, 1, 15, 10, tzinfo=BERLIN), datetime(2030, 7, 15, 10, tzinfo=BERLIN)


async def booked(house: Any, start: datetime = WINTER, zone: str = "Europe/Berlin") -> str:
    await house.microsoft.do("outlook_rules", write_subscribes=True)
    await house.connect(on=False)
    times = {"start": start.isoformat(), "end": (start + HOUR).isoformat(), "time_zone": zone}
    (meeting_id,) = await house.booked(**times)
    await house.look()
    await house.notified()
    return str(meeting_id)


async def in_outlook(house: Any, zone: str, **more: Any) -> None:
    link = (await house.microsoft.state())["meetings"][0]["join_url"]
    await house.microsoft.do("meeting_rezoned", meeting=link, zone=zone, **more)
    await house.notified()


async def shown(house: Any, meeting_id: str) -> tuple[str, datetime]:
    record = await house.record(meeting_id)
    assert record["problem"] is None
    return record["time_zone"], datetime.fromisoformat(record["start"])


async def told(house: Any) -> list[tuple[str, str, datetime]]:
    events = await house.published("meeting.rescheduled")
    return [(one["origin"], one["time_zone"], datetime.fromisoformat(one["start"])) for one in events]


async def at_microsoft(house: Any) -> list[Any]:
    return [event["zones"] for event in await house.events()]


@pytest.mark.parametrize("start", [WINTER, SUMMER], ids=["winter", "summer"])
@pytest.mark.parametrize("same_moment", [True, False])
async def test_a_zone_chosen_in_outlook_is_that_of_the_record(house: Any, start: datetime, same_moment: bool) -> None:
    meeting_id = await booked(house, start)
    (scheduled,) = await house.published("meeting.scheduled")
    assert scheduled["time_zone"] == "Europe/Berlin"
    await in_outlook(house, EASTERN, same_moment=same_moment)
    when = start if same_moment else start.replace(tzinfo=NEW_YORK)
    assert await shown(house, meeting_id) == ("America/New_York", when)
    await house.notified()
    await house.look()
    assert await told(house) == [("outlook", "America/New_York", when)]


@pytest.mark.parametrize("name", ["W. Europe Standard Time", "Europe/Vienna", "Europe/Berlin"])
async def test_another_name_of_the_same_clock_is_no_change(house: Any, name: str) -> None:
    meeting_id = await booked(house, zone="Europe/Vienna")
    await in_outlook(house, name, same_moment=True)
    assert (await shown(house, meeting_id), await told(house)) == (("Europe/Vienna", WINTER), [])
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Ours"})
    await house.work()
    assert await told(house) == [("prospo", "Europe/Vienna", WINTER)]


async def test_a_zone_chosen_in_prospo_is_told_once_and_read_back_as_no_news(house: Any) -> None:
    meeting_id = await booked(house)
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"time_zone": "America/Detroit"})
    await house.work()
    await house.notified()
    await house.look()
    assert await shown(house, meeting_id) == ("America/Detroit", WINTER)
    assert await told(house) == [("prospo", "America/Detroit", WINTER)]
    assert await at_microsoft(house) == [["America/Detroit"] * 2]


async def test_an_hour_that_the_clock_shows_twice_changes_no_zone(house: Any) -> None:
    twice = datetime(2030, 10, 27, 1, 30, tzinfo=UTC)
    meeting_id = await booked(house, twice)
    assert (await at_microsoft(house))[0][0] == "UTC"
    link = (await house.microsoft.state())["meetings"][0]["join_url"]
    await house.microsoft.do("meeting_edited", meeting=link, subject="Renamed")
    await house.notified()
    assert await shown(house, meeting_id) == ("Europe/Berlin", twice)


async def test_what_both_chose_otherwise_stays_as_it_is_in_outlook_and_is_said(house: Any) -> None:
    meeting_id = await booked(house)
    await house.microsoft.fault("drop_notifications", times=None)
    await in_outlook(house, EASTERN, same_moment=True)
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"time_zone": "Asia/Tokyo"})
    await house.work()
    record = await house.record(meeting_id)
    assert (record["time_zone"], record["problem"]["code"]) == ("America/New_York", "changed_in_outlook")
    assert "the time zone is “America/New_York” there, “Asia/Tokyo” was wanted" in record["problem"]["detail"]
    assert await at_microsoft(house) == [[EASTERN] * 2]


async def test_a_time_of_ours_is_written_in_the_zone_that_was_chosen_in_outlook(house: Any) -> None:
    meeting_id = await booked(house)
    await house.microsoft.fault("drop_notifications", times=None)
    link = (await house.microsoft.state())["meetings"][0]["join_url"]
    await house.microsoft.do("meeting_rezoned", meeting=link, zone=EASTERN, same_moment=True)
    later = WINTER + HOUR
    change = {"start": later.isoformat(), "end": (later + HOUR).isoformat()}
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=change)
    await house.work()
    assert await shown(house, meeting_id) == ("America/New_York", later)
    assert await at_microsoft(house) == [["America/New_York"] * 2]
    assert (await told(house))[-1][1:] == ("America/New_York", later)


async def test_an_older_record_takes_over_a_zone_and_not_its_own_utc(house: Any) -> None:
    meeting_id = await booked(house)
    await house.sql("UPDATE meeting SET shown = shown - 'zone_name'")
    await in_outlook(house, "UTC", same_moment=True)
    assert await shown(house, meeting_id) == ("Europe/Berlin", WINTER)
    await in_outlook(house, EASTERN, same_moment=True)
    assert await shown(house, meeting_id) == ("America/New_York", WINTER)


TOMORROW = (
    (datetime.now(UTC) + timedelta(days=1)).astimezone(BERLIN).replace(hour=10, minute=0, second=0, microsecond=0)
)
YEAR = {"every": "week", "count": 52}


@pytest.mark.parametrize("renamed", [True, False])
@pytest.mark.parametrize(("hour", "zone", "there"), [(10, EASTERN, NEW_YORK), (1, EASTERN, NEW_YORK)])
async def test_a_series_in_another_zone_keeps_its_clock_and_its_occurrences(
    house: Any, monkeypatch: pytest.MonkeyPatch, renamed: bool, hour: int, zone: str, there: ZoneInfo
) -> None:
    """T11. Over both changes of the clocks, whether Microsoft's ids of occurrences stay or not."""
    monkeypatch.setattr(series_of_meetings, "AHEAD", timedelta(days=400))
    first = TOMORROW.replace(hour=hour)
    series_id = await booked_series(house, start=first, time_zone="Europe/Berlin", repeats=YEAR)
    before = await meetings(house, series_id)
    days = [start.astimezone(BERLIN) for start in starts(before)]
    assert ({start.hour for start in days}, len(days)) == ({hour}, 52)
    if renamed:
        await house.sql("UPDATE meeting SET event_id = event_id || '-as-it-was' WHERE series_id IS NOT NULL")
    await of_series_in_outlook(house, "meeting_rezoned", zone=zone)
    after = await meetings(house, series_id)
    assert [one["id"] for one in after] == [one["id"] for one in before]
    assert [one["original_start"] for one in after] == [one["original_start"] for one in before]
    now = [start.astimezone(there) for start in starts(after)]
    assert [start.replace(tzinfo=None) for start in now] == [start.replace(tzinfo=None) for start in days]
    assert len({start.utcoffset() for start in now}) == (2 if there == NEW_YORK else 1)
    assert {one["time_zone"] for one in after} == {(await series(house, series_id))["time_zone"]} == {there.key}
    events = await told(house)
    assert [event[:2] for event in events] == [("outlook", there.key)] * 52
    assert await house.published("meeting.cancelled") == []


async def test_one_occurrence_in_another_zone_is_so_alone(house: Any) -> None:
    series_id = await booked_series(house, start=TOMORROW, time_zone="Europe/Berlin")
    before = await meetings(house, series_id)
    await of_series_in_outlook(house, "meeting_rezoned", zone=EASTERN, occurrence=2)
    after = await meetings(house, series_id)
    assert [one["time_zone"] for one in after] == [
        "Europe/Berlin",
        "America/New_York",
        "Europe/Berlin",
        "Europe/Berlin",
    ]
    assert [one["id"] for one in after] == [one["id"] for one in before]
    moved = datetime.fromisoformat(before[1]["start"]).astimezone(BERLIN).replace(tzinfo=NEW_YORK)
    assert await told(house) == [("outlook", "America/New_York", moved)]
    assert (await series(house, series_id))["time_zone"] == "Europe/Berlin"
