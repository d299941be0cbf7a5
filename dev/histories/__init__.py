"""Forty labelled histories: what was booked and changed behind one join link, and what was recorded in it.

Each file has ``meetings`` as first booked (``series`` names the series), ``changes`` in their order (``moved`` with the
new times, or ``cancelled``), and ``artefacts`` as they arrive, each with the meeting that it truly ``belongs`` to.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from recording_ingest.assigning import Kin, Occurrence, decide
from recording_ingest.graph import Artefact, Kind

FOLDER = Path(__file__).parent
Policy = Callable[[Artefact, list[Occurrence], list[Kin]], str | None]
"""What is found, the occurrences as booked then, and what has its place; gives a meeting, or None for unassigned."""


@dataclass(frozen=True, slots=True)
class Change:
    """``start`` and ``end`` are None for a cancellation."""

    meeting_id: str
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """``series`` has the series of each meeting, None of a single one; ``artefacts`` where each belongs."""

    name: str
    about: str
    booked: tuple[Occurrence, ...]
    series: dict[str, str | None]
    changes: tuple[Change, ...]
    artefacts: tuple[tuple[Artefact, str], ...]

    def now(self) -> list[Occurrence]:
        """The occurrences after all changes."""
        found = {one.meeting_id: one for one in self.booked}
        for change in self.changes:
            one = found[change.meeting_id]
            if change.start is None or change.end is None:
                found[change.meeting_id] = replace(one, cancelled=True)
            else:
                found[change.meeting_id] = replace(one, start=change.start, end=change.end)
        return list(found.values())


@cache
def histories() -> tuple[History, ...]:
    return tuple(_read(json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json")))


def ours(found: Artefact, occurrences: list[Occurrence], kin: list[Kin]) -> str | None:
    return decide(found, occurrences, kin).meeting_id


def first_of_series(_found: Artefact, occurrences: list[Occurrence], _kin: list[Kin]) -> str | None:
    """What an integration does that knows the series by its join link only."""
    return min(occurrences, key=lambda one: one.start).meeting_id


def nearest_start(found: Artefact, occurrences: list[Occurrence], _kin: list[Kin]) -> str | None:
    """The occurrence whose booked start is nearest, cancelled or not."""
    return min(occurrences, key=lambda one: abs(one.start - found.created_at)).meeting_id


def judged(policy: Policy) -> Counter[str]:
    """Artefacts by outcome: right, wrong, unassigned."""
    return Counter(outcome for history in histories() for _, outcome in played(history, policy))


def played(history: History, policy: Policy) -> Iterator[tuple[Artefact, str]]:
    kin: list[Kin] = []
    for found, belongs in history.artefacts:
        chosen = policy(found, history.now(), kin)
        if chosen is not None:
            kin.append(Kin(chosen, found.call_id, found.content_correlation_id))
        yield found, "unassigned" if chosen is None else "right" if chosen == belongs else "wrong"


def _read(told: dict[str, Any]) -> History:
    at = datetime.fromisoformat
    booked = [
        Occurrence(one["id"], at(one["start"]), at(one["end"]), series=one["series"] is not None)
        for one in told["meetings"]
    ]
    changes = [
        Change(one["moved"], at(one["start"]), at(one["end"]))
        if "moved" in one
        else Change(one["cancelled"], None, None)
        for one in told["changes"]
    ]
    series = {one["id"]: one["series"] for one in told["meetings"]}
    artefacts = tuple((_artefact(told["name"], one), str(one["belongs"])) for one in told["artefacts"])
    return History(told["name"], told["about"], tuple(booked), series, tuple(changes), artefacts)


def _artefact(history: str, one: dict[str, Any]) -> Artefact:
    kind: Kind = "recording" if one["kind"] == "recording" else "transcript"
    call, pair = (f"{history}-{one[name]}" if one[name] else None for name in ("call", "pair"))
    ended = datetime.fromisoformat(one["ended"]) if one["ended"] else None
    return Artefact(kind, f"{history}-{one['id']}", call, pair, datetime.fromisoformat(one["began"]), ended)
