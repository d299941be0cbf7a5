"""Everything the recording-ingest service reacts to."""

from recording_ingest import halts, ledger, queries, watching
from recording_ingest.queries import Person
from recording_ingest.settings import Settings
from recording_ingest.tables import LedgerMeeting
from recording_ingest.work import FollowPerson
from shared.copies import keep_tenant_copy, keep_user_copy
from shared.db import UnitOfWork
from shared.events import (
    MeetingCancelled,
    MeetingEnded,
    MeetingRecordingChanged,
    MeetingRescheduled,
    MeetingScheduled,
    TenantState,
    UserState,
)
from shared.graph.subscriptions import Subscriptions
from shared.handlers import Handlers

on = Handlers()


@on(UserState)
async def follow_user(event: UserState, *, work: UnitOfWork, subscriptions: Subscriptions) -> None:
    """Subscriptions and imports follow the connection; one that works again fetches what was missed."""
    await queries.hold_tenant(work.session, event.org_id, shared=True)
    before = await queries.person(work.session, event.org_id, event.user_id)
    await keep_user_copy(event, session=work.session)
    after = await queries.person(work.session, event.org_id, event.user_id)
    if after is not None and after != before:
        await _follow(work, event.org_id, before, after, subscriptions)


@on(TenantState)
async def follow_tenant(event: TenantState, *, work: UnitOfWork, subscriptions: Subscriptions) -> None:
    """The tenant's end or return is everybody's, and so is the switch for automatic recording."""
    await queries.hold_tenant(work.session, event.org_id)
    before = {person.user_id: person for person in await queries.people(work.session, event.org_id)}
    await keep_tenant_copy(event, session=work.session)
    for person in await queries.people(work.session, event.org_id):
        await _follow(work, event.org_id, before.get(person.user_id), person, subscriptions)


async def _follow(
    work: UnitOfWork, org_id: str, before: Person | None, after: Person, subscriptions: Subscriptions
) -> None:
    """No notification is believed from the moment on in which a connection is known to have ended."""
    if before is None or _of_imports(before) != _of_imports(after):
        work.queue(FollowPerson(user_id=after.user_id))
    if before is None or _of_account(before) != _of_account(after):
        watching.queue(work, after)
    if not after.connected and (before is None or before.connected):
        await watching.forget(work, subscriptions, org_id, after)


def _of_imports(person: Person) -> tuple[object, ...]:
    """Whoever signs in again may have allowed more, or another account."""
    return halts.of(person), person.user_version


def _of_account(person: Person) -> tuple[object, ...]:
    return person.connected, person.oid, person.user_version


@on(MeetingScheduled)
async def expect_artefacts(event: MeetingScheduled, *, work: UnitOfWork, settings: Settings) -> None:
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    meeting.user_id, meeting.organizer_oid = event.user_id, event.organizer_oid
    meeting.online_meeting_id = event.online_meeting_id
    _note_recording(meeting, event.aggregate_version, on=event.auto_recording)
    if event.aggregate_version > meeting.meeting_version or meeting.ends_at is None:
        meeting.subject, meeting.starts_at, meeting.ends_at = event.subject, event.start, event.end
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)
    await ledger.plan(work, meeting, settings)


@on(MeetingRecordingChanged)
async def expect_a_recording_or_none(event: MeetingRecordingChanged, *, work: UnitOfWork) -> None:
    """Whether one is missed later; what is imported depends on the switch and not on this."""
    meeting = await queries.noted_meeting(work.session, event.org_id, event.meeting_id)
    _note_recording(meeting, event.aggregate_version, on=event.auto_recording)
    meeting.meeting_version = max(meeting.meeting_version, event.aggregate_version)


def _note_recording(meeting: LedgerMeeting, version: int, *, on: bool) -> None:
    if version > meeting.recording_version:
        meeting.auto_recording, meeting.recording_version = on, version


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
