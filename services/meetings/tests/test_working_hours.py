"""Working hours in Microsoft's words, as moments: zones of Windows and Exchange, nights, days of clock changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator.outlook import zones
from meetings import working_hours
from meetings import zones as ours

Json = dict[str, Any]
WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday"]
PACIFIC: Json = {
    "@odata.type": "#microsoft.graph.customTimeZone",
    "bias": 480,
    "name": "Customized Time Zone",
    "standardOffset": {"time": "02:00:00.0000000", "dayOccurrence": 1, "dayOfWeek": "sunday", "month": 11, "year": 0},
    "daylightOffset": {
        "daylightBias": -60,
        "time": "02:00:00.0000000",
        "dayOccurrence": 2,
        "dayOfWeek": "sunday",
        "month": 3,
        "year": 0,
    },
}
"""As https://learn.microsoft.com/graph/api/calendar-getschedule shows it."""
LAST_SUNDAY = {"dayOccurrence": 5, "dayOfWeek": "sunday"}
BERLIN: Json = {
    "bias": -60,
    "standardOffset": {**LAST_SUNDAY, "month": 10},
    "daylightOffset": {**LAST_SUNDAY, "month": 3, "daylightBias": -60},
}
SYDNEY: Json = {
    "bias": -600,
    "standardOffset": {"dayOccurrence": 1, "dayOfWeek": "sunday", "month": 4},
    "daylightOffset": {"dayOccurrence": 1, "dayOfWeek": "sunday", "month": 10, "daylightBias": -60},
}


def hours(zone: Json | str, *days: str, start: str = "08:00", end: str = "17:00") -> Json:
    named = {"name": zone} if isinstance(zone, str) else zone
    times = {"startTime": f"{start}:00.0000000", "endTime": f"{end}:00.0000000"}
    return {"daysOfWeek": list(days) or WEEK, **times, "timeZone": named}


def within(said: Json | None, first: str, days: float = 1) -> list[str] | None:
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    found = working_hours.within(said, begin, begin + timedelta(days=days))
    return None if found is None else [f"{one:%d %H:%M}-{two:%d %H:%M}" for one, two in found]


@pytest.mark.parametrize(
    ("said", "first", "expected"),
    [
        (hours("UTC"), "2030-01-01", ["01 08:00-01 17:00"]),
        (hours("UTC"), "2030-01-05", []),
        (hours("UTC"), "2030-01-01T09:00", ["01 09:00-01 17:00", "02 08:00-02 09:00"]),
        (hours("W. Europe Standard Time"), "2030-01-01", ["01 07:00-01 16:00"]),
        (hours("w. europe standard time"), "2030-07-01", ["01 06:00-01 15:00"]),
        (hours("Europe/Berlin", "sunday"), "2030-03-31", ["31 06:00-31 15:00"]),
        (hours("Europe/Berlin", "saturday"), "2030-03-30", ["30 07:00-30 16:00"]),
        (hours("Europe/Berlin", "sunday"), "2030-10-27", ["27 07:00-27 16:00"]),
        (hours("Europe/Berlin", "sunday", start="00:00", end="00:00"), "2030-03-31", ["31 00:00-31 22:00"]),
        (hours("Pacific Standard Time", "monday"), "2030-01-07", ["07 16:00-08 00:00"]),
        (hours("Pacific Standard Time", "monday"), "2030-01-08", ["08 00:00-08 01:00"]),
        (hours("UTC", "monday", start="22:00", end="06:00"), "2030-01-08", ["08 00:00-08 06:00"]),
        (hours("Line Islands Standard Time", "tuesday"), "2030-01-07", ["07 18:00-08 00:00"]),
        (hours(PACIFIC, "friday"), "2030-03-08", ["08 16:00-09 00:00"]),
        (hours(PACIFIC, "monday"), "2030-03-11", ["11 15:00-12 00:00"]),
        (hours(PACIFIC, "sunday"), "2030-11-03", ["03 16:00-04 00:00"]),
        (hours(PACIFIC, "saturday"), "2030-11-02", ["02 15:00-03 00:00"]),
        (hours(BERLIN, "saturday"), "2030-03-30", ["30 07:00-30 16:00"]),
        (hours(BERLIN, "sunday"), "2030-03-31", ["31 06:00-31 15:00"]),
        (hours(BERLIN, "sunday"), "2030-10-27", ["27 07:00-27 16:00"]),
        (hours(SYDNEY, "tuesday"), "2030-01-01", ["01 00:00-01 06:00"]),
        (hours(SYDNEY, "monday"), "2030-07-01", ["01 00:00-01 07:00"]),
        (hours({"bias": -330}, "monday"), "2030-07-01", ["01 02:30-01 11:30"]),
    ],
)
def test_working_hours_are_found_on_the_clock_of_who_works(said: Json, first: str, expected: list[str]) -> None:
    assert within(said, first) == expected


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        hours("Nowhere"),
        hours(""),
        hours("../etc/passwd"),
        hours("UTC", "someday"),
        hours("UTC", start="25:00"),
        hours({"bias": "480"}),
        hours({"bias": 100_000}),
        hours(PACIFIC | {"standardOffset": {"month": 13}}),
        hours("UTC") | {"daysOfWeek": None},
        hours("UTC") | {"timeZone": None},
        hours("UTC") | {"timeZone": "UTC"},
    ],
)
def test_what_cannot_be_read_is_not_told_rather_than_guessed(said: Json | None) -> None:
    assert within(said, "2030-01-01") is None


def test_a_month_has_the_hours_of_each_of_its_days() -> None:
    found = within(hours("Europe/Berlin"), "2030-03-01", 31)
    assert found is not None
    assert len(found) == 21
    assert {one[3:8] for one in found} == {"07:00"}, "the clocks change on the last day"


def test_the_names_of_zones_are_those_that_the_simulator_has() -> None:
    assert ours.windows() == zones.windows()
