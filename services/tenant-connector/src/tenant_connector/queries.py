"""All SQL of the tenant-connector."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events import Features
from tenant_connector.tables import TenantRow

_MAKE_TENANT = text(
    """INSERT INTO tenant (org_id, status, features, version)
       VALUES (:org_id, 'not_connected', CAST(:features AS jsonb), 0) ON CONFLICT DO NOTHING"""
)
_ADD_ATTEMPT = text(
    """INSERT INTO consent_attempt (org_id, state_hash, user_id, link_hash, browser_key_hash, expires_at)
       VALUES (:org_id, :state_hash, :user_id, :link_hash, :browser_key_hash,
           clock_timestamp() + make_interval(secs => :life_s))"""
)
_TAKE_ATTEMPT = text(
    """UPDATE consent_attempt SET taken = true
       WHERE org_id = :org_id AND state_hash = :state_hash AND (claimed_tid IS NOT NULL) = :claimed AND NOT taken
       RETURNING user_id, link_hash, browser_key_hash, claimed_tid, sealed_flow,
           expires_at > clock_timestamp() AS alive"""
)
_GIVE_BACK_ATTEMPT = text(
    "UPDATE consent_attempt SET taken = false WHERE org_id = :org_id AND state_hash = :state_hash"
)
_SEND_ON_ATTEMPT = text(
    """UPDATE consent_attempt
       SET state_hash = :next_hash, claimed_tid = :claimed_tid, sealed_flow = :sealed_flow, taken = false
       WHERE org_id = :org_id AND state_hash = :state_hash RETURNING 1"""
)
_END_ATTEMPT = text("DELETE FROM consent_attempt WHERE org_id = :org_id AND state_hash = :state_hash RETURNING 1")
# Kept a day beyond their end, so that a late return is told that it is late; the newest twenty at most.
_DROP_OLD_ATTEMPTS = text(
    """DELETE FROM consent_attempt WHERE org_id = :org_id AND (
           expires_at < clock_timestamp() - interval '1 day'
           OR state_hash NOT IN (SELECT state_hash FROM consent_attempt WHERE org_id = :org_id
                                 ORDER BY expires_at DESC LIMIT 19))"""
)
_DROP_ATTEMPTS = text("DELETE FROM consent_attempt WHERE org_id = :org_id")
_DROP_LINK_ATTEMPTS = text("DELETE FROM consent_attempt WHERE org_id = :org_id AND link_hash IS NOT NULL")
_PUT_LINK = text(
    """INSERT INTO consent_link (org_id, token_hash, user_id, user_name, org_name, expires_at)
       VALUES (:org_id, :token_hash, :user_id, :user_name, :org_name,
           clock_timestamp() + make_interval(secs => :life_s))
       ON CONFLICT (org_id) DO UPDATE SET token_hash = excluded.token_hash, user_id = excluded.user_id,
           user_name = excluded.user_name, org_name = excluded.org_name, expires_at = excluded.expires_at,
           used_at = NULL
       RETURNING expires_at"""
)
_LINK = text(
    """SELECT token_hash, user_id, user_name, org_name, expires_at FROM consent_link
       WHERE org_id = :org_id AND used_at IS NULL AND expires_at > clock_timestamp()"""
)
_USE_LINK = text(
    """UPDATE consent_link SET used_at = clock_timestamp()
       WHERE org_id = :org_id AND token_hash = :token_hash AND used_at IS NULL AND expires_at > clock_timestamp()
       RETURNING 1"""
)
_DROP_LINK = text("DELETE FROM consent_link WHERE org_id = :org_id RETURNING 1")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A consent attempt as it was taken; ``alive`` is whether its time had not run out.

    ``link_hash`` is of the link it belongs to; without one it is the person's. The last two are of the second leg.
    """

    user_id: str
    link_hash: str | None
    browser_key_hash: str
    alive: bool
    claimed_tid: str | None
    sealed_flow: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A link that may still be used."""

    token_hash: str
    user_id: str
    user_name: str
    org_name: str
    expires_at: datetime


async def tenant(session: AsyncSession, org_id: str) -> TenantRow | None:
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id))).first()


async def tenant_for_change(session: AsyncSession, org_id: str) -> TenantRow:
    """The organisation's row, made when there is none; nobody else changes it before this transaction ends."""
    await session.execute(_MAKE_TENANT, {"org_id": org_id, "features": json.dumps(Features().model_dump())})
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id).with_for_update())).one()


