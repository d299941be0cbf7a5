"""How a series repeats, in our words and in Graph's ``patternedRecurrence``.

Ours: ``every`` day, week or month; ``interval``; ``weekdays`` of a weekly one; ``until``, the last day, or ``count``. A
rule that somebody made in Outlook and that has no such form is ``{"every": "other"}``: its occurrences are read all the
same.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

_TYPES = {"day": "daily", "week": "weekly", "month": "absoluteMonthly"}
_OURS = {kind: every for every, kind in _TYPES.items()}
OTHER = {"every": "other"}


def recurrence(repeats: dict[str, Any], start: datetime, zone: str) -> dict[str, Any]:
    """The recurrence of an event that begins at ``start``; days are those of its zone."""
    first = start.astimezone(ZoneInfo(zone))
    pattern: dict[str, Any] = {"type": _TYPES[repeats["every"]], "interval": repeats["interval"]}
    if repeats["every"] == "week":
        pattern |= {"daysOfWeek": repeats["weekdays"], "firstDayOfWeek": "monday"}
    if repeats["every"] == "month":
        pattern["dayOfMonth"] = first.day
    reach: dict[str, Any] = {"startDate": first.date().isoformat(), "recurrenceTimeZone": zone}
    if repeats.get("count"):
        reach |= {"type": "numbered", "numberOfOccurrences": repeats["count"]}
    else:
        reach |= {"type": "endDate", "endDate": repeats["until"]}
    return {"pattern": pattern, "range": reach}


def read(recurrence_: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ours of an event's; None of an event that does not repeat."""
    if not recurrence_:
        return None
    pattern, reach = recurrence_.get("pattern") or {}, recurrence_.get("range") or {}
    every = _OURS.get(pattern.get("type") or "")
    if every is None or reach.get("type") not in {"numbered", "endDate"}:
        return dict(OTHER)
    found: dict[str, Any] = {"every": every, "interval": pattern.get("interval") or 1}
    found["weekdays"] = list(pattern.get("daysOfWeek") or []) if every == "week" else []
    ends = reach["type"] == "endDate"
    return found | {"until": reach.get("endDate") if ends else None,
                    "count": None if ends else reach.get("numberOfOccurrences")}  # fmt: skip
