"""Bringing a change to Microsoft's event without undoing what was changed there in Outlook.

The record keeps what Microsoft last showed of the event. What differs from that in the record was changed in Prospo and
is sent, that alone, and only while the event is the one that was shown (If-Match). When it is not, the event is read
again: what was changed there and not here is taken over; what was changed on both sides stays as it is at Microsoft,
and the record says what was not sent. What we may have sent ourselves, though its answer was lost, is no change of
Outlook's: the record keeps a digest of each value that it wanted since Microsoft last showed the event.

Of the zone Microsoft's own name is kept too, as several of ours have one there: that it has another name now, and other
clocks, is a change in Outlook.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from meetings import graph as teams
from meetings import options, scheduling, state, zones
from meetings.graph import Shown
from meetings.problems import Problem
from meetings.recording import OWN as ABOUT_RECORDING
from meetings.tables import CANCELLED_IN_OUTLOOK, MeetingRow
from shared.database.outbox import Outbox
from shared.events.meetings import Origin
from shared.graph import GraphCaller
from shared.graph.errors import GraphChanged, GraphNotFound
from shared.jobs import Again

CONFLICT = "changed_in_outlook"
_STAYS = {CONFLICT, *ABOUT_RECORDING}
"""Problems that reading the event does not mend."""
_NAMES = {"subject": "the subject", "start": "the start", "end": "the end", "attendees": "the attendees"}
_NAMES |= {"agenda": "the agenda", "zone": "the time zone", "options": "who waits in the lobby and may present"}
_NOT_IN_EVENTS = {"options"}
"""Parts that no event carries."""
_MOST_DIGESTS = 20
"""Most earlier values of a part that are known as ours; nobody changes it more often within an outage."""


@dataclass(frozen=True, slots=True)
class Brought:
    """The event as Microsoft has it now, the parts that were sent, and those changed in Outlook."""

    shown: Shown
    sent: frozenset[str]
    theirs: frozenset[str] = frozenset()
    lost: frozenset[str] = field(default_factory=frozenset)
    """The parts of ``theirs`` that were changed in Prospo too."""


def remember(meeting: MeetingRow, shown: Shown, known: dict[str, Any]) -> None:
    """``known`` are parts that the event does not show."""
    meeting.shown = as_shown(shown, known)


def as_shown(shown: Shown, known: dict[str, Any]) -> dict[str, Any]:
    """The event as the record keeps it, to find later changes in Outlook."""
    return {**known, **shown.parts, "etag": shown.etag, "zone_name": shown.zone}


def remember_before_change(meeting: MeetingRow) -> None:
    """Keep what Microsoft showed last, and digests of what it may have been sent. Older versions did not keep all."""
    known, wanted, sent = _known(meeting), teams.parts_of(meeting), _sent(meeting)
    for name in _unlike(wanted, known.parts):
        sent = {**sent, name: [*sent.get(name, ()), _digest(wanted[name])][-_MOST_DIGESTS:]}
    meeting.shown = {**as_shown(known, {}), "sent": sent}


def pending(meeting: MeetingRow) -> bool:
    """Whether the record has a change that Microsoft does not have, as far as we know."""
    return bool(_sent(meeting)) or bool(_unlike(teams.parts_of(meeting), _known(meeting).parts))


def may_return(meeting: MeetingRow) -> bool:
    """Whether it was cancelled in Outlook, where it can be put back."""
    return meeting.status == "cancelled" and (meeting.problem or {}).get("code") == CANCELLED_IN_OUTLOOK


async def bring(caller: GraphCaller, meeting: MeetingRow) -> Brought | None:
    """Send what was changed in Prospo. None when the event is gone. Raises ``Again`` when it keeps changing."""
    known, wanted = _known(meeting), teams.parts_of(meeting)
    ours = _unlike(wanted, known.parts)
    there = await options.bring(caller, meeting, known.parts) if "options" in ours else None
    brought = await _bring_event(caller, meeting, ours)
    if brought is None or there is None:
        return brought
    shown, too = replace(brought.shown, parts={**brought.shown.parts, "options": there}), {"options"}
    return Brought(shown, brought.sent - too, brought.theirs | too, brought.lost | too)


async def _bring_event(caller: GraphCaller, meeting: MeetingRow, ours: frozenset[str]) -> Brought | None:
    known, wanted = _known(meeting), teams.parts_of(meeting)
    try:
        if known.etag and ours - {"options"}:
            return Brought(await teams.change(caller, meeting, ours, known.etag), ours)
        now: Shown | None = noticed(meeting, await teams.read(caller, meeting.event_id or ""))
    except GraphChanged:
        now = await _read(caller, meeting)
    except GraphNotFound:
        return None
    if now is None or now.cancelled:
        return None
    echo = frozenset(name for name, sent in _sent(meeting).items() if _digest(now.parts.get(name)) in sent)
    ours |= frozenset(name for name in echo if now.parts[name] != wanted[name])
    theirs = _unlike(now.parts, known.parts) - echo
    written = meeting
    if "zone" in theirs - ours:  # what is sent is written in the zone that the event has now
        written = MeetingRow(**meeting.model_dump() | {"zone": now.parts["zone"]})
    lost = frozenset(name for name in ours & theirs if now.parts[name] != wanted[name])
    left = frozenset(name for name in ours - lost - {"options"} if now.parts.get(name) != wanted[name])
    try:
        shown = await teams.change(caller, written, left, now.etag) if left else now
    except GraphChanged as error:
        raise Again("the event changes at Microsoft again and again", after_s=2) from error
    zone = {"zone": now.parts["zone"]} if "zone" in theirs else {}
    return Brought(replace(shown, parts={**shown.parts, **zone}), ours - lost, theirs, lost)


def read(meeting: MeetingRow, shown: Shown) -> Brought:
    """The changes in an event that was read, for a record without a pending change."""
    shown = noticed(meeting, shown)
    return Brought(shown, frozenset(), _unlike(shown.parts, _known(meeting).parts))


def noticed(meeting: MeetingRow, shown: Shown) -> Shown:
    """With the zone as a part where it was changed in Outlook.

    Its name is not the one that Microsoft last had for it, and the clocks of the two differ. Where Microsoft's name was
    not kept, UTC is no news: times that the clock shows twice are written so.
    """
    before, found = _known(meeting), zones.named(shown.zone) if shown.zone else None
    if found is None or shown.zone == (before.zone or "UTC"):
        return shown
    start = datetime.fromisoformat(shown.parts["start"])
    known = [name for name in (meeting.zone, before.parts["zone"]) if zones.alike(found, name, start)]
    if before.parts["zone"] in known:
        return shown
    return replace(shown, parts={**shown.parts, "zone": known[0] if known else found})


def keep(
    meeting: MeetingRow, asked: MeetingRow, brought: Brought, outbox: Outbox, origin: Origin | None = None
) -> None:
    """Write it into the record; ``asked`` is the record as it was when Microsoft was asked.

    ``origin`` is whose change it is where that cannot be seen from what was sent.
    """
    base = {name: teams.parts_of(asked)[name] for name in brought.sent}
    remember(meeting, brought.shown, {**_known(asked).parts, **base})
    changed_again = teams.parts_of(meeting) != teams.parts_of(asked)
    taken = [name for name in brought.theirs if teams.parts_of(asked)[name] != brought.shown.parts[name]]
    before = meeting.problem
    meeting.problem = _problem(meeting, asked, brought)
    if taken and not changed_again:
        teams.take(meeting, brought.shown, taken)
    answered = _answered(meeting, brought.shown)
    told = taken or answered or meeting.problem != before
    if may_return(asked):
        scheduling.returned(meeting, outbox)
        return
    if told:
        state.changed(meeting, outbox)
    for email in answered:
        scheduling.responded(meeting, email, outbox)
    worth_telling = {*taken, *brought.sent} - _NOT_IN_EVENTS
    if worth_telling and not changed_again:  # else the job that was asked for meanwhile tells it
        scheduling.rescheduled(meeting, outbox, origin or ("prospo" if brought.sent else "outlook"))


def gone(meeting: MeetingRow, outbox: Outbox) -> None:
    """The event was cancelled or deleted in Outlook: so is the meeting."""
    if meeting.status == "cancelled":
        return
    meeting.status = "cancelled"
    meeting.problem = {"code": CANCELLED_IN_OUTLOOK, "detail": "The meeting was cancelled in Outlook."}
    state.changed(meeting, outbox)
    scheduling.cancelled(meeting, outbox, "outlook")


def _known(meeting: MeetingRow) -> Shown:
    kept: dict[str, Any] = {**teams.parts_of(meeting), "etag": "", "zone_name": "", **(meeting.shown or {})}
    kept.pop("sent", None)
    etag, zone = kept.pop("etag"), kept.pop("zone_name")
    return Shown(etag, kept, zone=zone)


def _sent(meeting: MeetingRow) -> dict[str, list[str]]:
    """Digests of what the record wanted, by part, since Microsoft last showed the event."""
    return dict((meeting.shown or {}).get("sent", {}))


def _digest(part: Any) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]


def _answered(meeting: MeetingRow, shown: Shown) -> list[str]:
    """Take the responses over. Returns the addresses of attendees who answered or changed their answer."""
    before, unheard = meeting.responses, {"response": teams.NOT_VISIBLE, "at": None}
    new = [email for email, said in shown.responses.items() if said != before.get(email, unheard)]
    if new or before.keys() - shown.responses.keys():
        meeting.responses = shown.responses
    return sorted(new)


async def _read(caller: GraphCaller, meeting: MeetingRow) -> Shown | None:
    try:
        return noticed(meeting, await teams.read(caller, meeting.event_id or ""))
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
    if isinstance(part, dict):
        part = [f"{name} {value}" for name, value in sorted(part.items())]
    return f"“{', '.join(part) if isinstance(part, list) else part}”"
