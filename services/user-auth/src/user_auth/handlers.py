"""Everything user-auth reacts to."""

from shared.copies import keep_tenant_copy
from shared.db import UnitOfWork
from shared.events import TenantDisconnected, TenantState
from shared.handlers import Handlers
from user_auth import connections, queries
from user_auth.refreshing import AccessTokens

on = Handlers()
on(TenantState)(keep_tenant_copy)


@on(TenantState)
async def end_connections_to_another_tenant(
    event: TenantState, *, work: UnitOfWork, access_tokens: AccessTokens
) -> None:
    """What ``tenant.disconnected`` ends, also when that comes later, or a sign-in was completed in between."""
    known = await queries.tenant(work.session, event.org_id)
    if known is not None and known.version == event.aggregate_version:
        tid = event.tid if event.connected else None
        await connections.end_outside(work, event.org_id, tid, reason="The organisation left this Microsoft 365.")
        work.after_commit(lambda: access_tokens.forget(event.org_id))


@on(TenantDisconnected)
async def end_connections(event: TenantDisconnected, *, work: UnitOfWork, access_tokens: AccessTokens) -> None:
    """The tokens of all its people are destroyed; late news of a tenant that is connected again change nothing."""
    known = await queries.tenant(work.session, event.org_id)
    if known is not None and known.connected and known.version > event.aggregate_version:
        return
    await connections.end_outside(work, event.org_id, None, reason=event.reason)
    work.after_commit(lambda: access_tokens.forget(event.org_id))
