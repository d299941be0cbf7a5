"""Changes of a meeting's status, and the events that announce them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from meetings import problems, state
from meetings.tables import CANCELLED_IN_OUTLOOK, MeetingRow
from meetings.work import BookedEnd, FollowCalls
from shared.connections import Connection
from shared.connections.refusing import conflict
from shared.database.outbox import Outbox
from shared.database.unit_of_work import UnitOfWork
from shared.events import (
    Attendee,
    MeetingAttendeeResponded,
    MeetingCancelled,
    MeetingEnded,
    MeetingRecordingChanged,
    MeetingRescheduled,
    MeetingScheduled,
)
from shared.events.meetings import CallTold, Confidence, EndSource, NotRecordingBecause, Origin
from shared.problems import BadInput, Conflict

BEGUN = timedelta(minutes=5)
"""A new meeting may have started this long ago: people say "now" and then fill in a form."""
REHEARSAL = timedelta(hours=1)
"""A call that was over this long before the booked start was not the meeting."""
NEAR = timedelta(hours=24)
"""Microsoft is asked to tell of a meeting's calls from this time before it."""
_IN_TIME = timedelta(minutes=15)
"""People come this long before the booked start. Microsoft does not tell of a call that began before it was asked."""
_TOGETHER = timedelta(seconds=5)
"""The delay of a look, so that several bookings share one."""
_ATTENDEES_BYTES = 48 * 1024
"""Attendees may take this much of the 64 KiB that an event may have."""
_RANK = {None: 0, "low": 1, "medium": 2, "high": 3}


def check_times(start: datetime, end: datetime) -> None:
    if end <= start:
        raise BadInput("end_before_start", "The meeting must end after it starts; choose a later end.")
    if end - start > timedelta(hours=30):
        raise BadInput("meeting_too_long", "A Teams meeting lasts at most 30 hours; choose an earlier end.")


def require_future(start: datetime | None, end: datetime | None) -> None:
    """Refuse times in the past that a person has just chosen. A meeting may have begun a moment ago."""
    now = datetime.now(UTC)
    if start is not None and start < now - BEGUN:
        raise BadInput("start_in_the_past", "The meeting would have started already; choose a later start.")
    if end is not None and end <= now:
        raise BadInput("end_in_the_past", "The meeting would be over already; choose a later end.")


def require_connection(person: Connection, made_by: str | None = None) -> None:
    """Raises ``Conflict`` naming what stands between the person and Microsoft, and who mends it."""
    found = person.obstacle(made_by=made_by)
    if found is not None:
        raise conflict(found)


def require_scheduled(meeting: MeetingRow) -> None:
    if meeting.status != "scheduled":
        raise Conflict(
            "meeting_not_scheduled",
            f"The meeting is {meeting.status}; only a scheduled meeting can be changed. Schedule a new one instead.",
        )


def scheduled(meeting: MeetingRow, outbox: Outbox, origin: Origin = "prospo") -> None:
    """The event exists with its link."""
    meeting.status = "scheduled"
    state.changed(meeting, outbox)
    if meeting.repeats is not None:
        return
    outbox.add(
        MeetingScheduled(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.id,
            **_of(meeting, origin),
            user_id=meeting.user_id,
            organizer_oid=meeting.organizer_oid,
            online_meeting_id=meeting.online_meeting_id or "",
            join_url=meeting.join_url or "",
            subject=meeting.subject,
            start=meeting.starts_at,
            end=meeting.ends_at,
            **_attendees(meeting),
            auto_recording=meeting.auto_recording,
            auto_recording_code=meeting.auto_recording_reason,
        )
    )


def returned(meeting: MeetingRow, outbox: Outbox) -> None:
    """Schedule a meeting again that was cancelled in Outlook and is there again."""
    meeting.problem = None
    scheduled(meeting, outbox, "outlook")


def rescheduled(meeting: MeetingRow, outbox: Outbox, origin: Origin) -> None:
    if meeting.repeats is not None:
        return
    outbox.add(
        MeetingRescheduled(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.id,
            **_of(meeting, origin),
            subject=meeting.subject,
            start=meeting.starts_at,
            end=meeting.ends_at,
            **_attendees(meeting),
        )
    )


def responded(meeting: MeetingRow, email: str, outbox: Outbox) -> None:
    """An attendee answered, or answered otherwise; the record has it."""
    if meeting.repeats is not None:
        return
    said = meeting.responses[email]
    proposed = said.get("proposed") or {}
    about = {"org_id": meeting.org_id, "aggregate_version": meeting.version, "meeting_id": meeting.id, "email": email}
    about |= {"response": said["response"], "responded_at": said["at"]}
    about |= {"proposed_start": proposed.get("start"), "proposed_end": proposed.get("end")}
    outbox.add(MeetingAttendeeResponded.model_validate(about))


def cancelled(meeting: MeetingRow, outbox: Outbox, origin: Origin) -> None:
    if meeting.repeats is not None:
        return
    about = {"org_id": meeting.org_id, "aggregate_version": meeting.version, "meeting_id": meeting.id}
    outbox.add(MeetingCancelled.model_validate(about | _of(meeting, origin)))


