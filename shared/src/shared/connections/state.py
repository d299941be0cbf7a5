"""Tenants, switches and accounts as the state topics last told them, in the service's own database.

One lock protocol. An event changes its row, which waits for every transaction that read the row with ``hold``; such a
transaction writes by what it read, and the event's job, queued with the change, then finds what it wrote. So of a
change and a write at the same moment none is overlooked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections import obstacles
from shared.connections.obstacles import Obstacle, Obstructed, Switch
from shared.database.row_security import protecting
from shared.database.unit_of_work import Database
from shared.events import Features, TenantState, UserState

DDL = [
    """CREATE TABLE IF NOT EXISTS tenant_copy (
        org_id text PRIMARY KEY, version bigint NOT NULL, connected boolean NOT NULL,
        tid text, features jsonb NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS user_copy (
        org_id text NOT NULL, user_id text NOT NULL, version bigint NOT NULL, connected boolean NOT NULL,
        tid text, oid text, name text, email text, PRIMARY KEY (org_id, user_id))""",
    "ALTER TABLE user_copy ADD COLUMN IF NOT EXISTS mail_permitted boolean",
    "ALTER TABLE user_copy ADD COLUMN IF NOT EXISTS addresses jsonb NOT NULL DEFAULT '[]'",
    protecting("tenant_copy"),
    protecting("user_copy"),
]

_TENANT = "SELECT version, connected, tid, features FROM tenant_copy WHERE org_id = :org_id"
_READ_TENANT, _HOLD_TENANT = text(_TENANT), text(_TENANT + " FOR SHARE")
_CONNECTION = """WITH t AS (SELECT * FROM tenant_copy WHERE org_id = :org_id {hold}),
         u AS (SELECT * FROM user_copy WHERE org_id = :org_id AND {who} {hold})
    SELECT t.version AS tenant_version, t.connected AS tenant_connected, t.tid AS tenant_tid, t.features,
           u.user_id, u.version, u.connected, u.tid, u.oid, u.name, u.email,
           u.mail_permitted, u.addresses
    FROM (SELECT) AS one LEFT JOIN t ON true LEFT JOIN u ON true"""
_READ, _HOLD = (text(_CONNECTION.format(who="user_id = :user_id", hold=hold)) for hold in ("", "FOR SHARE"))
_PEOPLE = text(
    _CONNECTION.format(who="user_id > :after ORDER BY user_id LIMIT :limit", hold="")
    + " WHERE u.user_id IS NOT NULL ORDER BY u.user_id"
)
_CONNECTED = text("SELECT user_id FROM user_copy WHERE org_id = :org_id AND connected ORDER BY user_id")
_ACCOUNTS = text("SELECT oid FROM user_copy WHERE org_id = :org_id AND connected AND oid IS NOT NULL")
_KEEP_TENANT = text(
    """INSERT INTO tenant_copy (org_id, version, connected, tid, features)
       VALUES (:org_id, :version, :connected, :tid, CAST(:features AS jsonb))
       ON CONFLICT (org_id) DO UPDATE SET version = excluded.version, connected = excluded.connected,
           tid = excluded.tid, features = excluded.features
       WHERE tenant_copy.version < excluded.version RETURNING version"""
)
_KEEP_ACCOUNT = text(
    """INSERT INTO user_copy (org_id, user_id, version, connected, tid, oid, name, email, mail_permitted, addresses)
       VALUES (:org_id, :user_id, :version, :connected, :tid, :oid, :name, :email, :mail_permitted,
           CAST(:addresses AS jsonb))
       ON CONFLICT (org_id, user_id) DO UPDATE SET version = excluded.version, connected = excluded.connected,
           tid = excluded.tid, oid = excluded.oid, name = excluded.name, email = excluded.email,
           mail_permitted = excluded.mail_permitted, addresses = excluded.addresses
       WHERE user_copy.version < excluded.version RETURNING version"""
)
_QUEUE = """INSERT INTO job (org_id, kind, payload, dedupe_key, priority)
    SELECT org_id, '{kind}', '{{}}', '{kind}', 2 FROM tenant_copy
    WHERE connected AND (features ->> '{switch}')::boolean ON CONFLICT DO NOTHING"""
_VERSIONS = text(
    """SELECT (SELECT version FROM tenant_copy WHERE org_id = :org_id) AS tenant,
              (SELECT version FROM user_copy WHERE org_id = :org_id AND user_id = :user_id) AS person"""
)


def queue_for_connected(op: Any, kind: str, switch: Switch) -> None:
    """In a migration: the job ``kind``, keyed by its kind, for each organisation that is connected and has it on."""
    op.execute("SELECT set_config('app.scope', 'system', true)")  # a database of version 0.1 goes by it until the end
    op.execute(_QUEUE.format(kind=kind, switch=switch))
    op.execute("SELECT set_config('app.scope', '', true)")


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation's tenant and its switches; before the first event not connected (version None)."""

    version: int | None = None
    connected: bool = False
    tid: str | None = None
    features: Features = field(default_factory=Features)

    def has_on(self, switch: Switch) -> bool:
        """No switch is on before the first event."""
        return self.version is not None and bool(getattr(self.features, switch))


@dataclass(frozen=True, slots=True)
class Account:
    """A person's Microsoft account; before the first event not connected (version None)."""

    version: int | None = None
    connected: bool = False
    tid: str | None = None
    oid: str | None = None
    name: str | None = None
    email: str | None = None
    mail_permitted: bool | None = None
    """The field of ``UserState`` with this name."""
    addresses: tuple[str, ...] = ()
    """The same: those that Microsoft's directory gives the account, in lower case."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A person's way to Microsoft: their account and their organisation's tenant, as old as the last events."""

    user_id: str
    tenant: Tenant
    account: Account

    @property
    def works(self) -> bool:
        return self.tenant.connected and self.account.connected

    def obstacle(self, *, switch: Switch | None = None, made_by: str | None = None) -> Obstacle | None:
        """The obstacle between this person and Microsoft, or None.

        ``switch`` is the one the question is about. ``made_by`` is the account (``oid``) that made what it is about:
        to another account Microsoft says that the thing is not there, as if it were gone.
        """
        if switch is not None and self.tenant.version is not None and not self.tenant.has_on(switch):
            return obstacles.feature_off(switch)
        if not self.tenant.connected:
            return obstacles.TENANT_NOT_CONNECTED
        if not self.account.connected:
            return obstacles.ACCOUNT_NOT_CONNECTED
        return obstacles.ANOTHER_ACCOUNT if made_by not in {None, self.account.oid} else None

    def require(self, *, switch: Switch | None = None, made_by: str | None = None) -> None:
        """Raises ``Obstructed`` when there is an obstacle."""
        found = self.obstacle(switch=switch, made_by=made_by)
        if found is not None:
            raise Obstructed(found)


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions in which a tenant and a person's connection were last published; None before the first event."""

    tenant: int | None
    person: int | None


UNKNOWN = Versions(None, None)


async def tenant_of(session: AsyncSession, org_id: str, *, hold: bool = False) -> Tenant:
    """The organisation's tenant. With ``hold`` its next change waits for this transaction."""
    return _tenant((await session.execute(_HOLD_TENANT if hold else _READ_TENANT, {"org_id": org_id})).first())


async def connection_of(session: AsyncSession, org_id: str, user_id: str, *, hold: bool = False) -> Connection:
    """A person's connection. With ``hold`` the next change of it, and of the tenant, waits for this transaction."""
    values = {"org_id": org_id, "user_id": user_id}
    return _connection((await session.execute(_HOLD if hold else _READ, values)).one(), user_id)


async def connection_now(db: Database, org_id: str, user_id: str) -> Connection:
    """The same outside a transaction, in one round trip."""
    (row,) = await db.at_once(_READ, {"org_id": org_id, "user_id": user_id})
    return _connection(row, user_id)


async def people_of(session: AsyncSession, org_id: str, *, after: str, limit: int) -> Sequence[Connection]:
    """The organisation's people whose account was ever told to us, by id, from the one after ``after``."""
    values = {"org_id": org_id, "after": after, "limit": limit}
    return [_connection(row, row.user_id) for row in await session.execute(_PEOPLE, values)]


async def connected_people(session: AsyncSession, org_id: str) -> list[str]:
    """Ids of the organisation's people whose account is connected."""
    return list((await session.execute(_CONNECTED, {"org_id": org_id})).scalars())


async def connected_accounts(session: AsyncSession, org_id: str) -> set[str]:
    """The accounts (``oid``) that the organisation's people have connected."""
    return set((await session.execute(_ACCOUNTS, {"org_id": org_id})).scalars())


async def keep_tenant(session: AsyncSession, event: TenantState) -> bool:
    """Keep the state. False when the event is not news, and nothing is changed."""
    values = event.model_dump(include={"org_id", "connected", "tid"})
    values |= {"version": event.aggregate_version, "features": event.features.model_dump_json()}
    return (await session.execute(_KEEP_TENANT, values)).first() is not None


async def keep_account(session: AsyncSession, event: UserState) -> bool:
    """Keep the state. False when the event is not news, and nothing is changed."""
    values = event.model_dump(
        include={"org_id", "user_id", "connected", "tid", "oid", "name", "email", "mail_permitted"}
    )
    values |= {"version": event.aggregate_version, "addresses": json.dumps(event.addresses)}
    return (await session.execute(_KEEP_ACCOUNT, values)).first() is not None


async def versions_of(db: Database, org_id: str, user_id: str | None) -> Versions:
    """The last known state of a person and their tenant: two look-ups by primary key in one round trip."""
    (row,) = await db.at_once(_VERSIONS, {"org_id": org_id, "user_id": user_id})
    return Versions(row.tenant, row.person)


def _tenant(row: Row[Any] | None) -> Tenant:
    return Tenant(row.version, row.connected, row.tid, Features.model_validate(row.features)) if row else Tenant()


def _connection(row: Row[Any], user_id: str) -> Connection:
    tenant, account = Tenant(), Account()
    if row.tenant_version is not None:
        features = Features.model_validate(row.features)
        tenant = Tenant(row.tenant_version, row.tenant_connected, row.tenant_tid, features)
    if row.version is not None:
        who = (row.tid, row.oid, row.name, row.email)
        account = Account(row.version, row.connected, *who, row.mail_permitted, tuple(row.addresses))
    return Connection(user_id, tenant, account)
