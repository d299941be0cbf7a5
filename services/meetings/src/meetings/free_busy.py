"""When people are free, from what Microsoft says of their calendars. Subjects, places and organizers are dropped here.

How much a colleague sees the owner of a calendar decides. Somebody may show a merged view alone, without entries:
one digit for each slot of the time that was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from meetings import working_hours
from meetings.working_hours import Span
from shared.graph import GraphCaller

SLOT = timedelta(minutes=15)
SHORTEST = timedelta(minutes=5)
"""Microsoft's shortest slot, and so the shortest time that can be asked for."""
_STATES = {
    "free": "free",
    "tentative": "tentative",
    "busy": "busy",
    "oof": "out_of_office",
    "workingelsewhere": "working_elsewhere",
}
_DIGITS = {"0": "free", "1": "tentative", "2": "busy", "3": "out_of_office", "4": "working_elsewhere"}
_UNKNOWN = "unknown"
_REFUSALS = {
    "5009": "unknown_address",
    "ErrorMailRecipientNotFound": "unknown_address",
    "5006": "too_many_entries",
}
"""Microsoft publishes no list of these; the numbers are as users report them, the names are those of Exchange."""


@dataclass(frozen=True, slots=True)
class Block:
    """``state`` is free, tentative, busy, out_of_office, working_elsewhere or unknown."""

    start: datetime
    end: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Seen:
    """``code`` says why nothing is visible; None when something is. ``working`` is None when Microsoft does not say."""

    email: str
    code: str | None
    blocks: tuple[Block, ...] = ()
    working: tuple[Span, ...] | None = None


async def look(caller: GraphCaller, addresses: Sequence[str], first: datetime, last: datetime) -> list[Seen]:
    """Each address in lower case, as the caller may see it, in the order given."""
    slot = SLOT if last - first >= SLOT else SHORTEST
    wanted = {
        "schedules": list(addresses),
        "startTime": _moment(first),
        "endTime": _moment(last),
        "availabilityViewInterval": slot // timedelta(minutes=1),
    }
    answer = await caller.post("/me/calendar/getSchedule", wanted)
    given = {str(one.get("scheduleId") or "").lower(): one for one in answer.get("value") or []}
    return [_seen(address, given.get(address), (first, last), slot) for address in addresses]


def _moment(value: datetime) -> dict[str, str]:
    return {"dateTime": value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "timeZone": "UTC"}


def _seen(email: str, said: dict[str, Any] | None, window: Span, slot: timedelta) -> Seen:
    error, items, merged = ((said or {}).get(name) for name in ("error", "scheduleItems", "availabilityView"))
    if error:
        return Seen(email, _REFUSALS.get(str(error.get("responseCode")), "not_shared"))
    if items is None and not merged:
        return Seen(email, "no_answer")
    blocks = [_block(item, window) for item in items] if items else _of_digits(merged or "", window, slot)
    hours = working_hours.within((said or {}).get("workingHours"), *window)
    shown = tuple(sorted((one for one in blocks if one.start < one.end), key=lambda one: one.start))
    return Seen(email, None, shown, None if hours is None else tuple(hours))


def _block(item: dict[str, Any], window: Span) -> Block:
    """Microsoft answers in UTC unless another zone is asked for."""
    start, end = (datetime.fromisoformat(item[name]["dateTime"][:19]).replace(tzinfo=UTC) for name in ("start", "end"))
    state = _STATES.get(str(item.get("status") or "").lower(), _UNKNOWN)
    return Block(max(start, window[0].astimezone(UTC)), min(end, window[1].astimezone(UTC)), state)


def _of_digits(merged: str, window: Span, slot: timedelta) -> list[Block]:
    """The blocks of a merged view that are not free."""
    first, last = (moment.astimezone(UTC) for moment in window)
    found, place = [], 0
    for digit, run in groupby(merged):
        start, place = first + place * slot, place + len(list(run))
        found.append(Block(start, min(first + place * slot, last), _DIGITS.get(digit, _UNKNOWN)))
    return [block for block in found if block.state != "free"]
