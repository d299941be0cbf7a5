"""Times as people read them, in the zone their browser named, and as they type them."""

import functools
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import Request

COOKIE = "prospo_time_zone"
"""Written by static/timezone.js, so not HttpOnly; it holds the name of a time zone and nothing else."""
_REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@functools.cache
def _known() -> frozenset[str]:
    """Every name. A process asks the machine once, for to look through its six hundred files takes 10 ms."""
    return frozenset(zoneinfo.available_timezones())


@functools.cache
def zones() -> dict[str, list[str]]:
    """Names by region, for a choice."""
    known = sorted(_known())
    regions = {region: [name for name in known if name.startswith(f"{region}/")] for region in _REGIONS}
    return {"": ["UTC"]} | {region: names for region, names in regions.items() if names}


def zone_named(name: str | None) -> ZoneInfo | None:
    return ZoneInfo(name) if name and name in _known() else None


def zone_of(request: Request) -> ZoneInfo:
    return zone_named(request.cookies.get(COOKIE)) or ZoneInfo("UTC")


def moment_of(text: str) -> datetime:
    """An API's time; raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def later(moment: datetime, passed: timedelta) -> datetime:
    """So much later in time, whatever the clocks of its zone do meanwhile."""
    return (moment.astimezone(UTC) + passed).astimezone(moment.tzinfo)


def lasting(start: datetime, end: datetime) -> timedelta:
    """How much time passes between two moments, whatever the clocks of their zone do meanwhile."""
    return end.astimezone(UTC) - start.astimezone(UTC)


def offset(moment: datetime) -> str:
    """``UTC+01:00``"""
    minutes = int((moment.utcoffset() or timedelta()).total_seconds()) // 60
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "UTC"


def day(moment: datetime) -> str:
    return f"{moment:%A} {moment.day} {moment:%B %Y}"


def zone_label(moment: datetime, zone: ZoneInfo) -> str:
    return zone.key if zone.key == "UTC" else f"{zone.key}, {offset(moment)}"


def when(text: str, zone: ZoneInfo) -> str:
    """``Tuesday 24 November 2026, 22:00 (Europe/Berlin, UTC+01:00)``"""
    moment = moment_of(text).astimezone(zone)
    return f"{day(moment)}, {moment:%H:%M} ({zone_label(moment, zone)})"


def day_of(text: str, zone: ZoneInfo) -> str:
    """``24 November 2026``"""
    moment = moment_of(text).astimezone(zone)
    return f"{moment.day} {moment:%B %Y}"


def span(start: str, end: str, zone: ZoneInfo) -> str:
    """As ``when``, with the end; the day is repeated only when it changes."""
    first, last = moment_of(start).astimezone(zone), moment_of(end).astimezone(zone)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{day(last)}, {last:%H:%M}"
    return f"{day(first)}, {first:%H:%M}–{until} ({zone_label(first, zone)})"


def local(text: str, zone: ZoneInfo) -> str:
    """The value of a ``datetime-local`` field."""
    return f"{moment_of(text).astimezone(zone):%Y-%m-%dT%H:%M}"


def typed(text: str, zone: ZoneInfo) -> datetime:
    """What was typed into a ``datetime-local`` field. Raises ValueError for no time or one the clocks skip."""
    naive = datetime.fromisoformat(text).replace(tzinfo=None)
    moment = naive.replace(tzinfo=zone)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ValueError(f"The clocks in {zone.key} skip this time. Choose another hour.")
    return moment


def next_hour(zone: ZoneInfo) -> datetime:
    return (datetime.now(zone) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
