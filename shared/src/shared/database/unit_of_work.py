"""The database of a service: one transaction per request or message, bound to one organisation.

Row-level security stands behind every query: the transaction says whose rows it may see, and the policies made by
``shared.database.row_security`` compare. Nobody but ``Database`` commits.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import orjson
import sqlalchemy.ext.asyncio
import sqlalchemy.orm
import sqlmodel
import sqlmodel.ext.asyncio.session
from opentelemetry import trace
from sqlalchemy import ExceptionContext, Result, Row, TextClause, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.database import outbox, queue
from shared.database.outbox import Cause, EventMeta, Outbox
from shared.database.row_security import role_of
from shared.database.values import as_json
from shared.database.wakes import Wakes
from shared.database.work import Priority, Work
from shared.problems import ConfigurationError

_ORGANISATION = text(
    """SELECT set_config('app.org_id', :org_id, true), set_config('app.request_id', :request_id, true),
              set_config('app.trace_id', :trace_id, true), set_config('app.user_id', :user_id, true),
              set_config('app.everybody', :everybody, true),
              set_config('role', :role, true)"""
)
_MAY = text(
    """SELECT pg_has_role(current_user, CAST(:request AS name), 'MEMBER') AS member,
              rolsuper OR rolbypassrls
                  OR EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relkind IN ('r', 'p')) AS unbound
       FROM pg_roles WHERE rolname = current_user"""
)
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
_SYSTEM = text("SELECT set_config('app.org_id', '', true)")
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
        return error.connection_invalidated or state.startswith(_OF_THE_SERVER)
    return isinstance(error, (OSError, PoolExhausted))


class _SyncSession(sqlmodel.Session):
    execute = sqlalchemy.orm.Session.execute


class Session(sqlmodel.ext.asyncio.session.AsyncSession):
    """SQLModel's session for SQL that is mostly ``text()``: without its warning, and such a statement sees the rows
    that were changed as objects before it."""

    sync_session_class = _SyncSession

    async def execute(self, statement: Any, *args: Any, **more: Any) -> Result[Any]:
        if isinstance(statement, TextClause) and (self.new or self.dirty or self.deleted):
            await self.flush()
        result: Result[Any] = await sqlalchemy.ext.asyncio.AsyncSession.execute(self, statement, *args, **more)
        return result

    async def execute_each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement with ``$1`` for each row, in order; the driver sends them all before it waits.

        In the transaction that is under way, past SQLAlchemy's layers, which cost more than the insert of an event.
        Raises ``DBAPIError``, as ``execute`` does.
        """
        driver: Any = self.sync_session.connection().connection.driver_connection
        try:
            if len(rows) == 1:  # the driver takes half as long as for a list of one
                await driver.execute(statement, *rows[0])
            else:
                await driver.executemany(statement, rows)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            error.detail = None
            error.args = tuple(_without_values(said) if isinstance(said, str) else said for said in error.args)
            if lost := driver.is_closed():
                await (await self.connection()).invalidate()
            raise DBAPIError(statement, None, error, hide_parameters=True, connection_invalidated=lost) from error


