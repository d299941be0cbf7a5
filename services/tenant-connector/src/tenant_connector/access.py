"""The application's token for other services, and noticing that Microsoft does not know us any more."""

import structlog

from shared.database.unit_of_work import Database, UnitOfWork
from shared.entra.aadsts import EntraError, EntraMisconfigured, EntraRetry, EntraTenantGone, EntraTenantUnknown
from shared.entra.client import Entra
from shared.entra.tokens import AccessToken
from shared.problems import Conflict, Unavailable
from tenant_connector import audit, queries, tenant
from tenant_connector.leaving import is_open
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.readiness import schedule as watching
from tenant_connector.tokens import AppTokens, Connection

log = structlog.get_logger(__name__)

WITHDRAWN = {
    "code": "consent_withdrawn",
    "detail": "Your Microsoft 365 does not know Prospo any more: the consent was withdrawn or the application removed. "
    "An Org Admin has to connect Microsoft 365 again.",
}
TENANT_GONE = {
    "code": "tenant_gone",
    "detail": "Microsoft does not know your organisation's tenant any more: it was deleted or moved. If it is there, "
    "an Org Admin connects Microsoft 365 again.",
}


async def app_token(
    db: Database, tokens: AppTokens, entra: Entra, org_id: str, refused: str | None = None, *, leaving: bool = False
) -> AccessToken:
    """Raises ``Conflict`` when an administrator must act first, ``Unavailable`` when asking again may help.

    ``leaving``: of a connection that has ended, to remove what was set at Microsoft.
    """
    connection = await connection_of(db, org_id, leaving=leaving)
    if connection is None:
        raise tenant.not_connected()
    try:
        return await tokens.token(connection, refused)
    except EntraTenantGone as error:
        await lose(db, tokens, connection, WITHDRAWN)
        raise Conflict("tenant_not_connected", WITHDRAWN["detail"]) from error
    except EntraRetry as error:
        raise Unavailable("microsoft_busy", f"{error.message} Try again in a moment.") from error
    except EntraMisconfigured as error:
        raise await _not_there_or_ours(db, entra, connection, error) from error
    except EntraError as error:
        raise Conflict("admin_required", error.message) from error


async def connection_of(db: Database, org_id: str, *, leaving: bool = False) -> Connection | None:
    """The connection as it is now; None when there is none. With ``leaving`` the one that is being left."""
    async with db.unit_of_work(org_id) as work:
        row = await queries.tenant(work.session, org_id)
    if row is None or row.tid is None or row.connected_at is None:
        return None
    if not (is_open(row) if leaving else row.status == "connected"):
        return None
    return Connection(org_id, row.tid, row.connected_at)


async def lose(db: Database, tokens: AppTokens, connection: Connection, problem: tenant.Problem) -> None:
    """Once per connection: who comes second finds it disconnected, or connected anew."""
    async with db.unit_of_work(connection.org_id) as work:
        row = await queries.tenant_for_change(work.session, connection.org_id)
        if row.status == "connected" and row.connected_at == connection.connected_at:
            tenant.lose(row, problem, work.outbox)
            audit.note(work.session, row.org_id, audit.SERVICE, "tenant.disconnect", code=problem["code"], tid=row.tid)
            await readiness.clear(work.session, work.outbox, row.org_id)
    tokens.forget(connection.org_id)


async def _not_there_or_ours(
    db: Database, entra: Entra, connection: Connection, error: EntraMisconfigured
) -> Unavailable:
    """A call never disconnects for this: it only has the tenant looked at, which asks twice."""
    if isinstance(error, EntraTenantUnknown) and await watching.microsoft_is_there(entra):
        async with db.unit_of_work(connection.org_id) as work:
            await _have_it_looked_at(work, connection.org_id)
        return Unavailable("tenant_gone", f"{error.message} It is asked again before anything is disconnected.")
    said = {"number": error.number, "trace_id": error.trace_id}
    log.error("registration.refused", org_id=connection.org_id, **said)
    return Unavailable("prospo_misconfigured", error.message)


async def _have_it_looked_at(work: UnitOfWork, org_id: str) -> None:
    """Not when it is in doubt already: the next look has its time, and calls must not bring it forward."""
    if not await readiness_queries.is_doubted(work.session, org_id):
        watching.look_now(work)
