"""The dates of a recurring event: six patterns and three ranges, as patternedRecurrence has them."""

import calendar
import datetime
from collections.abc import Callable, Iterator

from m365_simulator.store import Row

MOST = 200
"""Occurrences that are worked out of a series without an end."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PLACES = ("first", "second", "third", "fourth", "last")
NEEDS: dict[str, tuple[str, ...]] = {
    "daily": (),
    "weekly": ("daysOfWeek",),
    "absoluteMonthly": ("dayOfMonth",),
    "relativeMonthly": ("daysOfWeek",),
    "absoluteYearly": ("dayOfMonth", "month"),
    "relativeYearly": ("daysOfWeek", "month"),
}
RANGES = {"endDate": "endDate", "numbered": "numberOfOccurrences", "noEnd": ""}

LAST_DAY = "4500-12-31"
BOUNDS = {"interval": (1, 999), "dayOfMonth": (1, 31), "month": (1, 12), "numberOfOccurrences": (1, 999)}


class BadRecurrence(ValueError):
    """A pattern or range that lacks what its type needs."""


def check(recurrence: Row) -> None:
    pattern, reach = recurrence.get("pattern") or {}, recurrence.get("range") or {}
    missing = [name for name in NEEDS.get(pattern.get("type", ""), ("type",)) if not pattern.get(name)]
    if reach.get("type") not in RANGES:
        missing.append("range/type")
    needed = RANGES.get(reach.get("type", ""), "")
    missing += [name for name in ("startDate", needed) if name and not reach.get(name)]
    given = {**pattern, **reach}
    missing += [name for name, (least, most) in BOUNDS.items() if not least <= (given.get(name) or least) <= most]
    if str(reach.get("startDate") or "") > LAST_DAY:
        missing.append("startDate")
    if missing:
        raise BadRecurrence(f"The recurrence lacks {', '.join(missing)}, or the value is not possible.")


def dates(recurrence: Row) -> list[datetime.date]:
    """In order, at most ``MOST``."""
    pattern, reach = recurrence["pattern"], recurrence["range"]
    start = datetime.date.fromisoformat(reach["startDate"])
    last = datetime.date.fromisoformat(reach["endDate"]) if reach["type"] == "endDate" else datetime.date.max
    count = min(MOST, reach["numberOfOccurrences"] if reach["type"] == "numbered" else MOST)
    found: list[datetime.date] = []
    for day in GENERATORS[pattern["type"]](start, pattern):
        if day > last or len(found) == count:
            break
        if day >= start:
            found.append(day)
    return found


def _daily(start: datetime.date, pattern: Row) -> Iterator[datetime.date]:
    while True:
        yield start
        start += datetime.timedelta(days=pattern.get("interval", 1))


def _weekly(start: datetime.date, pattern: Row) -> Iterator[datetime.date]:
    first = DAYS.index(pattern.get("firstDayOfWeek") or "sunday")
    week = start - datetime.timedelta(days=(start.weekday() - first) % 7)
    days = sorted((DAYS.index(name) - first) % 7 for name in pattern["daysOfWeek"])
    while True:
        yield from (week + datetime.timedelta(days=day) for day in days)
        week += datetime.timedelta(weeks=pattern.get("interval", 1))


def _months(start: datetime.date, step: int) -> Iterator[tuple[int, int]]:
    at = start.year * 12 + start.month - 1
    while at // 12 <= min(datetime.MAXYEAR, start.year + MOST * step // 12 + 1):
        yield at // 12, at % 12 + 1
        at += step


def _absolute(year: int, month: int, pattern: Row) -> datetime.date:
    """The 31st is the last day of a shorter month."""
    return datetime.date(year, month, min(pattern["dayOfMonth"], calendar.monthrange(year, month)[1]))


def _relative(year: int, month: int, pattern: Row) -> datetime.date:
    wanted = {DAYS.index(name) for name in pattern["daysOfWeek"]}
    days = [datetime.date(year, month, day + 1) for day in range(calendar.monthrange(year, month)[1])]
    fitting = [day for day in days if day.weekday() in wanted]
    place = pattern.get("index") or "first"
    return fitting[-1 if place == "last" else PLACES.index(place)]


Place = Callable[[int, int, Row], datetime.date]


def _monthly(place: Place) -> Callable[[datetime.date, Row], Iterator[datetime.date]]:
    def generate(start: datetime.date, pattern: Row) -> Iterator[datetime.date]:
        return (place(year, month, pattern) for year, month in _months(start, pattern.get("interval", 1)))

    return generate


def _yearly(place: Place) -> Callable[[datetime.date, Row], Iterator[datetime.date]]:
    def generate(start: datetime.date, pattern: Row) -> Iterator[datetime.date]:
        begin = datetime.date(start.year, pattern["month"], 1)
        return (place(year, month, pattern) for year, month in _months(begin, 12 * pattern.get("interval", 1)))

    return generate


GENERATORS: dict[str, Callable[[datetime.date, Row], Iterator[datetime.date]]] = {
    "daily": _daily,
    "weekly": _weekly,
    "absoluteMonthly": _monthly(_absolute),
    "relativeMonthly": _monthly(_relative),
    "absoluteYearly": _yearly(_absolute),
    "relativeYearly": _yearly(_relative),
}
