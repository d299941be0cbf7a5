"""Everything user-auth reacts to."""

from shared.connections import tenant_of
from shared.connections.state import keep_tenant
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import TenantDisconnected, TenantState
from user_auth import connections
from user_auth.refreshing import AccessTokens

on = Handlers()


@on(TenantState)
async def end_connections_to_another_tenant(
    event: TenantState, *, work: UnitOfWork, access_tokens: AccessTokens
) -> None:
    """What ``tenant.disconnected`` ends, also when that comes later, or a sign-in was completed in between."""
    if await keep_tenant(work.session, event):
        tid = event.tid if event.connected else None
        await connections.end_outside(work, event.org_id, tid, reason="The organisation left this Microsoft 365.")
        work.after_commit(lambda: access_tokens.forget(event.org_id))


@on(TenantDisconnected)
async def end_connections(event: TenantDisconnected, *, work: UnitOfWork, access_tokens: AccessTokens) -> None:
    """The tokens of all its people are destroyed; late news of a tenant that is connected again change nothing."""
    known = await tenant_of(work.session, event.org_id, hold=True)
    if known.connected and (known.version or 0) > event.aggregate_version:
        return
    await connections.end_outside(work, event.org_id, None, reason=event.reason)
    work.after_commit(lambda: access_tokens.forget(event.org_id))
