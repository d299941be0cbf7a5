"""The database of a service: one transaction per request or message, bound to one organisation.

Row-level security stands behind every query: the transaction says whose rows it may see, and the policies made by
``shared.database.row_security`` compare. Nobody but ``Database`` commits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import orjson
from opentelemetry import trace
from sqlalchemy import ExceptionContext, Row, TextClause, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.database import outbox, queue
from shared.database.driver import Driver, strip_values
from shared.database.outbox import Cause, EventMeta, Outbox
from shared.database.row_security import role_of
from shared.database.session import Session
from shared.database.values import as_json
from shared.database.wakes import Wakes
from shared.database.work import Priority, Work
from shared.problems import ConfigurationError

_ORGANISATION = """SELECT set_config('app.org_id', $1, true), set_config('app.user_id', $2, true),
    set_config('app.request_id', $3, true), set_config('app.trace_id', $4, true),
    set_config('app.everybody', $5, true), set_config('role', $6, true)"""
_MAY = text(
    """SELECT pg_has_role(current_user, CAST(:request AS name), 'MEMBER') AS member,
              rolsuper OR rolbypassrls
                  OR EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relkind IN ('r', 'p')) AS unbound
       FROM pg_roles WHERE rolname = current_user"""
)
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
_SYSTEM = "SELECT set_config('app.org_id', '', true)"
AS_SERVICE = text("SELECT set_config('role', 'none', true)")
"""Give a transaction that took the request role the service's login again."""

