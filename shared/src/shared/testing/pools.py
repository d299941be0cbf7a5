"""Pools of connections that outlive a test.

A new connection costs PostgreSQL a process, a look at the catalogues and a plan of each statement, and the client its
questions about types: together more than most tests ask. So when a ``Database`` on a kept database closes, its pools
wait for the next one with the same URL and settings. Each ``Database`` has engines of its own on them, so that what
listens to one test's statements hears no other's.
"""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import unit_of_work
from shared.database.unit_of_work import Database

_make_engine = unit_of_work._engine  # noqa: SLF001 - made as a service makes it
_KEPT = "prospo_kept"
_MOST = 30
"""Connections that wait, for a server takes no more than a hundred."""


class _Kept:
    """An engine that nobody uses as it is, its pool, and the server's processes behind that."""

    def __init__(self, key: str, engine: AsyncEngine) -> None:
        self.key = key
        self.engine = engine
        self.pids: set[int] = set()
        self.spoilt = False
        event.listen(engine.sync_engine, "connect", lambda made, _: self.pids.add(_pid(made)))
        event.listen(engine.sync_engine, "close", lambda ended, _: self.pids.discard(_pid(ended)))

    @property
    def database(self) -> str | None:
        return self.engine.url.database

    @property
    def busy(self) -> bool:
        pool: Any = self.engine.pool
        return bool(pool.checkedout())

    def lend(self) -> AsyncEngine:
        return self.engine.execution_options(**{_KEPT: self})


def keep_no_pools(database: Database) -> None:
    """A test changes its connections, or what all engines of a pool share: nobody else gets these."""
    for engine in _engines(database):
        if kept := _kept(engine):
            kept.spoilt = True


def _engines(database: Database) -> list[AsyncEngine]:
    engines = (database.engine, database.service_engine, database.operator_engine, database.system_engine)
    return list(dict.fromkeys(engines))


def _kept(engine: AsyncEngine) -> _Kept | None:
    found: _Kept | None = engine.sync_engine.get_execution_options().get(_KEPT)
    return found


def _pid(connection: Any) -> int:
    return int(connection.driver_connection.get_server_pid())


class Pools:
    """Connection pools of one event loop. A returned pool is lent again after ``check`` of its connections."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, _Kept] = {}
        self._checked: set[str] = set()
        self._databases: set[str] = set()

    def replace(self, patch: pytest.MonkeyPatch) -> None:
        """Each ``Database`` takes its pools here and gives them back."""

        async def close(database: Database) -> None:
            await self.close(database)

        patch.setattr(unit_of_work, "_engine", self.engine)
        patch.setattr(Database, "close", close)

    def engine(self, url: str, **more: Any) -> AsyncEngine:
        key = f"{url} {sorted(more.items())}"
        if key in self._checked and self._here():
            self._checked.discard(key)
            return self._waiting.pop(key).lend()
        return _Kept(key, _make_engine(url, **more)).lend()

    async def close(self, database: Database) -> None:
        await database.wakes.close()
        for engine in _engines(database):
            kept = _kept(engine)
            if kept is None or not self._wants(kept) or self._waiting.setdefault(kept.key, kept) is not kept:
                await engine.dispose()

    def _wants(self, kept: _Kept) -> bool:
        return kept.database in self._databases and self._here() and not (kept.busy or kept.spoilt)

    def pids(self, database: str) -> list[int]:
        """The server's processes for connections that wait."""
        return [pid for kept in self._waiting.values() if kept.database == database for pid in kept.pids]

    async def check(self, database: str, alive: set[int]) -> None:
        """Pools of this database wait from now on; those that lost a connection are closed."""
        self._databases.add(database)
        crowded = sum(len(kept.pids) for kept in self._waiting.values()) > _MOST
        for kept in list(self._waiting.values()):
            if kept.database != database and not crowded:
                continue
            if kept.database == database and kept.pids <= alive and not kept.busy:
                self._checked.add(kept.key)
            else:
                await self._end(kept)

    async def forget(self, database: str) -> None:
        """It is dropped."""
        self._databases.discard(database)
        for kept in [one for one in self._waiting.values() if one.database == database]:
            await self._end(kept)

    async def none_wait(self) -> None:
        """The next service makes its connections anew, for a test that looks at how."""
        for kept in list(self._waiting.values()):
            await self._end(kept)

    async def _end(self, kept: _Kept) -> None:
        del self._waiting[kept.key]
        self._checked.discard(kept.key)
        await kept.engine.dispose()

    def _here(self) -> bool:
        """Connections belong to their loop, and some tests have one of their own."""
        with suppress(RuntimeError):
            return asyncio.get_running_loop() is self._loop
        return False
