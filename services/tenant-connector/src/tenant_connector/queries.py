"""All SQL of the tenant-connector."""

import json
from dataclasses import dataclass
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
    """INSERT INTO consent_attempt (org_id, state_hash, user_id, browser_key_hash, expires_at)
       VALUES (:org_id, :state_hash, :user_id, :browser_key_hash, clock_timestamp() + make_interval(secs => :life_s))"""
)
_TAKE_ATTEMPT = text(
    """DELETE FROM consent_attempt WHERE org_id = :org_id AND state_hash = :state_hash
       RETURNING user_id, browser_key_hash, expires_at > clock_timestamp() AS alive"""
)
# Kept a day beyond their end, so that a late return is told that it is late; the newest twenty at most.
_DROP_OLD_ATTEMPTS = text(
    """DELETE FROM consent_attempt WHERE org_id = :org_id AND (
           expires_at < clock_timestamp() - interval '1 day'
           OR state_hash NOT IN (SELECT state_hash FROM consent_attempt WHERE org_id = :org_id
                                 ORDER BY expires_at DESC LIMIT 19))"""
)
_DROP_ATTEMPTS = text("DELETE FROM consent_attempt WHERE org_id = :org_id")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A consent attempt as it was taken; ``alive`` is whether its time had not run out."""

    user_id: str
    browser_key_hash: str
    alive: bool


async def tenant(session: AsyncSession, org_id: str) -> TenantRow | None:
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id))).first()


async def tenant_for_change(session: AsyncSession, org_id: str) -> TenantRow:
    """The organisation's row, made when there is none; nobody else changes it before this transaction ends."""
    await session.execute(_MAKE_TENANT, {"org_id": org_id, "features": json.dumps(Features().model_dump())})
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id).with_for_update())).one()


async def add_attempt(
    session: AsyncSession, org_id: str, *, state_hash: str, user_id: str, browser_key_hash: str, life_s: int
) -> None:
    await session.execute(_DROP_OLD_ATTEMPTS, {"org_id": org_id})
    values = {"org_id": org_id, "state_hash": state_hash, "user_id": user_id, "life_s": life_s}
    await session.execute(_ADD_ATTEMPT, values | {"browser_key_hash": browser_key_hash})


async def take_attempt(session: AsyncSession, org_id: str, state_hash: str) -> Attempt | None:
    """The attempt, for the one who takes it first; None for everybody else."""
    row = (await session.execute(_TAKE_ATTEMPT, {"org_id": org_id, "state_hash": state_hash})).first()
    return Attempt(row.user_id, row.browser_key_hash, row.alive) if row else None


async def drop_attempts(session: AsyncSession, org_id: str) -> None:
    await session.execute(_DROP_ATTEMPTS, {"org_id": org_id})


async def now(session: AsyncSession) -> datetime:
    """The database's clock, the one all pods share."""
    moment: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return moment
