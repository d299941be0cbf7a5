"""Somebody's working hours in Microsoft's words, as the moments of the days that are asked for."""

import functools
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from meetings import zones

Span = tuple[datetime, datetime]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LAST = 5
"""The occurrence of a weekday that means the last of the month."""


def within(said: dict[str, Any] | None, first: datetime, last: datetime) -> list[Span] | None:
    """The parts between two moments in which the person works, in UTC; None when that is not said, or not readable."""
    try:
        return _found(said or {}, first, last)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _found(said: dict[str, Any], first: datetime, last: datetime) -> list[Span]:
    """Raises for what cannot be read."""
    at = _clock(said["timeZone"] or {})
    days = {_DAYS.index(str(name).lower()) for name in said["daysOfWeek"]}
    begins, ends = (time.fromisoformat(str(said[name])[:8]) for name in ("startTime", "endTime"))
    night = timedelta(days=ends <= begins)
    found = []
    for number in range((last - first).days + 5):  # two days more at either end, for other zones and for nights
        day = first.date() + timedelta(days=number - 2)
        start, end = max(at(day, begins), first), min(at(day + night, ends), last)
        if day.weekday() in days and start < end:
            found.append((start.astimezone(UTC), end.astimezone(UTC)))
    return found


def _clock(zone: dict[str, Any]) -> Callable[[date, time], datetime]:
    """A function that turns a day and a clock time into a moment. Raises ``KeyError`` for an unknown zone."""
    name = zones.named(str(zone.get("name") or ""))
    if name is None:
        return functools.partial(_custom, zone["bias"], zone)
    known = ZoneInfo(name)
    return lambda day, clock: datetime.combine(day, clock, known)


def _custom(minutes: int, zone: dict[str, Any], day: date, clock: time) -> datetime:
    """A moment by a zone that Exchange describes. The day on which the clocks change counts as after the change."""
    summer, winter = zone.get("daylightOffset") or {}, zone.get("standardOffset") or {}
    if summer.get("month") and winter.get("month"):
        on, off = _change(summer, day.year), _change(winter, day.year)
        light = on <= day < off if on < off else not off <= day < on
        minutes += summer.get("daylightBias", 0) if light else 0
    return datetime.combine(day, clock, timezone(timedelta(minutes=-minutes)))


def _change(rule: dict[str, Any], year: int) -> date:
    """The day of a year on which the clocks change, such as the second Sunday of March."""
    month, wanted = rule["month"], _DAYS.index(rule.get("dayOfWeek", "sunday"))
    before, length = monthrange(year, month)
    number = 1 + (wanted - before) % 7 + 7 * (min(rule.get("dayOccurrence", 1), _LAST) - 1)
    return date(year, month, number - 7 if number > length else number)
