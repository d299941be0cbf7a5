"""Local copies of tenant and user state, fed by events: a toggle acts at once and no service waits for another."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import Database
from shared.events import Features, TenantState, UserState
from shared.row_security import protecting

DDL = [
    """CREATE TABLE IF NOT EXISTS tenant_copy (
        org_id text PRIMARY KEY, version bigint NOT NULL, connected boolean NOT NULL,
        tid text, features jsonb NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS user_copy (
        org_id text NOT NULL, user_id text NOT NULL, version bigint NOT NULL, connected boolean NOT NULL,
        tid text, oid text, name text, email text, PRIMARY KEY (org_id, user_id))""",
    protecting("tenant_copy"),
    protecting("user_copy"),
]

_KEEP_TENANT = text(
    """INSERT INTO tenant_copy (org_id, version, connected, tid, features)
       VALUES (:org_id, :version, :connected, :tid, CAST(:features AS jsonb))
       ON CONFLICT (org_id) DO UPDATE SET version = excluded.version, connected = excluded.connected,
           tid = excluded.tid, features = excluded.features
       WHERE tenant_copy.version < excluded.version"""
)
_KEEP_USER = text(
    """INSERT INTO user_copy (org_id, user_id, version, connected, tid, oid, name, email)
       VALUES (:org_id, :user_id, :version, :connected, :tid, :oid, :name, :email)
       ON CONFLICT (org_id, user_id) DO UPDATE SET version = excluded.version, connected = excluded.connected,
           tid = excluded.tid, oid = excluded.oid, name = excluded.name, email = excluded.email
       WHERE user_copy.version < excluded.version"""
)

_VERSIONS = text(
    """SELECT (SELECT version FROM tenant_copy WHERE org_id = :org_id) AS tenant,
              (SELECT version FROM user_copy WHERE org_id = :org_id AND user_id = :user_id) AS person"""
)


@dataclass(frozen=True, slots=True)
class Versions:
    """In which versions a tenant and a person's connection were last told; None before the first event."""

    tenant: int | None
    person: int | None


UNKNOWN = Versions(None, None)


@dataclass(frozen=True, slots=True)
class TenantCopy:
    """What a service knows of an organisation's tenant; as old as the last event."""

    connected: bool
    tid: str | None
    features: Features


@dataclass(frozen=True, slots=True)
class UserCopy:
    """What a service knows of a user's connection; as old as the last event."""

    connected: bool
    tid: str | None
    oid: str | None
    name: str | None
    email: str | None


async def keep_tenant_copy(event: TenantState, *, session: AsyncSession) -> None:
    """Keep the newest tenant state; an older version changes nothing."""
    await session.execute(
        _KEEP_TENANT,
        {
            "org_id": event.org_id,
            "version": event.aggregate_version,
            "connected": event.connected,
            "tid": event.tid,
            "features": event.features.model_dump_json(),
        },
    )


async def keep_user_copy(event: UserState, *, session: AsyncSession) -> None:
    """Keep the newest state of a user's connection; an older version changes nothing."""
    values: dict[str, Any] = event.model_dump(include={"org_id", "user_id", "connected", "tid", "oid", "name", "email"})
    await session.execute(_KEEP_USER, values | {"version": event.aggregate_version})


async def tenant_of(session: AsyncSession, org_id: str) -> TenantCopy | None:
    """The organisation's tenant as last told, or None before the first event."""
    row = (
        await session.execute(
            text("SELECT connected, tid, features FROM tenant_copy WHERE org_id = :org_id"), {"org_id": org_id}
        )
    ).first()
    return TenantCopy(row.connected, row.tid, Features.model_validate(row.features)) if row else None


async def user_of(session: AsyncSession, org_id: str, user_id: str) -> UserCopy | None:
    """The user's connection as last told, or None before the first event."""
    row = (
        await session.execute(
            text(
                "SELECT connected, tid, oid, name, email FROM user_copy WHERE org_id = :org_id AND user_id = :user_id"
            ),
            {"org_id": org_id, "user_id": user_id},
        )
    ).first()
    return UserCopy(row.connected, row.tid, row.oid, row.name, row.email) if row else None


async def versions_of(db: Database, org_id: str, user_id: str | None) -> Versions:
    """What the service has last heard of both: two look-ups by primary key in one round trip."""
    (row,) = await db.at_once(_VERSIONS, {"org_id": org_id, "user_id": user_id})
    return Versions(row.tenant, row.person)
