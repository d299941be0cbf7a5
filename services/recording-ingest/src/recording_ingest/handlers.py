"""Everything the recording-ingest service reacts to."""

from recording_ingest import ledger, mending, planning, queries, story
from recording_ingest.jobs import does
from recording_ingest.leaving import TRACES
from recording_ingest.settings import Settings
from recording_ingest.tables import LedgerMeeting
from recording_ingest.work import LookAgain, PlaceAgain, SweepLeftovers
from shared.connections import follow
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import (
    MeetingCancelled,
    MeetingEnded,
    MeetingRecordingChanged,
    MeetingRescheduled,
    MeetingScheduled,
    TenantConnected,
    TenantReadinessChanged,
)

on = Handlers()
follow(on, does, switch=ledger.SWITCH, ends=TRACES)


@on(TenantConnected)
async def sweep_leftovers(event: TenantConnected, *, work: UnitOfWork) -> None:
    """An earlier connection may have left subscriptions of people who do not come back."""
    work.queue(SweepLeftovers())


@on(MeetingScheduled)
async def expect_artefacts(event: MeetingScheduled, *, work: UnitOfWork, settings: Settings) -> None:
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    meeting.user_id, meeting.organizer_oid = event.user_id, event.organizer_oid
    meeting.online_meeting_id = event.online_meeting_id
    meeting.series_id, meeting.original_start = event.series_id, event.original_start
    _note_recording(meeting, event.aggregate_version, on=event.auto_recording, code=event.auto_recording_code)
    if event.aggregate_version > meeting.meeting_version or meeting.ends_at is None:
        meeting.subject, meeting.starts_at, meeting.ends_at = event.subject, event.start, event.end
        _not_cancelled_any_more(meeting)
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
    booked = {"start": event.start.isoformat(), "end": event.end.isoformat(), "series_id": event.series_id}
    told = booked | {"origin": event.origin, "auto_recording": event.auto_recording, "code": event.auto_recording_code}
    story.note(work, event.meeting_id, "scheduled", version=event.aggregate_version, **told)
    await planning.plan(work, meeting, settings)


@on(MeetingRecordingChanged)
async def expect_a_recording_or_none(event: MeetingRecordingChanged, *, work: UnitOfWork) -> None:
    """Whether one is missed later; what is imported depends on the switch and not on this."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    _note_recording(meeting, event.aggregate_version, on=event.auto_recording, code=event.code)
    story.note(work, event.meeting_id, "recording_option", auto_recording=event.auto_recording, code=event.code)
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)


def _not_cancelled_any_more(meeting: LedgerMeeting) -> None:
    """Later news than a cancellation: the event was put back in Outlook."""
    if meeting.status == "cancelled":
        meeting.status = "scheduled"


def _note_recording(meeting: LedgerMeeting, version: int, *, on: bool, code: str | None) -> None:
    if version > meeting.recording_version:
        meeting.auto_recording, meeting.auto_recording_code, meeting.recording_version = on, code, version


@on(MeetingRescheduled)
async def expect_artefacts_at_another_time(event: MeetingRescheduled, *, work: UnitOfWork, settings: Settings) -> None:
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    if event.aggregate_version > meeting.meeting_version:
        if meeting.ended_at is not None and (meeting.starts_at, meeting.ends_at) != (event.start, event.end):
            meeting.ended_at = meeting.call = None  # it is told again, if it is over
            meeting.status = "scheduled"
            if event.end > await queries.now(work.session):
                ledger.expect_anew(work, meeting)
        meeting.subject, meeting.starts_at, meeting.ends_at = event.subject, event.start, event.end
        meeting.meeting_version = event.aggregate_version
        _not_cancelled_any_more(meeting)
        if meeting.series_id is not None:
            work.queue(PlaceAgain(meeting_id=meeting.meeting_id))
        times = {"start": event.start.isoformat(), "end": event.end.isoformat()}
        story.note(work, event.meeting_id, "rescheduled", version=event.aggregate_version, origin=event.origin, **times)
        await planning.plan(work, meeting, settings)


@on(MeetingCancelled)
async def expect_nothing(event: MeetingCancelled, *, work: UnitOfWork, settings: Settings) -> None:
    """Expect nothing more. Artefacts recorded before are imported all the same."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    meeting.status = "cancelled"
    story.note(work, event.meeting_id, "cancelled", version=event.aggregate_version, origin=event.origin)
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
    await planning.plan(work, meeting, settings)


@on(MeetingEnded)
async def look_for_artefacts(event: MeetingEnded, *, work: UnitOfWork, settings: Settings) -> None:
    """The deadline counts from the end; an end told by an artefact means that we have just looked."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    if event.aggregate_version > meeting.meeting_version or meeting.ended_at is None:
        meeting.ended_at, meeting.call = event.ended_at, event.call
        told = {"ended_at": event.ended_at.isoformat(), "source": event.source, "confidence": event.confidence}
        told |= {"call": event.call} if event.call else {}
        story.note(work, event.meeting_id, "ended", version=event.aggregate_version, **told)
        if meeting.status == "scheduled":
            meeting.status = "ended"
        meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
        await planning.plan(work, meeting, settings, at_once=event.source != "artefact")


@on(TenantReadinessChanged)
async def fetch_what_was_kept_from_us(event: TenantReadinessChanged, *, work: UnitOfWork) -> None:
    """Somebody mended it in Teams or Entra, perhaps weeks later: what may still be had is fetched."""
    if event.verdict == "ready" and event.capability in mending.MENDS:
        work.queue(LookAgain(capability=event.capability))
