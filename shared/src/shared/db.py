"""The database of a service: one transaction per request or message, bound to one organisation.

Row-level security stands behind every query: the transaction says whose rows it may see, and the policies made by
``shared.migrate.protect`` compare. Nobody but ``unit_of_work`` commits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.jobs.queue import JobQueue
from shared.outbox import EventMeta, Outbox
from shared.problems import ConfigurationError


class UnitOfWork:
    """One transaction: its session, and what leaves with its commit."""

    def __init__(self, session: AsyncSession, org_id: str | None, source: str, cause: EventMeta | None) -> None:
        self.session = session
        self.org_id = org_id
        self.outbox = Outbox(session, source=source, cause=cause)
        self.jobs = JobQueue(session, org_id)
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run ``call`` once the transaction is durable; never when it rolled back."""
        self._after_commit.append(call)

    async def flush(self) -> None:
        await self.outbox.flush()
        await self.jobs.flush()

    def committed(self) -> None:
        for call in self._after_commit:
            call()


class Database:
    """A pool of connections as the service's row-level-secured role."""

    def __init__(self, url: str, *, pool_size: int = 5, source: str = "") -> None:
        self.url = url
        self.source = source
        self.engine = create_async_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=False)
        self.on_commit_wake = {"outbox": asyncio.Event(), "jobs": asyncio.Event()}

    async def open(self) -> None:
        """Try one connection. Raises ``ConfigurationError`` naming the setting when the database is not reachable."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (OSError, DBAPIError) as error:
            raise ConfigurationError(
                f"The database does not answer ({type(error).__name__}). Check PROSPO_DATABASE_URL and that it runs."
            ) from error

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def unit_of_work(self, org_id: str, *, cause: EventMeta | None = None) -> AsyncIterator[UnitOfWork]:
        """One transaction that sees the rows of ``org_id`` only; commits on a clean exit, else rolls back."""
        async with self._transaction(org_id, "app.org_id", org_id, cause) as work:
            yield work

    @asynccontextmanager
    async def system_work(self) -> AsyncIterator[UnitOfWork]:
        """One transaction over all organisations, for engines and receivers that do not know the organisation yet."""
        async with self._transaction(None, "app.scope", "system", None) as work:
            yield work

    @asynccontextmanager
    async def _transaction(
        self, org_id: str | None, setting: str, value: str, cause: EventMeta | None
    ) -> AsyncIterator[UnitOfWork]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            async with session.begin():
                await session.execute(text("SELECT set_config(:name, :value, true)"), {"name": setting, "value": value})
                work = UnitOfWork(session, org_id, self.source, cause)
                yield work
                wake = [name for name, due in (("outbox", work.outbox.pending), ("jobs", work.jobs.pending)) if due]
                await work.flush()
            work.committed()
            for name in wake:
                self.on_commit_wake[name].set()
