"""Death at a chosen point of the main job: before or after a commit, a write to Microsoft or storage, a publication.

A life is the time between the start of a service and its death. At the point nothing of the life gets further: its
tasks are cancelled, and what they try on the way out (to release a job, to commit, to publish) does not happen, as
nothing happens after SIGKILL. The other side of the point did all or nothing of what it was asked.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple
from unittest.mock import patch
from weakref import WeakKeyDictionary

from sqlalchemy import event
from starlette.responses import Response

from shared.bus import Record
from shared.database.driver import Driver
from shared.hosting.service import Service
from shared.testing.memory_bus import MemoryBus
from shared.testing.pools import keep_no_pools
from shared.testing.serving import LISTENER

_WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", re.IGNORECASE)
_NOT_TABLES = {"OF", "SKIP", "SET", "NOWAIT"}
_HOUSEKEEPING = {"delete inbox", "delete outbox_sent"}
"""Every start does it, and nothing of a job needs it."""
_ID = re.compile(r"\(.+\)|(?<=/)(?!v1)[^/]*\d[^/]*(?=/|$)|(?<=/)[^/]{24,}")
_CLAIM = re.compile("busy AS|overdue AS")
"""A look or claim that takes nothing is no step of a job; one that does is followed by the job's next point."""


class Dead(BaseException):
    """The process is gone."""


class Death:
    """Comes to a service at the first point that ``deadly`` names; at what it asks of others, to all services."""

    def __init__(self, deadly: Callable[[str], bool]) -> None:
        self.deadly = deadly
        self.came = asyncio.Event()
        self.points: list[str] = []
        self.lives: dict[str, Life] = {}

    def reach(self, point: str, *lives: "Life") -> None:
        """Raises ``Dead`` there when it is deadly."""
        if self.deadly(point):
            self.points.append(point)
            for life in lives:
                life.dead = True
            self.came.set()
            raise Dead


class Life:
    """A run of one service. ``tasks`` are those that it started, and their descendants."""

    def __init__(self, death: Death) -> None:
        self.death = death
        self.started = self.dead = False
        self.tasks: set[asyncio.Task[Any]] = set()

    def check(self) -> None:
        if self.dead:
            raise Dead

    def reach(self, point: str) -> None:
        self.check()
        self.death.reach(point, self)

    def ended(self, task: "asyncio.Task[Any]") -> None:
        """Forget it, and take its exception, which nobody else may ask for."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def bury(self) -> None:
        """Nothing of it runs any more. A connection that is being closed is: a dead process has none."""
        for task in self.tasks:
            if not str(getattr(task.get_coro(), "__qualname__", "")).endswith(".close"):
                task.cancel()
        while self.tasks:
            await asyncio.wait(set(self.tasks))


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def _noting(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> "asyncio.Task[Any]":
    task, life = asyncio.Task(work, loop=loop, **more), LIFE.get()
    if life is not None and task.get_name() != LISTENER:
        life.tasks.add(task)
        task.add_done_callback(life.ended)
    return task


@contextlib.contextmanager
def tasks_noted() -> Iterator[None]:
    """Every task that a life starts in the block, or that such a task starts, belongs to the life."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(_noting)
    try:
        with patch.object(Driver, "asking", _asking):
            yield
    finally:
        loop.set_task_factory(before)


_ASKING = Driver.asking
_OF_A_TRANSACTION = {"BEGIN", "COMMIT", "ROLLBACK"}
_WATCHES: "WeakKeyDictionary[Any, Watch]" = WeakKeyDictionary()


@contextlib.contextmanager
def _asking(driver: Driver, statement: str) -> Iterator[None]:
    """Most statements go past SQLAlchemy, whose listeners do not see them."""
    lent: Any = driver.connection.sync_connection
    watch = None if statement in _OF_A_TRANSACTION else _WATCHES.get(lent.engine)
    if statement == "BEGIN":
        driver.info["written"] = {}
    if watch:
        watch.before(driver.info, statement)
    with _ASKING(driver, statement):
        yield
    if watch:
        watch.after(statement)


@contextlib.contextmanager
def living(life: Life) -> Iterator[None]:
    token = LIFE.set(life)
    try:
        yield
    finally:
        LIFE.reset(token)


def mortal(service: Service, life: Life) -> None:
    """Its transactions commit, and its single statements write, only while the life lasts."""
    keep_no_pools(service.db)
    for engine in (service.db.system_engine, service.db.engine, service.db.service_engine):
        watch = Watch(service.name, life, at_once=engine is service.db.system_engine)
        watch.listen(engine.sync_engine)
    _watch_commits(service.db, service.name, life)


class Watch(NamedTuple):
    """Hears the statements of an engine. A single one is its own transaction; others are noted until their commit."""

    name: str
    life: Life
    at_once: bool

    def listen(self, engine: Any) -> None:
        _WATCHES[engine] = self
        event.listen(engine, "before_cursor_execute", lambda conn, _, sql, *_more: self.before(conn.info, sql))
        event.listen(engine, "after_cursor_execute", lambda _conn, _, sql, *_more: self.after(sql))

    def before(self, info: dict[str, Any], statement: str) -> None:
        self.life.check()
        written = _written(statement)
        if self.at_once and written:
            self.life.reach(f"{self.name}: before {_said(written)}")
        info.setdefault("written", {}).update(written)

    def after(self, statement: str) -> None:
        if self.at_once and (written := _written(statement)):
            self.life.reach(f"{self.name}: after {_said(written)}")


