"""Everything user-auth reacts to."""

from shared.connections import tenant_of
from shared.connections.state import keep_tenant
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import (
    ContactTracesRemoved,
    MailTracesRemoved,
    MeetingTracesRemoved,
    RecordingTracesRemoved,
    TenantDisconnected,
    TenantState,
    TracesRemoved,
)
from user_auth import connections, leaving, queries
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings

on = Handlers()


@on(TenantState)
async def end_connections_to_another_tenant(
    event: TenantState, *, work: UnitOfWork, access_tokens: AccessTokens, settings: Settings
) -> None:
    """End connections to another tenant, also when ``tenant.disconnected`` comes later or a sign-in was in between."""
    if await keep_tenant(work.session, event):
        tid = event.tid if event.connected else None
        why = connections.End("The organisation left this Microsoft 365.", event.leaving_until)
        await connections.end_outside(work, event.org_id, tid, settings, why)
        work.after_commit(lambda: access_tokens.forget(event.org_id))


@on(TenantDisconnected)
async def end_connections(
    event: TenantDisconnected, *, work: UnitOfWork, access_tokens: AccessTokens, settings: Settings
) -> None:
    """End the connections of all people of the tenant. Late news of a tenant that is connected again is ignored."""
    known = await tenant_of(work.session, event.org_id, hold=True)
    if known.connected and (known.version or 0) > event.aggregate_version:
        return
    why = connections.End(event.reason, event.leaving_until)
    await connections.end_outside(work, event.org_id, None, settings, why)
    work.after_commit(lambda: access_tokens.forget(event.org_id))


@on(MeetingTracesRemoved)
@on(RecordingTracesRemoved)
@on(ContactTracesRemoved)
@on(MailTracesRemoved)
async def sum_up_what_was_removed(event: TracesRemoved, *, work: UnitOfWork) -> None:
    """When all have told the tokens are destroyed, at the latest when the time is over."""
    row = await queries.connection(work.session, event.org_id, event.user_id, lock=True)
    if row is not None:
        leaving.take(row, event, work.outbox)
