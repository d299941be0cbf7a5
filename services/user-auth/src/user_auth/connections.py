"""Changes of a connection, and the events that announce them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.connections import ACCOUNT_PLACE
from shared.connections.obstacles import ACCOUNT_NOT_CONNECTED, ADMIN_REQUIRED, TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.database.outbox import Outbox
from shared.database.unit_of_work import UnitOfWork
from shared.entra.aadsts import EntraError, EntraTellAdmin
from shared.entra.id_tokens import Account
from shared.events import UserConnected, UserConnectionExpired, UserDisconnected, UserReconnected, UserState
from shared.events.user import DisconnectedBecause
from shared.problems import Conflict
from shared.web.audit import note
from user_auth import challenges, leaving, permissions, queries
from user_auth.microsoft import Grant
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow

WHERE = f"under {ACCOUNT_PLACE}"
_AGAIN = f"Connect your account again {WHERE}."
_TENANT_LEFT = TENANT_NOT_CONNECTED.code
_ACCOUNT_GONE = 50034
_RECONNECT = "Reconnect your account"


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ends, as a sentence, and until when its tokens then serve to remove what is at Microsoft."""

    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Checked:
    """An account that may be connected; ``addresses`` is None when Microsoft did not say."""

    notices: list[dict[str, str]]
    addresses: tuple[str, ...] | None


def keeps_account(row: ConnectionRow, tid: str) -> bool:
    """Whether the next sign-in in the tenant is to be with the same account: not after the person disconnected it.

    When the organisation left and came back, the person's meetings are still in that account's calendar.
    """
    return row.status != "disconnected" or (row.tid == tid and _ended_with_tenant(row))


def check_account(row: ConnectionRow, account: Account) -> None:
    """Raises ``Conflict`` for another account than the one that is kept."""
    if not keeps_account(row, account.tid) or (row.tid, row.oid) == (account.tid, account.oid):
        return
    raise Conflict(
        "another_account",
        f"Your connection is to {row.email}. Sign in with that account, or disconnect it first {WHERE}.",
    )


def connect(
    row: ConnectionRow,
    account: Account,
    grant: Grant,
    outbox: Outbox,
    *,
    sealed_cache: bytes,
    checked: Checked,
) -> str:
    """The person signed in. Returns what this was: ``connected``, ``reconnected`` or ``renewed``."""
    was, broken_since = row.status, row.broken_since
    if checked.addresses is not None or (row.tid, row.oid) != (account.tid, account.oid):
        _set_addresses(row, checked.addresses)
    row.status = "connected"
    row.tid, row.oid, row.name, row.email = account.tid, account.oid, account.name, account.email
    row.sealed_cache, row.token_expires_at = sealed_cache, grant.expires_at
    row.granted_scopes, row.notices = list(grant.scopes), checked.notices
    row.broken_since = row.problem = row.doubted_since = row.leaving_until = row.leaving = None
    row.answered_challenge = row.unanswered_challenge = row.silent_refused_at = row.silent_refused_in = None
    row.version += 1
    about = {"org_id": row.org_id, "user_id": row.user_id, "aggregate_version": row.version}
    about |= {"tid": account.tid, "oid": account.oid}
    if was == "disconnected":
        row.connected_at = datetime.now(UTC)
        outbox.add(UserConnected(**about, name=account.name, email=account.email))
    elif was == "expired":
        outbox.add(UserReconnected(**about, broken_since=broken_since))
    _tell_state(row, outbox)
    return {"disconnected": "connected", "expired": "reconnected"}.get(was, "renewed")


def expire(row: ConnectionRow, refused: EntraError, outbox: Outbox, *, claims: str | None = None) -> None:
    """Microsoft refuses the refresh token for good: what is left of it is destroyed.

    ``claims`` is Graph's challenge that was to be answered. It and Entra's own are left to the next sign-in.
    """
    if isinstance(refused, EntraTellAdmin):
        row.problem = {"code": ADMIN_REQUIRED.code, "detail": f"{refused.message} Then reconnect your account {WHERE}."}
    else:
        what = "Disconnect it, then connect your new account" if refused.number == _ACCOUNT_GONE else _RECONNECT
        row.problem = {"code": ACCOUNT_NOT_CONNECTED.code, "detail": f"{refused.message} {what} {WHERE}."}
    row.broken_since, row.unanswered_challenge = datetime.now(UTC), challenges.as_one(claims, refused.claims)
    row.status, row.notices = "expired", []
    row.sealed_cache = row.token_expires_at = None
    row.version += 1
    about = {"org_id": row.org_id, "user_id": row.user_id, "aggregate_version": row.version}
    outbox.add(UserConnectionExpired(**about, code=row.problem["code"], reason=refused.message))
    _tell_state(row, outbox)


