"""All SQL of user-auth."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.problems import Unavailable
from user_auth.tables import ConnectionRow

_OPEN_ATTEMPTS = 5

_FIRST = text(
    """INSERT INTO connection (org_id, user_id, status, version) VALUES (:org_id, :user_id, 'disconnected', 0)
       ON CONFLICT DO NOTHING"""
)
_COUNTS = text(
    """SELECT CASE WHEN version = 0 THEN 'never_connected' ELSE status END AS standing, count(*) AS people
       FROM connection WHERE org_id = :org_id GROUP BY standing"""
)
_ADD_ATTEMPT = text(
    """INSERT INTO sign_in_attempt
           (org_id, state_hash, user_id, browser_key_hash, tid, sealed_flow, return_to, expires_at)
       VALUES (:org_id, :state_hash, :user_id, :browser_key_hash, :tid, :sealed_flow, :return_to,
           clock_timestamp() + make_interval(secs => :life_s))"""
)
_TRIM_ATTEMPTS = text(
    """DELETE FROM sign_in_attempt WHERE org_id = :org_id AND (expires_at < clock_timestamp() OR state_hash IN (
           SELECT state_hash FROM sign_in_attempt WHERE org_id = :org_id AND user_id = :user_id
           ORDER BY expires_at DESC OFFSET :kept))"""
)
_TAKE_ATTEMPT = text(
    """DELETE FROM sign_in_attempt
       WHERE org_id = :org_id AND state_hash = :state_hash AND user_id = :user_id
           AND browser_key_hash = :browser_key_hash AND expires_at > clock_timestamp()
       RETURNING tid, sealed_flow, return_to"""
)
_CANCEL_ATTEMPTS = text("DELETE FROM sign_in_attempt WHERE org_id = :org_id AND user_id = :user_id")
_LOCK_WAIT_S = 3
_LOCK_NOT_AVAILABLE = "55P03"
_LIMIT_LOCKS = text("SELECT set_config('lock_timeout', :lock_wait, true)")
_LIMITS = text(
    """SELECT set_config('lock_timeout', :lock_wait, true),
              set_config('idle_in_transaction_session_timeout', :idle, true)"""
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was under way; it is gone from the table when this is read."""

    tid: str
    sealed_flow: bytes
    return_to: str


async def connection(session: AsyncSession, org_id: str, user_id: str, *, lock: bool = False) -> ConnectionRow | None:
    """One person's connection; with ``lock`` nobody else changes it before this transaction ends."""
    query = select(ConnectionRow).where(ConnectionRow.org_id == org_id, ConnectionRow.user_id == user_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def connection_in_time(session: AsyncSession, org_id: str, user_id: str) -> ConnectionRow | None:
    """The locked connection. Raises ``Unavailable`` when a refresh that Microsoft keeps waiting does not let it go."""
    await session.execute(_LIMIT_LOCKS, {"lock_wait": f"{_LOCK_WAIT_S}s"})
    try:
        return await connection(session, org_id, user_id, lock=True)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        detail = (
            "Your connection is being renewed, and Microsoft takes long. Nothing was changed: try again in a minute."
        )
        raise Unavailable("try_again", detail, retry_after_s=60) from error


async def connection_to_change(session: AsyncSession, org_id: str, user_id: str) -> ConnectionRow:
    """The locked row, made now (disconnected, version 0) when the person never connected. Raises ``Unavailable``."""
    await session.execute(_FIRST, {"org_id": org_id, "user_id": user_id})
    row = await connection_in_time(session, org_id, user_id)
    assert row is not None  # noqa: S101 - it was there or has just been inserted
    return row


async def connection_to_show(session: AsyncSession, org_id: str, user_id: str) -> ConnectionRow | None:
    """The row, made at the first look: the Org Admin then reads that this person never connected."""
    row = await connection(session, org_id, user_id)
    if row is None:
        await session.execute(_FIRST, {"org_id": org_id, "user_id": user_id})
    return row


async def people(session: AsyncSession, org_id: str, *, after: str | None, limit: int) -> list[ConnectionRow]:
    """Connections by ``user_id``, from after ``after``."""
    query = select(ConnectionRow).where(ConnectionRow.org_id == org_id, ConnectionRow.user_id > (after or ""))
    return list((await session.exec(query.order_by(ConnectionRow.user_id).limit(limit))).all())


async def counts(session: AsyncSession, org_id: str) -> dict[str, int]:
    """How many people are in each status; ``never_connected`` are those whose connection has no version yet."""
    rows = (await session.execute(_COUNTS, {"org_id": org_id})).all()
    return {row.standing: row.people for row in rows}


async def connected_elsewhere(session: AsyncSession, own: ConnectionRow, tid: str, oid: str) -> bool:
    """Whether the Microsoft account is the connection of another person of the organisation."""
    query = select(ConnectionRow.user_id).where(
        ConnectionRow.org_id == own.org_id,
        ConnectionRow.user_id != own.user_id,
        ConnectionRow.tid == tid,
        ConnectionRow.oid == oid,
        ConnectionRow.status == "connected",
    )
    return (await session.exec(query)).first() is not None


async def connections_outside(session: AsyncSession, org_id: str, tid: str | None) -> list[ConnectionRow]:
    """The organisation's connections that are not of the tenant ``tid`` (None: all), locked, in one order."""
    query = select(ConnectionRow).where(ConnectionRow.org_id == org_id, ConnectionRow.status != "disconnected")
    if tid is not None:
        query = query.where(col(ConnectionRow.tid).is_distinct_from(tid))
    return list((await session.exec(query.order_by(ConnectionRow.user_id).with_for_update())).all())


async def add_attempt(session: AsyncSession, **values: Any) -> None:
    """Keep one more sign-in under way; expired ones and a person's oldest beyond five go."""
    await session.execute(_ADD_ATTEMPT, values)
    kept = {"org_id": values["org_id"], "user_id": values["user_id"], "kept": _OPEN_ATTEMPTS}
    await session.execute(_TRIM_ATTEMPTS, kept)


async def take_attempt(
    session: AsyncSession, org_id: str, user_id: str, *, state_hash: str, browser_key_hash: str
) -> Attempt | None:
    """The attempt, once: it is deleted by reading it. The database's clock decides whether it is too old."""
    values = {"org_id": org_id, "user_id": user_id, "state_hash": state_hash, "browser_key_hash": browser_key_hash}
    row = (await session.execute(_TAKE_ATTEMPT, values)).first()
    return Attempt(row.tid, bytes(row.sealed_flow), row.return_to) if row else None


async def cancel_attempts(session: AsyncSession, org_id: str, user_id: str) -> None:
    """A person's sign-ins under way lead nowhere any more."""
    await session.execute(_CANCEL_ATTEMPTS, {"org_id": org_id, "user_id": user_id})


async def limit_waiting(session: AsyncSession, *, lock_wait_s: float, idle_s: float) -> None:
    """This transaction waits so long for a lock, and may be idle so long before the database ends it."""
    limits = {"lock_wait": f"{int(lock_wait_s * 1000)}ms", "idle": f"{int(idle_s * 1000)}ms"}
    await session.execute(_LIMITS, limits)
