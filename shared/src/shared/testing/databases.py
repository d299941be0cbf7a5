"""The databases of a test process: one per service, migrated once and emptied for each test.

Emptying by DELETE takes under a millisecond where a clone of a template, with its DROP, takes a hundred and TRUNCATE
thirty. A test that changed the schema or a right costs the next one a new database. Three roles serve all: an owner,
the services' login and the request role, none of them a superuser.
"""

import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url

from shared.hosting.migrate import migrate
from shared.testing.pools import Pools
from shared.web.audit import LEAST_KEEP_DAYS

# What a test may change beside rows: relations and their rights, columns, triggers, policies, functions, settings.
_SHAPE = """SELECT ARRAY[
    (SELECT sum(hashtext(concat(relname, relkind, relacl, relrowsecurity, relforcerowsecurity, relowner)))
     FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT sum(hashtext(concat(attrelid, attname, atttypid, attnotnull, attisdropped)))
     FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid AND relnamespace = 'public'::regnamespace),
    (SELECT sum(hashtext(concat(tgname, tgrelid, tgenabled))) FROM pg_trigger WHERE NOT tgisinternal),
    (SELECT sum(hashtext(concat(conname, conrelid))) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
    (SELECT sum(hashtext(concat(polname, polrelid, polqual))) FROM pg_policy),
    (SELECT sum(hashtext(concat(proname, prosrc, proacl))) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
    (SELECT sum(hashtext(concat(datacl, datallowconn, datconnlimit))) FROM pg_database
     WHERE datname = current_database()),
    (SELECT sum(hashtext(setconfig::text)) FROM pg_db_role_setting)]::bigint[]"""
_STRANGERS = """SELECT pid, CASE WHEN pid <> ALL($1) THEN pg_terminate_backend(pid) END FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"

Make = Callable[["TestDatabase"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """URLs of a database: as the owner of its tables, as the service's own login, and as the request role."""

    __test__ = False
    owner_url: str
    url: str
    request_url: str

    @property
    def settings(self) -> dict[str, str]:
        """The three as a service's settings. One without the others would be of another database."""
        return {
            "migration_database_url": self.owner_url,
            "database_url": self.url,
            "request_database_url": self.request_url,
        }


async def connect(url: str) -> Any:
    """A bare asyncpg connection to an SQLAlchemy URL."""
    return await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


class Databases:
    """Makes and empties them, on a server reached as its superuser."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._prefix = f"t{os.getpid()}_{secrets.token_hex(3)}"
        self._admin: Any = None
        self._kept: dict[str, tuple[Any, Any, str]] = {}
        self._count = 0
        self.pools = Pools()
        self._roles = (f"{self._prefix}_owner", self._prefix, f"{self._prefix}_request")

    async def open(self) -> None:
        self._admin = await connect(self._server.render_as_string(hide_password=False))
        for role in self._roles:
            await self._admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self._prefix}'")
        await self._admin.execute(f"GRANT {self._prefix}_request TO {self._prefix}")

    async def close(self) -> None:
        for name in list(self._kept):
            await self._forget(name)
        for row in await self._admin.fetch("SELECT datname FROM pg_database WHERE datname ^@ $1", f"{self._prefix}_"):
            await self._drop(row["datname"])
        for role in self._roles:
            await self._admin.execute(f"DROP ROLE {role}")
        await self._admin.close()

    def named(self, name: str) -> TestDatabase:
        """The database of a service, whether or not it is there yet."""
        owner, service, request = self._roles
        return TestDatabase(self._url(name, owner), self._url(name, service), self._url(name, request))

    async def new(self) -> TestDatabase:
        """An empty one, which ``drop`` ends."""
        self._count += 1
        name = f"own_{self._count}"
        await self._create(name)
        return self.named(name)

    async def drop(self, database: TestDatabase) -> None:
        await self._admin.execute(f"DROP DATABASE {make_url(database.url).database} WITH (FORCE)")

    async def empty(self, name: str, make: Make | None = None) -> TestDatabase:
        """The database of this package, made by ``make`` or the package's migrations, without rows."""
        if name in self._kept and not await self._emptied(name):
            await self._forget(name)
        if name not in self._kept:
            await self._create(name)
            await (make or _migrated(name))(self.named(name))
            connection = await self._connect(name)
            tables = [row["tablename"] for row in await connection.fetch(_TABLES)]
            deletes = ";".join(f'DELETE FROM public."{table}"' for table in tables)
            # As a replica no trigger and no foreign key stands in the way.
            emptying = f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}; COMMIT" if tables else ""
            self._kept[name] = connection, await connection.fetchval(_SHAPE), emptying
            await self.pools.check(self._full(name), set())
        return self.named(name)

    async def _emptied(self, name: str) -> bool:
        """False when its shape is not what it was."""
        connection, shape, emptying = self._kept[name]
        if connection.is_closed():  # a test ended all connections
            connection = await self._connect(name)
            self._kept[name] = connection, shape, emptying
        full = self._full(name)
        waiting = self.pools.pids(full)
        there = {row["pid"] for row in await connection.fetch(_STRANGERS, waiting)}
        await self.pools.check(full, there)
        if await connection.fetchval(_SHAPE) != shape:
            return False
        await connection.execute(emptying)
        return True

    async def _connect(self, name: str) -> Any:
        """As the superuser."""
        return await connect(self._server.set(database=self._full(name)).render_as_string(hide_password=False))

    async def _create(self, name: str) -> None:
        await self._drop(self._full(name))  # a test that was ended in the middle of its migrations left it
        await self._admin.execute(f"CREATE DATABASE {self._full(name)} OWNER {self._prefix}_owner")

    async def _drop(self, full: str) -> None:
        await self._admin.execute(f"DROP DATABASE IF EXISTS {full} WITH (FORCE)")

    async def _forget(self, name: str) -> None:
        connection, *_ = self._kept.pop(name)
        await self.pools.forget(self._full(name))
        with suppress(OSError, asyncpg.PostgresError):
            await connection.close()
        await self._drop(self._full(name))

    def _full(self, name: str) -> str:
        return f"{self._prefix}_{name}"

    def _url(self, name: str, role: str) -> str:
        url = self._server.set(username=role, password=self._prefix, database=self._full(name))
        return url.render_as_string(hide_password=False)


def _migrated(package: str) -> Make:
    async def make(database: TestDatabase) -> None:
        settings: Any = SimpleNamespace(
            migration_database_url=database.owner_url,
            database_url=database.url,
            request_database_url=database.request_url,
            database_tls=False,
            database_ca=None,
            audit_keep_days=LEAST_KEEP_DAYS,
        )
        await migrate(package, settings)

    return make
