"""The application's token for other services, and noticing that Microsoft does not know us any more."""

import structlog

from shared.db import Database
from shared.entra import EntraError, EntraMisconfigured, EntraRetry, EntraTenantGone
from shared.problems import Conflict, Unavailable
from shared.tokens import AccessToken
from tenant_connector import audit, queries, tenant
from tenant_connector.tokens import AppTokens, Connection

log = structlog.get_logger(__name__)

_GONE = {
    "code": "consent_withdrawn",
    "detail": "Your Microsoft 365 does not know Prospo any more: the consent was withdrawn or the application removed. "
    "An Org Admin has to connect Microsoft 365 again.",
}


async def app_token(db: Database, tokens: AppTokens, org_id: str, refused: str | None = None) -> AccessToken:
    """Raises ``Conflict`` when an administrator must act first, ``Unavailable`` when asking again may help."""
    connection = await _connection(db, org_id)
    try:
        return await tokens.token(connection, refused)
    except EntraTenantGone as error:
        await _lose(db, tokens, connection)
        raise Conflict("tenant_not_connected", _GONE["detail"]) from error
    except EntraRetry as error:
        raise Unavailable("microsoft_busy", f"{error.message} Try again in a moment.") from error
    except EntraMisconfigured as error:
        said = {"number": error.number, "trace_id": error.trace_id}
        log.error("Microsoft refuses our registration", org_id=org_id, **said)  # noqa: TRY400 - Microsoft's words say it
        raise Unavailable("prospo_misconfigured", error.message) from error
    except EntraError as error:
        raise Conflict("admin_required", error.message) from error


async def _connection(db: Database, org_id: str) -> Connection:
    async with db.unit_of_work(org_id) as work:
        row = await queries.tenant(work.session, org_id)
    if row is None or row.status != "connected" or row.tid is None or row.connected_at is None:
        raise tenant.not_connected()
    return Connection(org_id, row.tid, row.connected_at)


async def _lose(db: Database, tokens: AppTokens, connection: Connection) -> None:
    """Once per connection: who comes second finds it disconnected, or connected anew."""
    async with db.unit_of_work(connection.org_id) as work:
        row = await queries.tenant_for_change(work.session, connection.org_id)
        if row.status == "connected" and row.connected_at == connection.connected_at:
            tenant.lose(row, _GONE, work.outbox)
            audit.note(work.session, row.org_id, audit.SERVICE, "tenant.disconnect", code=_GONE["code"], tid=row.tid)
    tokens.forget(connection.org_id)
