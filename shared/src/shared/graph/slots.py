"""Four requests at a time per mailbox, over all processes that share a database.

A slot is an advisory lock of one session per process, on a connection of its own: nothing of the pool is held while
Microsoft thinks, no table is needed, and a killed process gives everything back. It costs one round trip before a
request (about half a millisecond) and one after it that nobody waits for. Without the database, the limit holds
within the process only. The connection must not go through a pooler that shares sessions between transactions.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from shared.db import Database
from shared.graph.errors import GraphRetry

log = structlog.get_logger(__name__)

PER_MAILBOX = 4
WAIT_S = 30.0
_DATABASE_S = 2.0
_TRY_AGAIN_S = 10.0
_POLL_S = 0.05
_DOWN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(slots=True)
class _Mailbox:
    """What this process does with one mailbox; forgotten when nobody uses it."""

    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PER_MAILBOX))
    numbers: set[int] = field(default_factory=lambda: set(range(PER_MAILBOX)))
    users: int = 0


class Slots:
    """``async with slots.slot(org_id, user_id)`` around one request."""

    def __init__(self, db: Database | None) -> None:
        self._locks = _Locks(db.url) if db is not None else None
        self._mailboxes: dict[tuple[str, str], _Mailbox] = {}

    @asynccontextmanager
    async def slot(self, org_id: str, user_id: str) -> AsyncIterator[None]:
        """Raises ``GraphRetry`` when there is no room within ``WAIT_S``."""
        place = org_id, user_id
        mailbox = self._mailboxes.setdefault(place, _Mailbox())
        mailbox.users += 1
        try:
            number = await self._take(place, mailbox)
            try:
                yield
            finally:
                self._give_back(place, mailbox, number)
        finally:
            mailbox.users -= 1
            if not mailbox.users:
                del self._mailboxes[place]

    async def _take(self, place: tuple[str, str], mailbox: _Mailbox) -> int:
        try:
            async with asyncio.timeout(WAIT_S):
                await mailbox.room.acquire()
                try:
                    return await self._number(place, mailbox)
                except BaseException:
                    mailbox.room.release()
                    raise
        except TimeoutError as error:
            raise GraphRetry("Too many requests wait for this mailbox. It is tried again.", after_s=5) from error

    async def _number(self, place: tuple[str, str], mailbox: _Mailbox) -> int:
        """One of the four that no other process has."""
        while True:
            for number in random.sample(range(PER_MAILBOX), PER_MAILBOX):
                if number in mailbox.numbers and await self._lock(place, mailbox, number):
                    return number
            await asyncio.sleep(_POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreading load

    async def _lock(self, place: tuple[str, str], mailbox: _Mailbox, number: int) -> bool:
        mailbox.numbers.discard(number)  # a session may take its own lock twice, so nobody else here may try
        got = False
        try:
            got = self._locks is None or await self._locks.take(_key(*place, number))
        finally:
            if not got:
                mailbox.numbers.add(number)
        return got

    def _give_back(self, place: tuple[str, str], mailbox: _Mailbox, number: int) -> None:
        if self._locks is not None:
            self._locks.give_back(_key(*place, number))
        mailbox.numbers.add(number)
        mailbox.room.release()

    async def aclose(self) -> None:
        if self._locks is not None:
            await self._locks.aclose()


class _Locks:
    """Advisory locks of one database session, asked for one after the other."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self._down_until = 0.0
        self._warned = False
        self._tasks: set[asyncio.Task[bool]] = set()

    async def take(self, key: int) -> bool:
        """Whether the lock is ours; also true while the database does not answer."""
        asking = self._task("SELECT pg_try_advisory_lock($1)", key, taking=True)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: self.give_back(key) if done.result() else None)
            raise

    def give_back(self, key: int) -> None:
        """At once for the caller. Asked in turn, so a later ``take`` of this process comes after it."""
        self._task("SELECT pg_advisory_unlock($1)", key, taking=False)

    def _task(self, sql: str, key: int, *, taking: bool) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._ask(sql, key, taking=taking), name="mailbox slot")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask(self, sql: str, key: int, *, taking: bool) -> bool:
        async with self._turn:
            if time.monotonic() < self._down_until:
                return taking
            try:
                async with asyncio.timeout(_DATABASE_S):
                    if self._connection is None:
                        if not taking:
                            return False  # the session that held the lock is gone, and the lock with it
                        self._connection = await asyncpg.connect(self._url)
                    answer = bool(await self._connection.fetchval(sql, key))
            except _DOWN as error:
                self._lost(error)
                return taking
            self._warned = False
            return answer

    def _lost(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        self._down_until = time.monotonic() + _TRY_AGAIN_S
        if not self._warned:
            self._warned = True
            log.warning("mailbox limit holds within this process only", error=type(error).__name__)

    async def aclose(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _key(org_id: str, user_id: str, number: int) -> int:
    """The lock's number: 64 bits of a hash, so that mailboxes do not meet."""
    name = f"graph mailbox\0{org_id}\0{user_id}\0{number}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