def recording_set(
    meeting: MeetingRow,
    *,
    accepted: bool,
    problem: dict[str, str] | None,
    outbox: Outbox,
    code: NotRecordingBecause | None = None,
) -> None:
    """Microsoft has it: the meeting records by itself or does not; ``code`` is why not, where neither tells."""
    before = meeting.auto_recording, meeting.auto_recording_reason
    note_recording(meeting, accepted=accepted, problem=problem)
    meeting.auto_recording_reason = code or meeting.auto_recording_reason
    if before != (meeting.auto_recording, meeting.auto_recording_reason):
        state.changed(meeting, outbox)
        if meeting.repeats is not None:
            return
        outbox.add(
            MeetingRecordingChanged(
                org_id=meeting.org_id,
                aggregate_version=meeting.version,
                meeting_id=meeting.id,
                user_id=meeting.user_id,
                auto_recording=accepted,
                code=meeting.auto_recording_reason,
            )
        )


def note_recording(meeting: MeetingRow, *, accepted: bool, problem: dict[str, str] | None) -> None:
    meeting.auto_recording, meeting.auto_recording_reason = accepted, _reason(meeting, problem, accepted=accepted)


def _reason(meeting: MeetingRow, problem: dict[str, str] | None, *, accepted: bool) -> NotRecordingBecause | None:
    if accepted:
        return None
    if problem:
        return "refused"
    return "switched_off" if meeting.recording_wanted else "chosen_off"


def ended(
    meeting: MeetingRow,
    at: datetime,
    source: EndSource,
    confidence: Confidence,
    outbox: Outbox,
    *,
    corrected: bool = False,
) -> bool:
    """Say that the meeting ended, unless something at least as sure said so before or it was cancelled.

    One whose event was deleted in Outlook took place all the same when there is a call. ``corrected``: what was said
    before is known to be wrong, so it is replaced whatever it was.
    """
    deleted = meeting.status == "cancelled" and (meeting.problem or {}).get("code") == CANCELLED_IN_OUTLOOK
    if meeting.status not in {"scheduled", "ended"} and not (deleted and source != "booked_end"):
        return False
    if not corrected and _RANK[confidence] <= _RANK[meeting.ended_confidence]:
        return False
    if deleted:
        meeting.problem = None
    meeting.status, before = "ended", meeting.ended_at or meeting.end_taken_back
    meeting.end_taken_back = None
    meeting.ended_at, meeting.ended_source, meeting.ended_confidence = at, source, confidence
    meeting.problem = problems.still_true(meeting, meeting.problem)
    state.changed(meeting, outbox)
    outbox.add(
        MeetingEnded(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.id,
            user_id=meeting.user_id,
            ended_at=at,
            source=source,
            confidence=confidence,
            auto_recording=meeting.auto_recording,
            corrects=before,
            call=_call(meeting),
        )
    )
    return True


def _call(meeting: MeetingRow) -> CallTold | None:
    """Whether people met, where Microsoft told; it was asked long enough before the meeting, or nobody knows."""
    since = meeting.starts_at - REHEARSAL
    if any(datetime.fromisoformat(mark["at"]) > since for mark in meeting.call_marks):
        return "held"
    watched = meeting.calls_watched_at
    return "none" if watched is not None and watched < meeting.starts_at - _IN_TIME else None


def take_end_back(meeting: MeetingRow) -> None:
    """Schedule an ended meeting again that was moved in Outlook. Its end will be published anew."""
    meeting.status, meeting.end_taken_back = "scheduled", meeting.ended_at
    meeting.ended_at = meeting.ended_source = meeting.ended_confidence = None


def watch_booked_end(meeting: MeetingRow, work: UnitOfWork, grace_s: int) -> None:
    """Look after the booked end whether the meeting is known to have ended; each booked end has its own job."""
    run_at = meeting.ends_at + timedelta(seconds=grace_s)
    work.queue(BookedEnd(meeting_id=meeting.id, ends_at=meeting.ends_at), run_at=run_at)
    if meeting.starts_at < datetime.now(UTC) + NEAR:
        follow_calls(work)


def follow_calls(work: UnitOfWork) -> None:
    """Have Microsoft asked to tell of the calls of meetings that are near."""
    work.queue(FollowCalls(), run_at=datetime.now(UTC) + _TOGETHER)


def _of(meeting: MeetingRow, origin: Origin) -> dict[str, Any]:
    about = {"origin": origin, "time_zone": meeting.zone}
    return about | {"series_id": meeting.series_id, "original_start": meeting.original_start}


def _attendees(meeting: MeetingRow) -> dict[str, Any]:
    """The attendees that an event has room for: Outlook invites a thousand, and names may be long."""
    told: list[Attendee] = []
    room = _ATTENDEES_BYTES
    for person in meeting.attendees:
        one = Attendee.model_validate(person)
        room -= len(one.model_dump_json().encode()) + 1
        if room < 0:
            break
        told.append(one)
    return {"attendees": told, "attendees_more": len(meeting.attendees) - len(told)}
