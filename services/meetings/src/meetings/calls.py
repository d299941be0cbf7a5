"""The calls of a meeting, known by what was recorded in them, and the end that follows from them.

People rehearse a day before, hang up and meet again, or come back a week later: all behind one join link. A call long
before the booked start is a rehearsal and one long after the booked end an afterthought; neither ends the meeting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from meetings import scheduling
from meetings.artefacts import Entry, moment
from meetings.tables import MeetingRow
from shared.database.outbox import Outbox
from shared.events.meetings import Confidence

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
    part: Part

    @property
    def last_seen(self) -> datetime:
        return self.ended or self.began


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording with its transcript; one of them may be missing."""

    recording: Entry | None
    transcript: Entry | None


def calls_of(meeting: MeetingRow) -> list[Call]:
    """In the order in which they began."""
    found: dict[str, Call] = {}
    for entry in meeting.artefacts:
        began, over = moment(entry, "created_at"), moment(entry, "ended_at")
        if began is None:  # of a version that did not keep it
            continue
        name = entry.get("call_id") or entry.get("pair_id") or entry["artefact_id"]
        known = found.get(name) or Call(name, began, over, "meeting")
        ends = [end for end in (known.ended, over) if end is not None]
        found[name] = replace(known, began=min(known.began, began), ended=max(ends, default=None))
    calls = [replace(call, part=_part(meeting, call)) for call in found.values()]
    return sorted(calls, key=lambda call: call.began)


def _part(meeting: MeetingRow, call: Call) -> Part:
    if call.last_seen <= meeting.starts_at - scheduling.REHEARSAL:
        return "rehearsal"
    return "afterwards" if call.began > meeting.ends_at + AFTERWARDS else "meeting"


def tell_end(meeting: MeetingRow, outbox: Outbox) -> bool:
    """Say when the meeting ended as its calls show it, and correct it when people came back. Whether they show it."""
    counting = [call for call in calls_of(meeting) if call.part == "meeting"]
    if not counting:
        return False
    last = max(counting, key=lambda call: call.last_seen)
    confidence: Confidence = "high" if last.ended else "medium"
    told = meeting.ended_at if meeting.ended_source == "artefact" else None
    later = told is not None and last.last_seen > told + _SLACK
    scheduling.ended(meeting, last.last_seen, "artefact", confidence, outbox, corrected=later)
    return True


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
    """Of one call only."""
    if not recording.get("call_id") or recording.get("call_id") != transcript.get("call_id"):
        return 0
    begins = [moment(one, "created_at") for one in (recording, transcript)]
    ends = [moment(one, "ended_at") for one in (recording, transcript)]
    begun, over = [at for at in begins if at], [at for at in ends if at]
    return (min(over) - max(begun)).total_seconds() if len(begun) == len(over) == len(begins) else 0
