"""The calls of a meeting, as Microsoft told them or as what was recorded shows them, and the end that follows.

People rehearse a day before, hang up and meet again, or come back a week later: all behind one join link. A call long
before the booked start is a rehearsal and one long after the booked end an afterthought; neither ends the meeting.

``MeetingRow.call_marks`` are the beginnings and ends that Microsoft told. They come in any order, more than once, or
not at all, so they are kept as a set and the calls are read from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from meetings import scheduling
from meetings.artefacts import Entry, moment, present
from meetings.tables import MeetingRow
from shared.database.outbox import Outbox
from shared.events.meetings import Confidence, EndSource

Mark = dict[str, str]
"""``kind`` is started or ended, ``at`` when, in ISO form."""
Part = Literal["rehearsal", "meeting", "afterwards"]
AFTERWARDS = timedelta(hours=12)
"""A call that began so long after the booked end was not the meeting any more."""
_SLACK = timedelta(seconds=60)
"""Recording and transcript of one call stop some seconds apart; that is no correction."""


@dataclass(frozen=True, slots=True)
class Call:
    """``ended`` is None while Microsoft does not say when what was recorded stopped."""

    call_id: str
    began: datetime
    ended: datetime | None
    part: Part = "meeting"
    told: bool = False
    """Whether Microsoft told of the call; else it is known by what was recorded. ``ended_told`` is of its end."""
    ended_told: bool = False

    @property
    def last_seen(self) -> datetime:
        return self.ended or self.began

    @property
    def goes_on(self) -> bool:
        """Whether Microsoft told that it began, and nothing says that it ended."""
        return self.told and self.ended is None


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording with its transcript; one of them may be missing."""

    recording: Entry | None
    transcript: Entry | None


def calls_of(meeting: MeetingRow) -> list[Call]:
    """The calls of a meeting, in the order in which they began."""
    told, rest = told_calls(meeting.call_marks), []
    for one in _recorded(meeting):
        at = next((at for at, call in enumerate(told) if _is_of(one, call, told[at + 1 :])), None)
        if at is None:
            rest.append(one)
            continue
        call = told[at]
        ended = call.ended if call.ended_told else max(filter(None, [call.ended, one.ended]), default=None)
        told[at] = replace(call, call_id=one.call_id, began=min(call.began, one.began), ended=ended)
    calls = [replace(call, part=_part(meeting, call)) for call in (*told, *rest)]
    return sorted(calls, key=lambda call: call.began)


def told_calls(marks: Sequence[Mark]) -> list[Call]:
    """Calls in the order in which they began. There is one call at a time behind a join link.

    A call that begins while another goes on shows that the other ended, at an unknown time. An end alone is a call
    whose beginning was not told.
    """
    found: list[Call] = []
    began: datetime | None = None
    for at, kind in sorted((datetime.fromisoformat(mark["at"]), mark["kind"]) for mark in marks):
        if began is not None and kind == "started":
            found.append(_told(began, None))
        if kind == "started":
            began = at
            continue
        found.append(_told(began or at, at))
        began = None
    return found if began is None else [*found, _told(began, None)]


def _told(began: datetime, ended: datetime | None) -> Call:
    return Call(began.isoformat(), began, ended, told=True, ended_told=ended is not None)


def _is_of(recorded: Call, told: Call, later: Sequence[Call]) -> bool:
    """Whether it was recorded in the call that Microsoft told of."""
    until = told.ended or (later[0].began if later else None)
    return recorded.last_seen >= told.began and (until is None or recorded.began <= until)


def _recorded(meeting: MeetingRow) -> list[Call]:
    found: dict[str, Call] = {}
    for entry in present(meeting):
        began, over = moment(entry, "created_at"), moment(entry, "ended_at")
        if began is None:  # of a version that did not keep it
            continue
        name = entry.get("call_id") or entry.get("pair_id") or entry["artefact_id"]
        known = found.get(name) or Call(name, began, over)
        ends = [end for end in (known.ended, over) if end is not None]
        found[name] = replace(known, began=min(known.began, began), ended=max(ends, default=None))
    return list(found.values())


def _part(meeting: MeetingRow, call: Call) -> Part:
    if call.last_seen <= meeting.starts_at - scheduling.REHEARSAL:
        return "rehearsal"
    return "afterwards" if call.began > meeting.ends_at + AFTERWARDS else "meeting"


def tell_end(meeting: MeetingRow, outbox: Outbox) -> bool:
    """Say when the meeting ended as its calls show it, and correct it when people came back. Whether they show it."""
    counting = [call for call in calls_of(meeting) if call.part == "meeting" and not call.goes_on]
    if not counting:
        return False
    last = max(counting, key=lambda call: call.last_seen)
    source: EndSource = "call_event" if last.ended_told else "artefact"
    confidence: Confidence = "high" if last.ended else "medium"
    told = meeting.ended_at if meeting.ended_source in {"artefact", "call_event"} else None
    away = last.last_seen - told if told is not None else timedelta(0)
    # An earlier end is told when news of a call came late, and so an end was taken for that of another call.
    other = away > _SLACK or (last.ended_told and away < -_SLACK)
    scheduling.ended(meeting, last.last_seen, source, confidence, outbox, corrected=other)
    return True


def goes_on(meeting: MeetingRow) -> bool:
    """Whether people are still in the meeting, as far as Microsoft told."""
    return any(call.goes_on and call.part == "meeting" for call in calls_of(meeting))


def pairs(entries: Sequence[Entry]) -> list[Pair]:
    """Recordings with their transcripts in the order in which they were made; then transcripts that stand alone.

    Microsoft names what was made together; where it does not, the call and the time they share tell.
    """
    recordings = [one for one in entries if one["kind"] == "recording"]
    left = [one for one in entries if one["kind"] == "transcript"]
    found: dict[str, Entry] = {}
    for akin in (_named_together, _seconds_together):
        for recording in (one for one in recordings if one["artefact_id"] not in found):
            best = max(left, key=partial(akin, recording), default=None)
            if best is not None and akin(recording, best) > 0:
                found[recording["artefact_id"]] = best
                left.remove(best)
    return [*(Pair(one, found.get(one["artefact_id"])) for one in recordings), *(Pair(None, one) for one in left)]


def _named_together(recording: Entry, transcript: Entry) -> float:
    return bool(recording.get("pair_id")) and recording.get("pair_id") == transcript.get("pair_id")


def _seconds_together(recording: Entry, transcript: Entry) -> float:
    """How long both lasted at the same time, in seconds; 0 for two of different calls."""
    if not recording.get("call_id") or recording.get("call_id") != transcript.get("call_id"):
        return 0
    begins = [moment(one, "created_at") for one in (recording, transcript)]
    ends = [moment(one, "ended_at") for one in (recording, transcript)]
    begun, over = [at for at in begins if at], [at for at in ends if at]
    return (min(over) - max(begun)).total_seconds() if len(begun) == len(over) == len(begins) else 0
