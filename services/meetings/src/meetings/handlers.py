"""Everything the meetings service reacts to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from meetings import artefacts, queries, recording, scheduling
from shared.copies import keep_tenant_copy, keep_user_copy
from shared.db import UnitOfWork
from shared.events import (
    ArtefactAwaited,
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


@on(TenantState)
async def bring_meetings_to_the_switch(event: TenantState, *, work: UnitOfWork) -> None:
    """A moved switch acts on all that is booked; a tenant that came back has done what waited for it."""
    before = await queries.switch(work.session, event.org_id)
    await keep_tenant_copy(event, session=work.session)
    after = await queries.switch(work.session, event.org_id)
    if after.position != before.position:
        recording.follow(work)


@on(UserState)
async def take_up_what_waited(event: UserState, *, work: UnitOfWork) -> None:
    """A connection that works again, or may do more than before, has done what waited for it."""
    await keep_user_copy(event, session=work.session)
    if event.connected:
        recording.follow(work, event.user_id)


@on(ArtefactDetected)
async def end_meeting(event: ArtefactDetected, *, session: AsyncSession, outbox: Outbox) -> None:
    """What was recorded is over: the surest sign without call events."""
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.expect(meeting, event)
        scheduling.ended(meeting, event.ended_at or event.created_at, "artefact", "high", outbox)


@on(ArtefactAwaited)
async def expect_artefact_again(event: ArtefactAwaited, *, session: AsyncSession) -> None:
    meeting = await queries.meeting(session, event.org_id, event.meeting_id, lock=True)
    if meeting is not None:
        artefacts.expect_again(meeting, event)


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