def disconnect(
    row: ConnectionRow,
    outbox: Outbox,
    code: DisconnectedBecause,
    end: End,
    problem: dict[str, str] | None = None,
) -> bool:
    """End it. False when there is nothing to end."""
    if row.status == "disconnected":
        row.problem = problem  # whoever disconnects what the organisation had ended may choose another account
        return False
    row.problem, row.broken_since, row.unanswered_challenge = problem, None, None
    row.status, row.notices = "disconnected", []
    row.version += 1
    leaving.begin(row, end.until)
    about = {"org_id": row.org_id, "user_id": row.user_id, "aggregate_version": row.version}
    outbox.add(UserDisconnected(**about, code=code, reason=end.reason))
    _tell_state(row, outbox)
    return True


async def end_outside(work: UnitOfWork, org_id: str, tid: str | None, settings: Settings, end: End) -> None:
    """Disconnect all of the organisation's people whose account is not of the tenant ``tid`` (None: all)."""
    detail = f"Your organisation's Microsoft 365 was disconnected; an Org Admin connects it first. {_AGAIN}"
    problem = {"code": _TENANT_LEFT, "detail": detail}
    for row in await queries.connections_outside(work.session, org_id, tid):
        disconnect(row, work.outbox, "tenant_left", end, problem)
        leaving.watch(work, row, settings.leave_within_s)
        about = {"user_id": row.user_id}
        note(work.session, org_id, "tenant-connector", "connection.disconnected", "done", **about)


def problem_of(row: ConnectionRow, *, tenant_connected: bool) -> dict[str, Any] | None:
    """The current problem: once the organisation is back, only the person has to act."""
    if not (tenant_connected and _ended_with_tenant(row)):
        return row.problem
    detail = f"Your organisation's Microsoft 365 was disconnected or changed, and is connected now. {_AGAIN}"
    return {"code": ACCOUNT_NOT_CONNECTED.code, "detail": detail}


def refuse_token(row: ConnectionRow | None, *, tenant_connected: bool) -> Conflict:
    """Why there is no token, for services that ask for one."""
    if not tenant_connected:
        return conflict(TENANT_NOT_CONNECTED)
    problem = problem_of(row, tenant_connected=True) if row is not None else None
    if problem is not None:
        return conflict(ACCOUNT_NOT_CONNECTED, detail=str(problem["detail"]))
    return conflict(ACCOUNT_NOT_CONNECTED, "")


def _ended_with_tenant(row: ConnectionRow) -> bool:
    return row.status == "disconnected" and row.problem is not None and row.problem["code"] == _TENANT_LEFT


def mail_permitted(row: ConnectionRow) -> bool | None:
    """Whether Microsoft gave what mail needs; None when it was not asked, or the organisation consented anew since."""
    if not permissions.missing(permissions.in_force(row.granted_scopes), permissions.OF_ORGANISATION):
        return True
    return False if row.silent_refused_at is not None else None


def tell_mail(row: ConnectionRow, outbox: Outbox) -> None:
    """The permissions for mail came, went, or were refused after another consent."""
    row.version += 1
    _tell_state(row, outbox)


def keep_addresses(row: ConnectionRow, addresses: tuple[str, ...] | None, outbox: Outbox) -> None:
    """Keep the addresses that Microsoft's directory gives now; None when it did not say."""
    if addresses is None:
        return
    differ = row.addresses != list(addresses)
    _set_addresses(row, addresses)
    if differ:
        row.version += 1
        _tell_state(row, outbox)


def _set_addresses(row: ConnectionRow, addresses: tuple[str, ...] | None) -> None:
    row.addresses, row.addresses_at = list(addresses or ()), None if addresses is None else datetime.now(UTC)


def _tell_state(row: ConnectionRow, outbox: Outbox) -> None:
    outbox.add(
        UserState(
            org_id=row.org_id,
            user_id=row.user_id,
            aggregate_version=row.version,
            connected=row.status == "connected",
            status=row.status,
            tid=row.tid,
            oid=row.oid,
            name=row.name,
            email=row.email,
            changed_at=datetime.now(UTC),
            mail_permitted=mail_permitted(row) if row.status == "connected" else None,
            leaving_until=row.leaving_until,
            addresses=row.addresses,
        )
    )
