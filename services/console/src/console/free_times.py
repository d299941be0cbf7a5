"""Times at which several people are free, found in what the API tells of their calendars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from console import times
from console.backend import Json

Span = tuple[datetime, datetime]
STEP = timedelta(minutes=30)
NOT_FREE = ("out_of_office", "busy", "unknown", "tentative")
"""States in which nobody is asked to a meeting, the strongest first."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """One person's. ``working`` is None where Microsoft does not say when the person works."""

    email: str
    detail: str | None
    """Why nothing is visible."""
    blocks: Sequence[tuple[datetime, datetime, str]]
    working: Sequence[Span] | None

    @classmethod
    def of(cls, told: Json) -> Self:
        moment = times.moment_of
        hours = told["working_hours"]
        return cls(
            email=told["email"],
            detail=None if told["visible"] else told["detail"],
            blocks=[(moment(one["start"]), moment(one["end"]), one["state"]) for one in told["blocks"]],
            working=None if hours is None else [(moment(one["start"]), moment(one["end"])) for one in hours],
        )

    @property
    def visible(self) -> bool:
        return self.detail is None

    def standing(self, start: datetime, end: datetime) -> str:
        """What the person is at a time; free and working elsewhere only within the working hours."""
        if not self.visible:
            return "not_visible"
        states = {state for begin, finish, state in self.blocks if begin < end and finish > start}
        taken = next((state for state in NOT_FREE if state in states), None)
        works = self.working is None or any(begin <= start and end <= finish for begin, finish in self.working)
        return taken or ("free" if works else "outside_hours")


def proposals(
    people: Sequence[Calendar], within: Span, length: timedelta, zone: ZoneInfo, most: int = 3
) -> list[datetime]:
    """The first starts, on the half hours of ``zone``, at which everybody is free; of two none overlaps.

    An hour that the clocks show twice is taken the first time only, for that is what a form can say.
    """
    found: list[datetime] = []
    at, last = _half_hour(within[0], zone), within[1]
    while times.later(at, length) <= last and len(found) < most:
        suits = not at.fold and all(one.standing(at, times.later(at, length)) == "free" for one in people)
        found += [at] if suits else []
        at = _half_hour(times.later(at, length), zone) if suits else times.later(at, STEP)
    return found


def _half_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    """The next full or half hour that the clock shows, or this one."""
    local = moment.astimezone(zone)
    over = timedelta(minutes=local.minute % 30, seconds=local.second, microseconds=local.microsecond)
    return times.later(local, STEP - over) if over else local


def clipped(spans: Sequence[Span], day: Span) -> list[Span]:
    """The parts of these times within a day."""
    cut = [(max(start, day[0]), min(end, day[1])) for start, end in spans]
    return [(start, end) for start, end in cut if start < end]