class UnitOfWork:
    """The transaction of one request, record or job: its session, and the events and jobs that the commit writes.

    ``org_id`` is empty in one over all organisations.
    """

    def __init__(self, session: Session, org_id: str, source: str, cause: EventMeta | Cause | None) -> None:
        self.session = session
        self.org_id = org_id
        self.wrote_jobs = False
        self.outbox = Outbox(source=source, cause=cause)
        self.jobs: list[dict[str, Any]] = []
        self.wakes: list[str] = []
        self._after_commit: list[Callable[[], None]] = []

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
        await queue.write(self.session, rows)
        self.wrote_jobs = self.wrote_jobs or bool(rows)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run ``call`` once the transaction is durable; never when it rolled back."""
        self._after_commit.append(call)

    def committed(self) -> None:
        for call in self._after_commit:
            call()


AnyWork = TypeVar("AnyWork", bound=UnitOfWork)


class Transaction:
    """One transaction, the answer of its first statement, and the units of work in it (one, but for the lanes)."""

    def __init__(self, session: Session, source: str, answer: Row[Any]) -> None:
        self.session = session
        self.answer = answer
        self._source = source
        self._works: list[UnitOfWork] = []

    def work(self, org_id: str, cause: EventMeta | Cause | None = None) -> UnitOfWork:
        return self.work_of(UnitOfWork, org_id, cause)

    def work_of(self, kind: type[AnyWork], org_id: str, cause: EventMeta | Cause | None = None) -> AnyWork:
        made = kind(self.session, org_id, self._source, cause)
        self._works.append(made)
        return made

    async def flush(self) -> list[str]:
        """Write the events and jobs of all works; the names to wake after the commit, whoever waits longest first."""
        events = [row for work in self._works for row in work.outbox.rows]
        if events:
            await self.session.execute_each(outbox.INSERT, events)
        for work in self._works:
            await work.write_jobs()
        jobs = any(work.wrote_jobs for work in self._works)
        names = [name for work in self._works for name in work.wakes]
        return names + [name for name, due in (("outbox", events), ("jobs", jobs)) if due]

    def committed(self) -> None:
        for work in self._works:
            work.committed()


def _engine(url: str, **more: Any) -> AsyncEngine:
    """Strip values from an error: it is logged, and kept with jobs and parked records.

    The connection that came back last is lent first: its server has the statements prepared and planned.
    """
    told: dict[str, Any] = {"hide_parameters": True, "json_serializer": as_json, "json_deserializer": orjson.loads}
    made = create_async_engine(url, pool_use_lifo=True, **told, **more)
    event.listen(made.sync_engine, "handle_error", _without_detail)
    return made


_VALUE = re.compile(r"(invalid input for query argument \$[0-9]+[^:]{0,60}):.*", re.DOTALL)
"""The text with which asyncpg names a value that it cannot send."""


def _without_detail(context: ExceptionContext) -> None:
    """PostgreSQL's DETAIL quotes the row, asyncpg the value."""
    original, wrapped = context.original_exception, context.sqlalchemy_exception
    if original.__cause__ is not None:
        vars(original.__cause__).pop("detail", None)
    for error in (original, wrapped):
        if error is not None:
            error.args = tuple(_without_values(said) if isinstance(said, str) else said for said in error.args)
    if original.__cause__ is not None:
        cause = original.__cause__
        cause.args = tuple(_without_values(said) if isinstance(said, str) else said for said in cause.args)


def _without_values(said: str) -> str:
    return _VALUE.sub(r"\1", said.partition("\nDETAIL:")[0])


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
    ) -> AsyncIterator[AnyWork]:
        """The same, as a subclass of ``UnitOfWork``; as the request role on whichever ``engine``'s connection."""
        span = trace.get_current_span().get_span_context()
        ids = {"request_id": REQUEST_ID.get(), "trace_id": format(span.trace_id, "032x") if span.is_valid else ""}
        values = {"org_id": org_id, "user_id": user_id, "everybody": "", "role": self.request_role, **ids}
        async with self.transaction(_ORGANISATION, values, engine) as transaction:
            yield transaction.work_of(kind, org_id, cause)

    @asynccontextmanager
    async def system_work(self) -> AsyncIterator[UnitOfWork]:
        """One transaction over all organisations, for engines and receivers that do not know the organisation yet."""
        async with self.transaction(_SYSTEM, {}, self.service_engine) as transaction:
            yield transaction.work("")

    @asynccontextmanager
    async def operator_work(self, org_id: str) -> AsyncIterator[UnitOfWork]:
        """One transaction of an operator's command in one organisation, as the tables' owner where that is given."""
        values = {"org_id": org_id, "user_id": "", "everybody": "on", "request_id": "", "trace_id": "", "role": "none"}
        async with self.transaction(_ORGANISATION, values, self.operator_engine) as transaction:
            yield transaction.work(org_id)

    @asynccontextmanager
    async def transaction(
        self, first: TextClause, values: Mapping[str, Any], engine: AsyncEngine | None = None
    ) -> AsyncIterator[Transaction]:
        """One transaction that ``first`` opens: it says whose rows are seen, beside an engine's own first step.

        As the request role unless ``engine`` is another login's.
        """
        async with Session(engine or self.engine, expire_on_commit=False) as session:
            async with session.begin():
                answer = (await session.execute(first, values)).one()
                transaction = Transaction(session, self.source, answer)
                yield transaction
                wake = await transaction.flush()
            transaction.committed()
            self.wakes.tell(*wake)

    @property
    def on_commit_wake(self) -> dict[str, asyncio.Event]:
        """Set after a commit, here or in another process: ``outbox`` when it has events, ``jobs`` when it has jobs."""
        return self.wakes.loops

    async def _notify(self, channel: str, payload: str) -> None:
        await self.at_once(_NOTIFY, {"channel": channel, "payload": payload})

    async def at_once(self, statement: TextClause, values: Mapping[str, Any]) -> list[Row[Any]]:
        """One statement of an engine on its own tables, of all organisations: one round trip, not four."""
        async with self.system_engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            result = await connection.execute(statement, values)
            return list(result) if result.returns_rows else []
