"""Wakes: a commit wakes whoever waits for it, in this process at once and in others by PostgreSQL's NOTIFY.

A NOTIFY inside a transaction takes a lock over the whole server at its commit, so none is sent there: after commits,
one statement of its own tells of all of them, at most every ``APART_S``. Guarantee: none. Who waits also looks by
itself every few seconds, so a wake that is lost costs one such poll and nothing else.
"""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database.loops import is_set_within, stop_if_cancelled

log = structlog.get_logger(__name__)
T = TypeVar("T")

POLL_S = 5.0
"""How often the loops look when nothing wakes them."""
APART_S = 0.005
_CHANNEL = "prospo_wake"
_PING_S = 30.0
_CLOSE_S = 1.0
_AT_ONCE = 100
"""Names in one NOTIFY, whose payload is 8,000 bytes at most."""
_DOWN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Wakes:
    """The wakes of one process on one database. Names have no spaces: ``jobs``, ``outbox``, ``meeting:<id>``."""

    def __init__(self, connect: Callable[..., Awaitable[Any]], notify: Callable[[str, str], Awaitable[Any]]) -> None:
        self.loops = {"outbox": asyncio.Event(), "jobs": asyncio.Event()}
        self._connect = connect
        self._notify = notify
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._me = uuid.uuid4().hex[:12]
        self._untold: dict[str, None] = {}
        self._telling: asyncio.Task[None] | None = None
        self._shared = False

    def tell(self, *names: str) -> None:
        """Wake whoever waits for these names: here now, and in other processes soon once ``listen`` has run."""
        self._wake(names)
        if self._shared and names:
            self._untold |= dict.fromkeys(names)
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell_others(), name="wakes")

    @contextlib.contextmanager
    def waiting(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set by each wake of this name; clear it before looking."""
        event = asyncio.Event()
        self._waiting[name].add(event)
        try:
            yield event
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    async def until(
        self,
        name: str,
        read: Callable[[], Awaitable[T]],
        settled: Callable[[T], bool],
        *,
        within_s: float,
        every_s: float = 1.0,
    ) -> T:
        """What ``read`` gives once it is ``settled``, or as it is after ``within_s``; no transaction is held meanwhile.

        It is read at each wake of this name, and every ``every_s``, for a wake can be lost.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        with self.waiting(name) as woken:
            while True:
                woken.clear()
                found = await read()
                left_s = deadline - loop.time()
                if settled(found) or left_s <= 0:
                    return found
                await is_set_within(woken, min(every_s, left_s))

    async def listen(self) -> None:
        """Notify other processes and listen to them until cancelled; connect again after an outage of the database."""
        self._shared = True
        while True:
            try:
                await self._hear()
            except _DOWN as error:
                stop_if_cancelled()
                log.warning("wakes.not_heard", error=type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Send pending notifications if that is quick, then stop."""
        self._shared = False
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=_CLOSE_S)
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _wake(self, names: Any) -> None:
        for name in names:
            if name in self.loops:
                self.loops[name].set()
            for event in self._waiting.get(name, ()):
                event.set()

    async def _tell_others(self) -> None:
        while self._untold:
            names = list(self._untold)[:_AT_ONCE]
            for name in names:
                del self._untold[name]
            try:
                await self._notify(_CHANNEL, " ".join([self._me, *names]))
            except (SQLAlchemyError, OSError) as error:
                log.info("wakes.not_sent", error=type(error).__name__)
            await asyncio.sleep(APART_S)

    async def _hear(self) -> None:
        named = {"application_name": "wakes"}
        connection = await self._connect(timeout=10, command_timeout=10, server_settings=named)
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _connection: ended.set())
            await connection.add_listener(_CHANNEL, self._heard)
            self._wake([*self.loops, *self._waiting])  # whatever was told before anybody listened
            while not await is_set_within(ended, _PING_S):
                await connection.execute("SELECT 1")  # a server that vanished says nothing
        finally:
            with contextlib.suppress(*_DOWN):
                await connection.close(timeout=2)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        who, *names = str(payload).split()
        if who != self._me:
            self._wake(names)
