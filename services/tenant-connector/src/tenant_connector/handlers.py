"""Everything the tenant-connector reacts to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections.state import connection_of, keep_account
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import (
    MeetingApplicationTracesRemoved,
    StorageLocationChanged,
    StorageLocationSelected,
    TranscriptImported,
    TranscriptUnavailable,
    UserLeft,
    UserState,
)
from tenant_connector import leaving, queries, tenant
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.readiness import schedule as watching
from tenant_connector.settings import Settings

on = Handlers()


@on(StorageLocationSelected)
async def remember_location(event: StorageLocationSelected, *, session: AsyncSession, work: UnitOfWork) -> None:
    """Allow SharePoint storage to be switched on, unless the check that follows finds that it cannot work."""
    row = await queries.tenant_for_change(session, event.org_id)
    tenant.keep_location(row, event.location, event.aggregate_version)
    watching.check_soon(work)


@on(StorageLocationChanged)
async def notice_place(event: StorageLocationChanged, *, session: AsyncSession, work: UnitOfWork) -> None:
    """The board says at once whether files can be written to the place."""
    row = await queries.tenant_for_change(session, event.org_id)
    if tenant.keep_storage_state(row, event.state, event.nearly_full, event.aggregate_version):
        watching.check_soon(work)


@on(UserState)
async def know_person(event: UserState, *, session: AsyncSession, work: UnitOfWork, settings: Settings) -> None:
    """Licences and mailboxes are those of connected people; with the first of them more can be asked of Microsoft."""
    before = await readiness_queries.connected_people(session, event.org_id)
    known = (await connection_of(session, event.org_id, event.user_id)).account.mail_permitted
    if not await keep_account(session, event):
        return
    if before == 0 and event.connected:
        watching.check_soon(work, settings.readiness_first_check_s)
    elif event.mail_permitted is not None and event.mail_permitted != known:
        watching.check_soon(work)


@on(UserLeft)
async def sum_up_what_was_left(event: UserLeft, *, work: UnitOfWork) -> None:
    """Add up what stayed at Microsoft of the people of a disconnected organisation, for the Org Admin."""
    await leaving.take(work, event)


@on(MeetingApplicationTracesRemoved)
async def sum_up_what_the_application_left(event: MeetingApplicationTracesRemoved, *, work: UnitOfWork) -> None:
    """Add what the application left at Microsoft after an Org Admin disconnected the organisation."""
    await leaving.take_application(work, event)


@on(TranscriptImported)
async def notice_names(event: TranscriptImported, *, session: AsyncSession, work: UnitOfWork) -> None:
    """A transcript that arrived shows whether Microsoft names speakers; one without a line shows nothing."""
    if event.line_count == 0:
        return
    check = await readiness_queries.check_for_change(session, event.org_id)
    seen, before = bool(event.speakers), check.names_seen
    check.names_seen, check.names_at = seen, await readiness_queries.now(session)
    if seen != before:
        watching.check_soon(work)


@on(TranscriptUnavailable)
async def doubt_transcripts(event: TranscriptUnavailable, *, session: AsyncSession, work: UnitOfWork) -> None:
    """A meeting's transcript was refused for the tenant's switch: it is looked at, unless it is known to be off."""
    if event.code == "transcripts_disabled" and "transcript_access" not in await readiness.red(session, event.org_id):
        watching.check_soon(work)
