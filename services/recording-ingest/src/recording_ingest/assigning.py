"""Which occurrence a recording or transcript belongs to: scored, and never guessed.

Behind one join link may lie many meetings: the occurrences of a series, moved, cancelled, overrun, met in early or
again. Microsoft says of an artefact only when it was made, in which call, and what was made with it. So each occurrence
gets a score out of these, and below the threshold, or with two too close, the artefact is unassigned: a person decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recording_ingest.graph import Artefact

MARGIN = timedelta(minutes=15)
"""People come before the booked start and stay after the booked end."""
THRESHOLD = 0.45
"""Below it nobody is told that it belongs there."""
DISTANCE = 0.1
"""The best must be so much better than the second."""
LONE_SIDE = timedelta(hours=12)
"""Half the gap of a series on a side on which it has no other occurrence known to us."""
_MOST_CANDIDATES = 16
"""The nearest in time are scored; of a series of a thousand no other can fit."""
_OVERLAP, _NEARNESS, _CALL, _PAIR, _CANCELLED = 0.6, 0.4, 0.25, 0.5, -0.3
_NEAR_ENOUGH = 0.35
"""Without any overlap: how near a start must be, as 1 at the start and 0 at half the gap."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A meeting behind the join link, as it is booked now."""

    meeting_id: str
    start: datetime
    end: datetime
    cancelled: bool = False
    series: bool = False


@dataclass(frozen=True, slots=True)
class Kin:
    """An artefact that has its meeting already."""

    meeting_id: str
    call_id: str | None
    pair_id: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """How well one occurrence fits; each part is 0 to 1, the total their weighted sum."""

    meeting_id: str
    overlap: float
    nearness: float
    same_call: bool
    same_pair: bool
    total: float

    def told(self) -> dict[str, object]:
        """The facts that are kept with the decision: ids and numbers only."""
        parts = {"overlap": round(self.overlap, 2), "nearness": round(self.nearness, 2)}
        about = {"meeting_id": self.meeting_id, "same_call": self.same_call, "same_pair": self.same_pair}
        return {**about, **parts, "score": round(self.total, 2)}


@dataclass(frozen=True, slots=True)
class Decision:
    """``meeting_id`` is None when the artefact is unassigned. Scores are the best first."""

    meeting_id: str | None
    why: str
    scores: tuple[Score, ...]


def decide(found: Artefact, occurrences: Sequence[Occurrence], kin: Iterable[Kin] = ()) -> Decision:
    """The occurrence that the artefact belongs to, or none. ``why`` is a code: sole, score, close or far."""
    if len(occurrences) == 1 and not occurrences[0].series:
        only = occurrences[0]
        return Decision(only.meeting_id, "sole", (_score(found, only, occurrences, ()),))
    known = tuple(kin)
    near = sorted(occurrences, key=lambda one: abs(one.start - found.created_at))[:_MOST_CANDIDATES]
    scores = sorted((_score(found, one, near, known) for one in near), key=lambda one: -one.total)
    if not scores or not good_enough(scores[0]):
        return Decision(None, "far", tuple(scores))
    second = scores[1].total if len(scores) > 1 else 0.0
    if scores[0].total - second < DISTANCE:
        return Decision(None, "close", tuple(scores))
    return Decision(scores[0].meeting_id, "score", tuple(scores))


def good_enough(best: Score) -> bool:
    """Whether what scores so may belong there at all."""
    if best.same_pair:
        return True
    if best.overlap == 0:
        return best.nearness >= _NEAR_ENOUGH and best.total > 0
    return best.total >= THRESHOLD


def _score(found: Artefact, one: Occurrence, all_: Sequence[Occurrence], kin: Sequence[Kin]) -> Score:
    overlap, nearness = _overlap(found, one), _nearness(found, one, all_)
    own = [other for other in kin if other.meeting_id == one.meeting_id]
    same_pair = any(found.content_correlation_id and found.content_correlation_id == other.pair_id for other in own)
    same_call = any(found.call_id and found.call_id == other.call_id for other in own)
    total = _OVERLAP * overlap + _NEARNESS * nearness + (_CANCELLED if one.cancelled else 0)
    total += (_CALL if same_call else 0) + (_PAIR if same_pair else 0)
    return Score(one.meeting_id, overlap, nearness, same_call, same_pair, total)


def _overlap(found: Artefact, one: Occurrence) -> float:
    """The share of the artefact that lies in the booked time and its margins."""
    begin, over = found.created_at, found.ended_at or found.created_at
    opens, closes = one.start - MARGIN, one.end + MARGIN
    length = (over - begin).total_seconds()
    if length <= 0:
        return 1.0 if opens <= begin <= closes else 0.0
    return max(0.0, (min(over, closes) - max(begin, opens)).total_seconds()) / length


def _nearness(found: Artefact, one: Occurrence, all_: Sequence[Occurrence]) -> float:
    """1 at the booked start, 0 from half the way to the neighbour's start on."""
    away = found.created_at - one.start
    starts = [other.start for other in all_ if other is not one and not other.cancelled]
    side = [start for start in starts if (start > one.start) == (away > timedelta(0)) and start != one.start]
    gap = min((abs(start - one.start) for start in side), default=2 * LONE_SIDE) / 2
    return max(0.0, 1 - abs(away) / gap)
