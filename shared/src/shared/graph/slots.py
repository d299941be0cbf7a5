"""Places of a mailbox over all processes of a service: advisory locks of one session per process.

The session's connection is its own: nothing of the pool is held while Microsoft thinks, no table is needed, and a
killed process gives everything back. A slot costs one round trip before a request (about half a millisecond) and one
after it that nobody waits for. Without the database, the limit holds within the process only. The connection must not
go through a pooler that shares sessions between transactions.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger(__name__)

_DATABASE_S = 2.0
_TRY_AGAIN_S = 10.0
_POLL_S = 0.05
"""Other processes have all places of the mailbox: how long until this one asks again."""
_DOWN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
# One after the other, and no further than to the first that is free. The keys are a text: for a parameter that is an
# array asyncpg first asks each new connection about the type, which takes the database ten times as long.
_TAKE = """SELECT key FROM unnest(CAST(string_to_array($1, ' ') AS bigint[])) AS key
           WHERE pg_try_advisory_lock(key) LIMIT 1"""
_GIVE_BACK = "SELECT pg_advisory_unlock($1)"


class Slots:
    """``places`` slots a mailbox, each given to one request of all processes; ``connect`` opens the session.

    A slot is the key of its lock. The caller asks for no more slots of a mailbox at a time than it has places.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], places: int) -> None:
        self._connect = connect
        self._places = places
        self._connection: Any = None
        self._taken: set[int] = set()
        self._turn = asyncio.Lock()
        self._down_until = 0.0
        self._warned = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, org_id: str, mailbox: str) -> int:
        """Wait for a slot that no other request has, in this process or another."""
        keys = [_key(org_id, mailbox, number) for number in range(self._places)]
        while True:
            asking = self._task(self._take(keys))
            try:
                key: int | None = await asyncio.shield(asking)
            except asyncio.CancelledError:
                asking.add_done_callback(lambda done: self.give_back(done.result()))
                raise
            if key is not None:
                return key
            await asyncio.sleep(_POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreading load

    def give_back(self, key: int | None) -> None:
        """Give the slot back without waiting. A later ``take`` of this process comes after it."""
        if key is not None:
            self._taken.discard(key)
            self._task(self._give_back(key))

    async def aclose(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _task(self, asking: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(asking, name="mailbox slot")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _take(self, keys: list[int]) -> int | None:
        """Lock one of ``keys``; None when other processes have them all. Without the database: any key free here."""
        async with self._turn:  # a session may take its own lock twice, so what is free here is read in turn
            free = [key for key in keys if key not in self._taken]
            answered, key = await self._ask(_TAKE, " ".join(map(str, free)), connect=True)
            key = key if answered else next(iter(free), None)
            if key is not None:
                self._taken.add(key)
            return key

    async def _give_back(self, key: int) -> None:
        async with self._turn:
            await self._ask(_GIVE_BACK, key, connect=False)

    async def _ask(self, sql: str, value: Any, *, connect: bool) -> tuple[bool, Any]:
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
            log.warning("mailbox_limit.not_shared", error=type(error).__name__)


def _key(org_id: str, mailbox: str, number: int) -> int:
    """The lock's number: 64 bits of a hash, so that mailboxes do not meet."""
    name = f"graph mailbox\0{org_id}\0{mailbox}\0{number}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
