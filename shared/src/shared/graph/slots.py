"""Four requests at a time per mailbox, over all processes that share a database; and connections of this process.

A slot is an advisory lock of one session per process, on a connection of its own: nothing of the pool is held while
Microsoft thinks, no table is needed, and a killed process gives everything back. It costs one round trip before a
request (about half a millisecond) and one after it that nobody waits for. Without the database, the limit holds
within the process only. The connection must not go through a pooler that shares sessions between transactions.

Who goes next within the process is decided by ``turns``. Between processes the lock goes to whoever asks at the right
moment, so a busy process leaves a slot empty now and then, for longer than the others' pauses between asking.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from shared.database.unit_of_work import Database
from shared.database.work import PRIORITIES, Priority
from shared.graph.errors import GraphRetry
from shared.graph.turns import Line, Turns

log = structlog.get_logger(__name__)

WAIT_S = 30.0
REST_EVERY = 32
_REST_S = 0.16
_DATABASE_S = 2.0
_TRY_AGAIN_S = 10.0
_POLL_S = (0.02, 0.05, 0.1)
_NONE = -1
_DOWN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
# One after the other, and no further than to the first that is free.
_TAKE = "SELECT key FROM unnest($1::bigint[]) AS key WHERE pg_try_advisory_lock(key) LIMIT 1"
_GIVE_BACK = "SELECT pg_advisory_unlock($1)"


class Slots:
    """``async with slots.slot(org_id, mailbox, priority)`` around one request; ``mailbox`` None: a connection only."""

    def __init__(self, db: Database | None) -> None:
        self.turns = Turns()
        self._locks = _Locks(db.connect) if db is not None else None

    @asynccontextmanager
    async def slot(self, org_id: str, mailbox: str | None = None, priority: Priority = "fresh") -> AsyncIterator[None]:
        """Raises ``GraphRetry`` when there is no room within ``WAIT_S``."""
        line = self.turns.join(org_id, mailbox)
        try:
            number = await self._take(line, PRIORITIES[priority])
            try:
                yield
            finally:
                self._give_back(line, number)
        finally:
            self.turns.quit(line)

    async def _take(self, line: Line, level: int) -> int:
        """A number of the mailbox, ``_NONE`` for a connection only."""
        first = self.turns.at_once(line, level)
        if first and (number := await self._number(line, level)) is not None:
            return number
        whose = "a connection" if line.mailbox is None else "this mailbox"
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    await self.turns.enter(line, level, first=first)
                    if (number := await self._number(line, level)) is not None:
                        return number
                    first = True
        except TimeoutError as error:
            raise GraphRetry(f"Too many requests wait for {whose}. It is tried again.", after_s=5) from error

    async def _number(self, line: Line, level: int) -> int | None:
        """One of the four that no other process has. With None, or an error, the turn is over."""
        if line.mailbox is None:
            return _NONE
        if self._locks is None:
            return line.numbers.pop()
        try:
            number = await self._locks.take(line)
        except BaseException:
            self.turns.leave(line)
            raise
        if number is None:
            self.turns.hold(line, _POLL_S[level] * random.uniform(0.5, 1.5))  # noqa: S311 - spreading load
            self.turns.leave(line)
        return number

    def _give_back(self, line: Line, number: int) -> None:
        if number != _NONE:
            rests = self._locks is not None and line.served % REST_EVERY == 0 and any(line.waiting)
            if self._locks is not None:
                self._locks.give_back(line, number)
            if rests:
                self.turns.rest(line, number, _REST_S)
            else:
                line.numbers.add(number)
        self.turns.leave(line)

    async def aclose(self) -> None:
        if self._locks is not None:
            await self._locks.aclose()


class _Locks:
    """Advisory locks of one database session, asked for one after the other."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self._down_until = 0.0
        self._warned = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, line: Line) -> int | None:
        """A number that is ours now, out of ``line.numbers``; any of them while the database does not answer."""
        asking = self._task(self._take(line))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: self._unwanted(line, done.result()))
            raise

    def give_back(self, line: Line, number: int) -> None:
        """At once for the caller. Asked in turn, so a later ``take`` of this process comes after it."""
        self._task(self._ask(_GIVE_BACK, _key(line, number), taking=False))

    def _unwanted(self, line: Line, number: int | None) -> None:
        if number is not None:
            self.give_back(line, number)
            line.numbers.add(number)

    def _task(self, asking: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(asking, name="mailbox slot")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _take(self, line: Line) -> int | None:
        async with self._turn:  # a session may take its own lock twice, so what is free here is read in turn
            keys = {_key(line, number): number for number in line.numbers}
            asked = random.sample(list(keys), len(keys))
            answered, key = await self._asked(_TAKE, asked, connect=True)
            number = keys.get(key) if answered else next(iter(line.numbers), None)
            line.numbers.discard(_NONE if number is None else number)
            return number

    async def _ask(self, sql: str, value: Any, *, taking: bool) -> None:
        async with self._turn:
            await self._asked(sql, value, connect=taking)

    async def _asked(self, sql: str, value: Any, *, connect: bool) -> tuple[bool, Any]:
        """Whether the database answered, and what. A session that is gone took its locks with it."""
        if time.monotonic() < self._down_until or (self._connection is None and not connect):
            return False, None
        try:
            async with asyncio.timeout(_DATABASE_S):
                if self._connection is None:
                    self._connection = await self._connect()
                answer = await self._connection.fetchval(sql, value)
        except _DOWN as error:
            self._lost(error)
            return False, None
        self._warned = False
        return True, answer

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


def _key(line: Line, number: int) -> int:
    """The lock's number: 64 bits of a hash, so that mailboxes do not meet."""
    name = f"graph mailbox\0{line.org_id}\0{line.mailbox}\0{number}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