BY_INDEX = {
    **dict.fromkeys(("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"),
    "plan_cache_mode": "force_generic_plan",
}
"""Settings of the engines' connections. A queue is empty most of the time, so its statistics say that reading all of it
is cheap; a backlog is then read whole for every batch. Their statements are all answered by an index, whatever the
values, so they are planned once: to plan a claim takes six times as long as to run it."""

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered; the audit trail's rows take it, and the trace's id, from their transaction."""

# SQLSTATEs that say nothing about the statement: connection, authorisation of the role, missing database, deadlock or
# serialisation, resources, shutdown, system, read-only standby, lock timeout. A cancelled statement (57014) is not one.
_OF_THE_SERVER = ("08", "28", "3D", "40", "53", "57P", "58", "25006", "55P03")


def is_outage(error: BaseException) -> bool:
    """True when the database could not be used, so that the same work may succeed later without a change."""
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        # A migration changed a table under a kept statement, which is prepared anew for who asks again.
        changed = isinstance(error.orig, asyncpg.InvalidCachedStatementError)
        return changed or error.connection_invalidated or state.startswith(_OF_THE_SERVER)
    return isinstance(error, (OSError, PoolExhausted))


class UnitOfWork:
    """The transaction of one request, record or job: its session, and the events and jobs that the commit writes.

    ``org_id`` is empty in one over all organisations.
    """

    def __init__(self, transaction: "Transaction", org_id: str, source: str, cause: EventMeta | Cause | None) -> None:
        self._transaction = transaction
        self.org_id = org_id
        self.wrote_jobs = False
        self.outbox = Outbox(source=source, cause=cause)
        self.jobs: list[tuple[Any, ...]] = []
        self.wakes: list[str] = []
        self._after_commit: list[Callable[[], None]] = []

    @property
    def session(self) -> Session:
        return self._transaction.session

    @property
    def answer(self) -> Mapping[str, Any]:
        """What the statement that opened the transaction answered."""
        return self._transaction.answer

    def wake(self, name: str) -> None:
        """Wake whoever waits for this name (``shared.database.wakes``), in any process, when this is committed."""
        self.wakes.append(name)

    def queue(
        self,
        work: Work,
        *,
        org_id: str | None = None,
        run_at: datetime | None = None,
        priority: Priority | None = None,
        because: str | None = None,
    ) -> None:
        """Queue a job, which exists when the transaction commits. Its events say what led to it: the event of this
        unit of work whose ``ce_id`` is ``because``, else what led to this unit of work.

        While a job with the same kind and key waits, it gets this payload, and becomes earlier or more urgent. One that
        runs is run once more afterwards: it may have read too early what this is about.
        """
        owner = org_id or self.org_id
        if not owner:
            raise ValueError("A job belongs to an organisation: give org_id outside a unit of work of one.")
        self.jobs.append(queue.row(work, owner, run_at, priority, self.outbox.cause_of(because)))

    async def write_jobs(self) -> None:
        """Write what was queued so far now, and lock those jobs, rather than before the commit."""
        rows, self.jobs = self.jobs, []
        if rows:
            await self._transaction.driver.execute_each(queue.INSERT, rows)
            self.wrote_jobs = True

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run ``call`` once the transaction is durable; never when it rolled back."""
        self._after_commit.append(call)

    def committed(self) -> None:
        for call in self._after_commit:
            call()


AnyWork = TypeVar("AnyWork", bound=UnitOfWork)


class Transaction:
    """One transaction, the answer of its first statement, and the units of work in it (one, but for the lanes)."""

    def __init__(self, driver: Driver, source: str, answer: Mapping[str, Any]) -> None:
        self.driver = driver
        self.answer = answer
        self._source = source
        self._works: list[UnitOfWork] = []
        self.session = Session(driver)

    async def close(self) -> None:
        if self.session.keeps_objects:
            await self.session.close()

    def work(self, org_id: str, cause: EventMeta | Cause | None = None) -> UnitOfWork:
        return self.work_of(UnitOfWork, org_id, cause)

    def work_of(self, kind: type[AnyWork], org_id: str, cause: EventMeta | Cause | None = None) -> AnyWork:
        made = kind(self, org_id, self._source, cause)
        self._works.append(made)
        return made

    async def flush(self) -> list[str]:
        """Write what the works changed, their events and jobs; the names to wake, whoever waits longest first."""
        events = [row for work in self._works for row in work.outbox.rows]
        if events:
            await self.driver.execute_each(outbox.INSERT, events)
        for work in self._works:
            await work.write_jobs()
        if self.session.keeps_objects:
            await self.session.flush()
        jobs = any(work.wrote_jobs for work in self._works)
        names = [name for work in self._works for name in work.wakes]
        return names + [name for name, due in (("outbox", events), ("jobs", jobs)) if due]

    def committed(self) -> None:
        for work in self._works:
            work.committed()


def _engine(url: str, **more: Any) -> AsyncEngine:
    """Strip values from an error: it is logged, and kept with jobs and parked records.

    The connection that came back last is lent first: its server has the statements prepared and planned. One that the
    server has closed meanwhile is not lent. SQLAlchemy begins no transaction: ``Database`` does.
    """
    told: dict[str, Any] = {"hide_parameters": True, "json_serializer": as_json, "json_deserializer": orjson.loads}
    told |= {"pool_use_lifo": True, "pool_reset_on_return": None}
    made = create_async_engine(url, isolation_level="AUTOCOMMIT", **told, **more)
    event.listen(made.sync_engine, "handle_error", _without_detail)
    event.listen(made.sync_engine, "checkout", _is_open)
    return made


def _is_open(lent: Any, *_more: Any) -> None:
    """Raises what makes the pool connect again."""
    if lent.driver_connection.is_closed():
        raise DisconnectionError


def _without_detail(context: ExceptionContext) -> None:
    original, wrapped = context.original_exception, context.sqlalchemy_exception
    for error in (original, wrapped, original.__cause__):
        if error is not None:
            strip_values(error)


class Database:
    """Pools of connections: of the request role, for units of work, and of the service's own login, for the engines.

    ``url`` is the service's login, ``request_url`` the request role (``shared.database.row_security``), ``owner_url``
    the tables' owner, which only an operator's command has. Transactions may go through a pooler that gives a
    connection to a transaction only. What the engines need of a session (locks, LISTEN, settings) goes to
    ``direct_url``, the server itself; ``url`` unless given. ``security`` is of ``shared.hosting.engine_security``.
    """

    def __init__(
        self,
        url: str,
        *,
        request_url: str | None = None,
        owner_url: str | None = None,
        direct_url: str | None = None,
        pool_size: int = 5,
        source: str = "",
        security: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.direct_url = direct_url or url
        self.source = source
        self._security = dict(security or {})
        self.request_role = role_of(request_url or url)
        pooled = {"pool_size": pool_size, "max_overflow": pool_size, "connect_args": self._security}
        self.engine = _engine(request_url or url, **pooled)
        self.service_engine = _engine(url, **pooled)
        self.operator_engine = _engine(owner_url, **pooled) if owner_url else self.service_engine
        settings = self._security | {"server_settings": dict(BY_INDEX)}
        # The pool is as large as what asks at once: a connection beyond it is closed when it comes back, and the next
        # costs more than the statement it is for.
        self.system_engine = _engine(self.direct_url, pool_size=pool_size, max_overflow=2, connect_args=settings)
        self.wakes = Wakes(self.connect, self._notify)

    async def open(self) -> None:
        """Try both logins. Raises ``ConfigurationError`` naming the setting when one does not reach the database.

        Or when it could do what it must not: the owner of a table, and who may be a superuser, is bound by nothing.
        """
        logins = {"PROSPO_REQUEST_DATABASE_URL": self.engine, "PROSPO_DATABASE_URL": self.service_engine}
        member = True
        try:
            for setting, engine in logins.items():
                async with engine.connect() as connection:
                    row = (await connection.execute(_MAY, {"request": self.request_role})).one()
                member = row.member
                if row.unbound:
                    raise ConfigurationError(
                        f"The role of {setting} owns tables, or is not bound by row-level security. Give it a role of "
                        "its own, and the owner to PROSPO_MIGRATION_DATABASE_URL."
                    )
        except (OSError, DBAPIError) as error:
            raise ConfigurationError(
                f"The database does not answer ({type(error).__name__}). Check PROSPO_DATABASE_URL and "
                "PROSPO_REQUEST_DATABASE_URL (in the chart: uri and request-uri in the Secret of secrets.database), "
                "and that it runs."
            ) from error
        if not member:
            raise ConfigurationError(
                "The role of PROSPO_DATABASE_URL is no member of that of PROSPO_REQUEST_DATABASE_URL. Grant it "
                "(docs/how-to/database.md)."
            )

    async def connect(self, **more: Any) -> Any:
        """A connection of asyncpg's own to the server itself, for a session that an engine keeps."""
        url = make_url(self.direct_url).set(drivername="postgresql").render_as_string(hide_password=False)
        return await asyncpg.connect(url, **self._security, **more)

    async def close(self) -> None:
        await self.wakes.close()
        for engine in (self.engine, self.service_engine, self.operator_engine, self.system_engine):
            await engine.dispose()

    @asynccontextmanager
    async def unit_of_work(
        self, org_id: str, user_id: str = "", *, cause: EventMeta | Cause | None = None
    ) -> AsyncIterator[UnitOfWork]:
        """One transaction that sees the rows of ``org_id`` only; commits on a clean exit, else rolls back.

        ``user_id`` is the person it works for: of tables that are each person's own it sees theirs.
        """
        async with self.unit_of_work_of(UnitOfWork, org_id, user_id, cause=cause) as work:
            yield work

    @asynccontextmanager
    async def unit_of_work_of(
        self,
        kind: type[AnyWork],
        org_id: str,
        user_id: str = "",
        *,
        cause: EventMeta | Cause | None = None,
        engine: AsyncEngine | None = None,
        also: str = "",
        of: Sequence[Any] = (),
    ) -> AsyncIterator[AnyWork]:
        """The same, as a subclass of ``UnitOfWork``; as the request role on whichever ``engine``'s connection.

        ``also`` is one more column of the opening statement, with the rights of the engine's login; ``of`` are its
        values, from ``$7``.
        """
        span = trace.get_current_span().get_span_context()
        trace_id = format(span.trace_id, "032x") if span.is_valid else ""
        values = (org_id, user_id, REQUEST_ID.get(), trace_id, "", self.request_role)
        first = f"{_ORGANISATION}, {also}" if also else _ORGANISATION
        async with self.transaction(first, (*values, *of), engine) as transaction:
            yield transaction.work_of(kind, org_id, cause)

    @asynccontextmanager
    async def system_work(self) -> AsyncIterator[UnitOfWork]:
        """One transaction over all organisations, for engines and receivers that do not know the organisation yet."""
        async with self.transaction(_SYSTEM, (), self.service_engine) as transaction:
            yield transaction.work("")

    @asynccontextmanager
    async def operator_work(self, org_id: str) -> AsyncIterator[UnitOfWork]:
        """One transaction of an operator's command in one organisation, as the tables' owner where that is given."""
        values = (org_id, "", "", "", "on", "none")
        async with self.transaction(_ORGANISATION, values, self.operator_engine) as transaction:
            yield transaction.work(org_id)

    @asynccontextmanager
    async def transaction(
        self, first: str, values: Sequence[Any], engine: AsyncEngine | None = None
    ) -> AsyncIterator[Transaction]:
        """One transaction that ``first`` opens: it says whose rows are seen, beside an engine's own first step.

        As the request role unless ``engine`` is another login's.
        """
        driver = Driver(await (engine or self.engine).connect())
        try:
            await driver.execute("BEGIN")
            transaction = Transaction(driver, self.source, await driver.first(first, values))
            try:
                yield transaction
                wake = await transaction.flush()
            finally:
                await transaction.close()
            await self.commit(driver)
            transaction.committed()
            self.wakes.tell(*wake)
        finally:
            await driver.close()

    async def commit(self, driver: Driver) -> None:
        """PostgreSQL answers ROLLBACK, and no error, when a statement of the transaction was refused before."""
        if (tag := await driver.execute("COMMIT")) != "COMMIT":
            raise RuntimeError(f"PostgreSQL answered {tag}: a statement of this transaction was refused before.")

    @property
    def on_commit_wake(self) -> dict[str, asyncio.Event]:
        """Set after a commit, here or in another process: ``outbox`` when it has events, ``jobs`` when it has jobs."""
        return self.wakes.loops

    async def _notify(self, channel: str, payload: str) -> None:
        await self.at_once(_NOTIFY, {"channel": channel, "payload": payload})

    async def at_once(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row[Any]]:
        """One statement of an engine on its own tables, of all organisations: one round trip, not four."""
        driver = Driver(await self.system_engine.connect())
        try:
            return list(await driver.rows(statement, values))
        finally:
            await driver.close()
