"""Everything the meetings service reacts to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from meetings import artefacts, call_events, calls, queries, state
from meetings.jobs import does
from meetings.leaving import TRACES
from meetings.recording import SWITCH
from shared.connections import follow
from shared.database.outbox import Outbox
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    ArtefactMoved,
    FileDeleted,
    RecordingImported,
    RecordingUnavailable,
    TenantReadinessChanged,
    TranscriptImported,
    TranscriptUnavailable,
)

on = Handlers()
follow(on, does, switch=SWITCH, ends=TRACES)


@on(ArtefactDetected)
async def end_meeting(event: ArtefactDetected, *, session: AsyncSession, outbox: Outbox) -> None:
    """A recorded meeting is over: the surest sign without call events."""
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.expect(meeting, event):
        state.changed(meeting, outbox)
        calls.tell_end(meeting, outbox)


@on(ArtefactMoved)
async def let_artefact_go(event: ArtefactMoved, *, session: AsyncSession, outbox: Outbox) -> None:
    """The other meeting hears of it by events of its own."""
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.let_go(meeting, event):
        state.changed(meeting, outbox)


@on(ArtefactAwaited)
async def expect_artefact_again(event: ArtefactAwaited, *, session: AsyncSession, outbox: Outbox) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.expect_again(meeting, event):
        state.changed(meeting, outbox)


@on(RecordingImported)
async def show_recording(event: RecordingImported, *, session: AsyncSession, outbox: Outbox) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.keep_recording(meeting, event):
        state.changed(meeting, outbox)


@on(RecordingUnavailable)
async def explain_missing_recording(event: RecordingUnavailable, *, session: AsyncSession, outbox: Outbox) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.miss_recording(meeting, event):
        state.changed(meeting, outbox)


@on(FileDeleted)
async def say_recording_was_deleted(event: FileDeleted, *, session: AsyncSession, outbox: Outbox) -> None:
    """Its owner, an Org Admin or the organisation's retention deleted it: the record leads nowhere otherwise."""
    for meeting_id in await queries.recorded_in(session, event.org_id, event.file_id):
        meeting = await queries.meeting(session, event.org_id, meeting_id, lock=True)
        if meeting is not None and artefacts.lose_recording(meeting, event):
            state.changed(meeting, outbox)


@on(TranscriptImported)
async def show_transcript(event: TranscriptImported, *, session: AsyncSession, outbox: Outbox) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.keep_transcript(meeting, event):
        state.changed(meeting, outbox)


@on(TranscriptUnavailable)
async def explain_missing_transcript(event: TranscriptUnavailable, *, session: AsyncSession, outbox: Outbox) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None and artefacts.miss_transcript(meeting, event):
        state.changed(meeting, outbox)


@on(TenantReadinessChanged)
async def ask_to_be_told_of_calls(event: TenantReadinessChanged, *, work: UnitOfWork) -> None:
    """An administrator let the application hear of calls."""
    if (event.capability, event.verdict) == ("call_events", "ready"):
        await call_events.allowed(work)