async def add_attempt(
    session: AsyncSession,
    org_id: str,
    *,
    state_hash: str,
    user_id: str,
    link_hash: str | None,
    browser_key_hash: str,
    life_s: int,
) -> None:
    await session.execute(_DROP_OLD_ATTEMPTS, {"org_id": org_id})
    values = {"org_id": org_id, "state_hash": state_hash, "user_id": user_id, "link_hash": link_hash, "life_s": life_s}
    await session.execute(_ADD_ATTEMPT, values | {"browser_key_hash": browser_key_hash})


async def take_attempt(session: AsyncSession, org_id: str, state_hash: str, *, claimed: bool) -> Attempt | None:
    """The attempt at its first leg, or at its second (``claimed``), for who takes it first; None for everybody else."""
    values = {"org_id": org_id, "state_hash": state_hash, "claimed": claimed}
    row = (await session.execute(_TAKE_ATTEMPT, values)).first()
    return Attempt(**row._mapping) if row else None  # noqa: SLF001 - SQLAlchemy's public name for it


async def give_back_attempt(session: AsyncSession, org_id: str, state_hash: str) -> None:
    """As if it had not been taken."""
    await session.execute(_GIVE_BACK_ATTEMPT, {"org_id": org_id, "state_hash": state_hash})


async def send_on_attempt(
    session: AsyncSession, org_id: str, state_hash: str, *, next_hash: str, claimed_tid: str, sealed_flow: bytes
) -> bool:
    """From the first leg to the second; False when the attempt was dropped meanwhile."""
    values = {"org_id": org_id, "state_hash": state_hash, "next_hash": next_hash, "claimed_tid": claimed_tid}
    return (await session.execute(_SEND_ON_ATTEMPT, values | {"sealed_flow": sealed_flow})).first() is not None


async def end_attempt(session: AsyncSession, org_id: str, state_hash: str) -> bool:
    """False when the attempt was dropped meanwhile."""
    return (await session.execute(_END_ATTEMPT, {"org_id": org_id, "state_hash": state_hash})).first() is not None


async def drop_attempts(session: AsyncSession, org_id: str) -> None:
    await session.execute(_DROP_ATTEMPTS, {"org_id": org_id})


async def put_link(
    session: AsyncSession, org_id: str, *, token_hash: str, user_id: str, user_name: str, org_name: str, life_s: int
) -> datetime:
    """In place of an older one and whatever was under way with it. Returns when it ends."""
    await session.execute(_DROP_LINK_ATTEMPTS, {"org_id": org_id})
    values = {"org_id": org_id, "token_hash": token_hash, "user_id": user_id, "user_name": user_name}
    found = await session.execute(_PUT_LINK, values | {"org_name": org_name, "life_s": life_s})
    ends: datetime = found.scalar_one()
    return ends


async def link(session: AsyncSession, org_id: str) -> Link | None:
    row = (await session.execute(_LINK, {"org_id": org_id})).first()
    return Link(*row) if row else None


async def use_link(session: AsyncSession, org_id: str, token_hash: str) -> bool:
    """Once: False when it was used, replaced, revoked or has expired."""
    return (await session.execute(_USE_LINK, {"org_id": org_id, "token_hash": token_hash})).first() is not None


async def drop_link(session: AsyncSession, org_id: str) -> bool:
    """With whatever is under way with it. Whether there was one."""
    await session.execute(_DROP_LINK_ATTEMPTS, {"org_id": org_id})
    return (await session.execute(_DROP_LINK, {"org_id": org_id})).first() is not None


async def now(session: AsyncSession) -> datetime:
    """The database's clock, the one all pods share."""
    moment: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return moment