def _watch_commits(db: Any, name: str, life: Life) -> None:
    commit = db.commit

    async def commits(driver: Driver) -> None:
        written = driver.info.pop("written")
        life.check()
        if written:
            life.reach(f"{name}: before {_said(written)}")
        await commit(driver)
        if written:
            life.reach(f"{name}: after {_said(written)}")

    db.commit = commits


def _written(statement: str) -> dict[str, None]:
    if _CLAIM.search(statement):
        return {}
    found = {f"{verb.split()[0].lower()} {table}" for verb, table in _WRITES.findall(statement)}
    found = {one for one in found - _HOUSEKEEPING if one.split()[1].upper() not in _NOT_TABLES}
    return dict.fromkeys(sorted(found))


def _said(written: Iterable[str]) -> str:
    task = asyncio.current_task()
    words = task.get_name().split() if task else []
    job = f"job {words[1]}, " if words[:1] == ["job"] else ""
    return f"commit of {job}{', '.join(written)}"


class MortalBus(MemoryBus):
    """What a life sees of a bus that outlives it."""

    def __init__(self, bus: MemoryBus, life: Life) -> None:
        super().__init__()
        self.logs, self.committed, self.arrived, self.members = bus.logs, bus.committed, bus.arrived, {}
        self._life = life

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        topics = ", ".join(sorted({record.topic for record in records}))
        self._life.reach(f"before publication of {topics}")
        refused = await super().publish(records)
        self._life.reach(f"after publication of {topics}")
        return refused

    def consumer(self, group: str, topics: Iterable[str]) -> Any:
        consumer: Any = super().consumer(group, topics)
        commit = consumer.commit

        async def commits(offsets: Any) -> None:
            self._life.check()
            await commit(offsets)

        consumer.commit = commits
        return consumer


class Watched:
    """ASGI, before Microsoft or our own services: what is asked there and changes something is a point."""

    def __init__(self, app: Any, where: str, paths: re.Pattern[str]) -> None:
        self.app = app
        self.where = where
        self.paths = paths
        self.death: Death | None = None
        self._asked = 0
        self.idle = asyncio.Event()
        """Set while nothing that was asked here is on its way; who asked it may be dead by then."""
        self.idle.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._asked += 1
        self.idle.clear()
        try:
            await self._answer(scope, receive, send)
        finally:
            self._asked -= 1
            if not self._asked:
                self.idle.set()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        death = self.death
        if death is None or scope["method"] in {"GET", "HEAD"} or not self.paths.search(scope["path"]):
            return await self.app(scope, receive, send)
        name = f"{scope['method']} {_ID.sub('…', scope['path'])} at {self.where}"
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        try:
            death.reach(f"before {name}", *death.lives.values())
            await self.app(scope, receive, keep)
            death.reach(f"after {name}", *death.lives.values())
        except Dead:
            said = []
            await Response(status_code=503)(scope, receive, send)  # nobody is there to read it
        for message in said:
            await send(message)
        return None


class Housed:
    """ASGI, around a service: what answers a request there belongs to its life."""

    def __init__(self, app: Any, life: Life) -> None:
        self.app = app
        self.life = life

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not self.life.dead:
            self.life.tasks.add(task)
            try:
                with living(self.life):
                    return await self.app(scope, receive, send)
            except Dead:
                pass
            finally:
                self.life.tasks.discard(task)
        return await Response(status_code=503)(scope, receive, send)


LEASES_END = """WITH jobs AS (UPDATE job SET lease_until = clock_timestamp(), attempt = 0 WHERE state = 'running')
    UPDATE graph_subscription SET claimed_until = NULL"""
"""Time that passes after a death: whatever the dead held is free. A job is given up after some tries, and here it dies
more often than that."""


class MortalWorkers:
    """A service's workers, one after the other: each dies at the first point that was not deadly yet."""

    def __init__(self, start: Callable[[], Awaitable[Service]], watched: Watched | None = None) -> None:
        self._start = start
        self._watched = watched
        self.survived: set[str] = set()

    async def live(self) -> str | None:
        """Do what is due until the first new deadly point, which is survived from now on; None when there was none."""
        seen: Counter[str] = Counter()

        def deadly(point: str) -> bool:
            seen[point] += 1
            return f"{point} #{seen[point]}" not in self.survived

        death = Death(deadly)
        life = Life(death)
        service = await self._start()
        mortal(service, life)
        death.lives[service.name] = life
        if self._watched is not None:
            self._watched.death = death
        with tasks_noted():
            with living(life):
                draining = asyncio.create_task(service.runner.drain())
            died = asyncio.create_task(death.came.wait())
            await asyncio.wait({draining, died}, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if not death.points:
                await draining
            life.dead = True
            await life.bury()
        if self._watched is not None:
            self._watched.death = None
            await self._watched.idle.wait()
        await service.stop()
        if not death.points:
            return None
        self.survived.add(point := f"{death.points[0]} #{seen[death.points[0]]}")
        return point
