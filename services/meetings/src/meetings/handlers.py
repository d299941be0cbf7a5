"""Everything the meetings service reacts to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from meetings import artefacts, queries, scheduling
from shared.copies import keep_tenant_copy, keep_user_copy
from shared.events import (
    ArtefactDetected,
    RecordingImported,
    RecordingUnavailable,
    TenantState,
    TranscriptImported,
    TranscriptUnavailable,
    UserState,
)
from shared.handlers import Handlers
from shared.outbox import Outbox

on = Handlers()
on(TenantState)(keep_tenant_copy)
on(UserState)(keep_user_copy)


@on(ArtefactDetected)
async def end_meeting(event: ArtefactDetected, *, session: AsyncSession, outbox: Outbox) -> None:
    """What was recorded is over: the surest sign without call events."""
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.expect(meeting, event)
        scheduling.ended(meeting, event.ended_at or event.created_at, "artefact", "high", outbox)


@on(RecordingImported)
async def show_recording(event: RecordingImported, *, session: AsyncSession) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.keep_recording(meeting, event)


@on(RecordingUnavailable)
async def explain_missing_recording(event: RecordingUnavailable, *, session: AsyncSession) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.miss_recording(meeting, event)


@on(TranscriptImported)
async def show_transcript(event: TranscriptImported, *, session: AsyncSession) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.keep_transcript(meeting, event)


@on(TranscriptUnavailable)
async def explain_missing_transcript(event: TranscriptUnavailable, *, session: AsyncSession) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.miss_transcript(meeting, event)
