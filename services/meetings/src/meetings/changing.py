"""Bringing a change to Microsoft's event without undoing what was changed there in Outlook.

The record keeps what Microsoft last showed of the event. What differs from that in the record was changed in Prospo and
is sent, that alone, and only while the event is the one that was shown (If-Match). When it is not, the event is read
again: what was changed there and not here is taken over; what was changed on both sides stays as it is at Microsoft,
and the record says what was not sent.
"""

from dataclasses import dataclass, field
from typing import Any

from meetings import graph as teams
from meetings import scheduling, state
from meetings.graph import Shown
from meetings.problems import Problem
from meetings.recording import OWN as ABOUT_RECORDING
from meetings.tables import CANCELLED_IN_OUTLOOK, MeetingRow
from shared.database.outbox import Outbox
from shared.graph import GraphCaller
from shared.graph.errors import GraphChanged, GraphNotFound
from shared.jobs import Again

CONFLICT = "changed_in_outlook"
_STAYS = {CONFLICT, *ABOUT_RECORDING}
"""Problems that reading the event does not mend."""
_NAMES = {"subject": "the subject", "start": "the start", "end": "the end", "attendees": "the attendees"}


@dataclass(frozen=True, slots=True)
class Brought:
    """What Microsoft has now, which parts were sent, and which were changed in Outlook."""

    shown: Shown
    sent: frozenset[str]
    theirs: frozenset[str] = frozenset()
    lost: frozenset[str] = field(default_factory=frozenset)
    """Of ``theirs`` those that were changed in Prospo too."""


def remember(meeting: MeetingRow, shown: Shown) -> None:
    meeting.shown = {"etag": shown.etag, **shown.parts}


def remember_before_change(meeting: MeetingRow) -> None:
    """For a meeting booked by a version that did not remember: what it told Microsoft last."""
    if meeting.shown is None:
        remember(meeting, Shown("", teams.parts_of(meeting)))


def pending(meeting: MeetingRow) -> bool:
    """Whether the record has a change that Microsoft does not have, as far as we know."""
    return bool(_unlike(teams.parts_of(meeting), _known(meeting).parts))


def may_return(meeting: MeetingRow) -> bool:
    """Whether it was cancelled in Outlook, where it can be put back."""
    return meeting.status == "cancelled" and (meeting.problem or {}).get("code") == CANCELLED_IN_OUTLOOK


async def bring(caller: GraphCaller, meeting: MeetingRow) -> Brought | None:
    """Send what was changed in Prospo. None when the event is gone. Raises ``Again`` when it keeps changing."""
    known, wanted = _known(meeting), teams.parts_of(meeting)
    ours = _unlike(wanted, known.parts)
    try:
        if known.etag and ours:
            return Brought(await teams.change(caller, meeting, ours, known.etag), ours)
        now: Shown | None = await teams.read(caller, meeting.event_id or "")
    except GraphChanged:
        now = await _read(caller, meeting)
    except GraphNotFound:
        return None
    if now is None or now.cancelled:
        return None
    theirs = _unlike(now.parts, known.parts)
    lost = frozenset(name for name in ours & theirs if now.parts[name] != wanted[name])
    left = frozenset(name for name in ours - lost if now.parts[name] != wanted[name])
    try:
        shown = await teams.change(caller, meeting, left, now.etag) if left else now
    except GraphChanged as error:
        raise Again("the event changes at Microsoft again and again", after_s=2) from error
    return Brought(shown, ours - lost, theirs, lost)


def keep(meeting: MeetingRow, asked: MeetingRow, brought: Brought, outbox: Outbox) -> None:
    """Write it into the record; ``asked`` is the record as it was when Microsoft was asked."""
    remember(meeting, brought.shown)
    changed_again = teams.parts_of(meeting) != teams.parts_of(asked)
    taken = [name for name in brought.theirs if teams.parts_of(asked)[name] != brought.shown.parts[name]]
    before = meeting.problem
    meeting.problem = _problem(meeting, asked, brought)
    if taken and not changed_again:
        teams.take(meeting, brought.shown, taken)
    told = taken or meeting.problem != before
    if may_return(asked):
        scheduling.returned(meeting, outbox)
        return
    if told:
        state.changed(meeting, outbox)
    if (brought.sent or taken) and not changed_again:  # else the job that was asked for meanwhile tells it
        scheduling.rescheduled(meeting, outbox, "prospo" if brought.sent else "outlook")


def gone(meeting: MeetingRow, outbox: Outbox) -> None:
    """The event was cancelled or deleted in Outlook: so is the meeting."""
    if meeting.status == "cancelled":
        return
    meeting.status = "cancelled"
    meeting.problem = {"code": CANCELLED_IN_OUTLOOK, "detail": "The meeting was cancelled in Outlook."}
    state.changed(meeting, outbox)
    scheduling.cancelled(meeting, outbox, "outlook")


def _known(meeting: MeetingRow) -> Shown:
    kept: dict[str, Any] = dict(meeting.shown or {"etag": "", **teams.parts_of(meeting)})
    return Shown(kept.pop("etag"), kept)


async def _read(caller: GraphCaller, meeting: MeetingRow) -> Shown | None:
    try:
        return await teams.read(caller, meeting.event_id or "")
    except GraphNotFound:
        return None


def _unlike(one: dict[str, Any], other: dict[str, Any]) -> frozenset[str]:
    return frozenset(name for name in one if one[name] != other.get(name))


def _problem(meeting: MeetingRow, asked: MeetingRow, brought: Brought) -> Problem | None:
    if brought.lost:
        return _conflict(asked, brought)
    stays = not brought.sent and (meeting.problem or {}).get("code") in _STAYS
    return meeting.problem if stays else None


def _conflict(asked: MeetingRow, brought: Brought) -> Problem:
    wanted, there = teams.parts_of(asked), brought.shown.parts
    parts = [name for name in _NAMES if name in brought.lost]
    differs = "; ".join(
        f"{_NAMES[name]} is {_said(there[name])} there, {_said(wanted[name])} was wanted" for name in parts
    )
    detail = (
        f"Meanwhile the meeting was changed in Outlook: {differs}. What is in Outlook was kept. If you still want your "
        "change, make it again."
    )
    return {"code": CONFLICT, "detail": detail}


def _said(part: Any) -> str:
    return f"“{', '.join(part) if isinstance(part, list) else part}”"
