"""Everything the recording-ingest service reacts to."""

from recording_ingest import ledger, queries, watching
from recording_ingest.settings import Settings
from shared.copies import keep_tenant_copy, keep_user_copy
from shared.db import UnitOfWork
from shared.events import (
    MeetingCancelled,
    MeetingEnded,
    MeetingRescheduled,
    MeetingScheduled,
    TenantState,
    UserState,
)
from shared.handlers import Handlers

on = Handlers()


@on(UserState)
async def follow_user(event: UserState, *, work: UnitOfWork, settings: Settings) -> None:
    """Subscriptions follow the connection; a connection that works again fetches what was missed."""
    before = await queries.person(work.session, event.org_id, event.user_id)
    await keep_user_copy(event, session=work.session)
    after = await queries.person(work.session, event.org_id, event.user_id)
    if after is not None and after != before:
        watching.queue(work.jobs, after)
        if after.connected and not (before and before.connected):
            await ledger.catch_up(work, event.org_id, event.user_id, settings)


@on(TenantState)
async def follow_tenant(event: TenantState, *, work: UnitOfWork, settings: Settings) -> None:
    """The tenant's end or return is everybody's; its other changes are nobody's here."""
    before = {person.user_id: person.connected for person in await queries.people(work.session, event.org_id)}
    await keep_tenant_copy(event, session=work.session)
    for person in await queries.people(work.session, event.org_id):
        if person.connected != before[person.user_id]:
            watching.queue(work.jobs, person)
            if person.connected:
                await ledger.catch_up(work, event.org_id, person.user_id, settings)


@on(MeetingScheduled)
async def expect_artefacts(event: MeetingScheduled, *, work: UnitOfWork, settings: Settings) -> None:
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    meeting.user_id, meeting.organizer_oid = event.user_id, event.organizer_oid
    meeting.online_meeting_id, meeting.auto_recording = event.online_meeting_id, event.auto_recording
    if event.aggregate_version > meeting.meeting_version or meeting.ends_at is None:
        meeting.subject, meeting.starts_at, meeting.ends_at = event.subject, event.start, event.end
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
    await ledger.plan(work, meeting, settings)


@on(MeetingRescheduled)
async def expect_artefacts_at_another_time(event: MeetingRescheduled, *, work: UnitOfWork, settings: Settings) -> None:
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    if event.aggregate_version > meeting.meeting_version:
        meeting.subject, meeting.starts_at, meeting.ends_at = event.subject, event.start, event.end
        meeting.meeting_version = event.aggregate_version
        await ledger.plan(work, meeting, settings)


@on(MeetingCancelled)
async def expect_nothing(event: MeetingCancelled, *, work: UnitOfWork, settings: Settings) -> None:
    """What was recorded before is imported all the same."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    meeting.status = "cancelled"
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
    await ledger.plan(work, meeting, settings)


@on(MeetingEnded)
async def look_for_artefacts(event: MeetingEnded, *, work: UnitOfWork, settings: Settings) -> None:
    """The deadline counts from the end; an end told by an artefact means that we have just looked."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    if event.aggregate_version > meeting.meeting_version or meeting.ended_at is None:
        meeting.ended_at = event.ended_at
        if meeting.status == "scheduled":
            meeting.status = "ended"
        meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
        await ledger.plan(work, meeting, settings, at_once=event.source != "artefact")
