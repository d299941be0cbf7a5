"""Death at a chosen point of the main job: before or after a commit, a write to Microsoft or storage, a publication.

A life is the time between a start of the services and their death. At the point nothing of the life gets further: its
tasks are cancelled, and what they try on the way out (to release a job, to commit, to publish) does not happen, as
nothing happens after SIGKILL. The other side of the point did all or nothing of what it was asked.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from sqlalchemy import event
from starlette.responses import Response

from shared.bus import MemoryBus, Record
from shared.service import Service
from shared.testing.serving import LISTENER

_WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", re.IGNORECASE)
_NOT_TABLES = {"OF", "SKIP", "SET", "NOWAIT"}
_ID = re.compile(r"\(.+\)|(?<=/)(?!v1)[^/]*\d[^/]*(?=/|$)|(?<=/)[^/]{24,}")
_CLAIM = "busy AS"
"""A claim that takes nothing is no step of a job; one that does is followed by the job's next point."""


class Dead(BaseException):
    """The process is gone."""


class Life:
    """Ends at the first point that ``deadly`` names; ``passed`` are those before it."""

    def __init__(self, deadly: Callable[[str], bool]) -> None:
        self.deadly = deadly
        self.passed: list[str] = []
        self.died_at: str | None = None
        self.died = asyncio.Event()
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def dead(self) -> bool:
        return self.died_at is not None

    def ended(self, task: "asyncio.Task[Any]") -> None:
        """Forget it, and take its exception, which nobody else may ask for."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def check(self) -> None:
        if self.dead:
            raise Dead

    def reach(self, point: str) -> None:
        """Raises ``Dead`` there when it is deadly."""
        self.check()
        if self.deadly(point):
            self.died_at = point
            self.died.set()
            raise Dead
        self.passed.append(point)

    async def run(self, work: Awaitable[None]) -> bool:
        """True when ``work`` came to its end, False when the life did."""
        doing, died = asyncio.ensure_future(work), asyncio.ensure_future(self.died.wait())
        await asyncio.wait({doing, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not self.dead:
            doing.result()
            return True
        self.tasks.discard(asyncio.current_task())  # type: ignore[arg-type]
        for task in self.tasks | {doing}:
            task.cancel()
        await asyncio.gather(doing, *self.tasks, return_exceptions=True)
        return False


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


@contextlib.contextmanager
def living(life: Life) -> Iterator[None]:
    """Every task that is started in the block, or by such a task, belongs to the life."""
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(work, loop=loop, **more)
        if LIFE.get() is life and task.get_name() != LISTENER:
            life.tasks.add(task)
            task.add_done_callback(life.ended)
        return task

    before, token = loop.get_task_factory(), LIFE.set(life)
    loop.set_task_factory(factory)
    try:
        yield
    finally:
        loop.set_task_factory(before)
        LIFE.reset(token)


def mortal(service: Service, life: Life) -> None:
    """Its transactions commit, and its single statements write, only while the life lasts."""
    for engine, at_once in ((service.db.engine, False), (service.db.system_engine, True)):
        _watch_statements(engine.sync_engine, service.name, life, at_once)
    _watch_commits(service.db.engine.sync_engine, service.name, life)


def _watch_statements(engine: Any, name: str, life: Life, at_once: bool) -> None:
    """A single statement is its own transaction; the others are noted until their commit."""

    def before(conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        life.check()
        written = _written(statement)
        if at_once and written:
            life.reach(f"{name}: before {_said(written)}")
        conn.info.setdefault("written", {}).update(written)

    def after(conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if at_once and (written := _written(statement)):
            life.reach(f"{name}: after {_said(written)}")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)


def _watch_commits(engine: Any, name: str, life: Life) -> None:
    commit = engine.dialect.do_commit

    def commits(connection: Any) -> None:
        written = connection.info.pop("written", {})
        life.check()
        if written:
            life.reach(f"{name}: before {_said(written)}")
        commit(connection)
        if written:
            life.reach(f"{name}: after {_said(written)}")

    engine.dialect.do_commit = commits


def _written(statement: str) -> dict[str, None]:
    if _CLAIM in statement:
        return {}
    found = {f"{verb.split()[0].lower()} {table}" for verb, table in _WRITES.findall(statement)}
    return dict.fromkeys(sorted(one for one in found if one.split()[1].upper() not in _NOT_TABLES))


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
        self.life: Life | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        life = self.life
        if life is None or scope["method"] in {"GET", "HEAD"} or not self.paths.search(scope["path"]):
            return await self.app(scope, receive, send)
        name = f"{scope['method']} {_ID.sub('…', scope['path'])} at {self.where}"
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        try:
            life.reach(f"before {name}")
            await self.app(scope, receive, keep)
            life.reach(f"after {name}")
        except Dead:
            said = []
            await Response(status_code=503)(scope, receive, send)  # nobody is there to read it
        for message in said:
            await send(message)
        return None


class Housed:
    """ASGI, around our own services: what answers a request there belongs to the life."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.life: Life | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        life, task = self.life, asyncio.current_task()
        if life is None or task is None:
            return await self.app(scope, receive, send)
        LIFE.set(life)
        life.tasks.add(task)
        try:
            await self.app(scope, receive, send)
        except Dead:
            await Response(status_code=503)(scope, receive, send)
        finally:
            life.tasks.discard(task)
        return None
