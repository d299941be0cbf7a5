"""What a service set at Microsoft for a person is removed there when they, or their organisation, disconnect.

::

    user.state, ``leaving_until`` ──► Leave: asks with the token that user-auth keeps until then ─┐
    user.state without it (no way to Microsoft is left) ──► forgotten at once ────────────────────┴─► …traces_removed

    tenant.state, ``leaving_until`` ──► LeaveAsApplication, of what was made as the application: asks with the
                                        application's token, which tenant-connector gives until then

What could not be removed is counted with its reason. Whatever Microsoft answers it ends at ``leaving_until``; one who
connects again meanwhile keeps what there is. A worker may die anywhere: what is removed already is found removed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections.following import Leave, LeaveAsApplication
from shared.connections.state import connection_of, tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.events import TenantState, UserState
from shared.events.leaving import LeftBecause, LeftBehind, LeftKind, add_up
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.jobs import Again, Jobs
from shared.jobs.job import Job, JobWork
from shared.subscriptions.subscriptions import Subscriptions

log = structlog.get_logger(__name__)
PAUSE_S = 10.0
"""Seconds between two tries while Microsoft does not answer, unless it names a longer pause."""
_HELD = text(
    """SELECT resource, expires_at FROM graph_subscription
       WHERE org_id = :org_id AND user_id = :user_id AND client_state_hash IS NOT NULL ORDER BY resource"""
)
_FORGET = text("DELETE FROM graph_subscription WHERE org_id = :org_id AND user_id = :user_id")
Refusals = dict[str, LeftBecause]
"""Names of what Microsoft did not let us remove, and why."""


class More(Protocol):
    """Something other than subscriptions that a service sets at Microsoft for a person."""

    @property
    def kind(self) -> LeftKind: ...

    async def there(self, session: AsyncSession, org_id: str, user_id: str) -> dict[str, datetime | None]:
        """What is there by its name, with when it ends by itself; None where it does not, or nobody knows."""

    async def remove(self, job: Job, caller: GraphCaller, name: str) -> None:
        """Remove one at Microsoft, and forget it. Raises ``GraphError`` when it stays."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a service tells of one end of a connection, in the words of ``TracesRemoved``; ``user_id`` is empty for the
    application."""

    org_id: str
    user_id: str
    version: int
    removed: int
    left: list[LeftBehind]

    def told(self) -> dict[str, Any]:
        about = {"org_id": self.org_id, "aggregate_version": self.version}
        about |= {"user_id": self.user_id} if self.user_id else {}
        return about | {"removed": self.removed, "left": self.left}


@dataclass(frozen=True, slots=True)
class Traces:
    """How a service leaves Microsoft: ``tell`` emits its event; ``forget`` is for when its way there is gone.

    ``as_application``: it subscribes as the application too.
    """

    tell: Callable[[UnitOfWork, Done], None]
    forget: Callable[[UnitOfWork, str | None], Awaitable[None]]
    more: More | None = None
    as_application: bool = False

    async def tenant_ended(self, work: UnitOfWork, event: TenantState) -> None:
        """Where there is time to remove things, each person's own end follows."""
        if event.leaving_until is None:
            await self.forget(work, None)
        elif self.as_application:
            work.queue(LeaveAsApplication(version=event.aggregate_version, until=event.leaving_until))

    async def account_ended(self, work: UnitOfWork, event: UserState) -> None:
        """A connection that expired comes back, so its end emits no event."""
        version, until = event.aggregate_version, event.leaving_until
        if until is not None:
            work.queue(Leave(user_id=event.user_id, version=version, until=until))
        elif event.status == "disconnected":
            await self._gone(work, event.user_id, version)
        else:
            await self.forget(work, event.user_id)

    async def _gone(self, work: UnitOfWork, user_id: str, version: int) -> None:
        """Nothing can be asked for the person any more: what is there stays, and is told."""
        there = await self._there(work.session, work.org_id, user_id)
        await self.forget(work, user_id)
        self.tell(work, Done(work.org_id, user_id, version, 0, _left(there, {}, "no_access")))

    def done_by(self, does: Jobs) -> None:
        """Have the service do the jobs by which it leaves."""

        @does(Leave)
        async def leave(job: Job, wanted: Leave, *, graph: Graph, subscriptions: Subscriptions) -> None:
            await self._leave(job, wanted, graph, subscriptions)

        if self.as_application:
            does(LeaveAsApplication)(leave)

    async def _leave(self, job: Job, wanted: Leave, graph: Graph, subscriptions: Subscriptions) -> None:
        """Remove what may be removed by ``until``, then tell and forget the rest."""
        if (found := await self._begin(job, wanted)) is None:
            return
        caller = graph.as_leaver(job.org_id, wanted.user_id or None, job.priority)
        trying = _Trying(job, caller, self, subscriptions, wanted.until or datetime.now(UTC))
        try:
            await trying.all()
        except GraphRetry as error:
            if (left_s := trying.left_s) > 0:
                pause_s = min(error.after_s or PAUSE_S, left_s)
                raise Again("Microsoft does not answer", after_s=pause_s, counts=False) from error
        await self._end(job, wanted, found, trying.refused)

    async def _begin(self, job: Job, wanted: Leave) -> int | None:
        """How many things there were at first; None when somebody connected since."""
        async with job.unit_of_work() as work:
            if not await _is_current(work, wanted):
                return None
            if "found" not in job.checkpoint:
                found = sum(map(len, (await self._there(work.session, work.org_id, wanted.user_id)).values()))
                await work.save_checkpoint({"found": found})
        return int(job.checkpoint["found"])

    async def _end(self, job: Job, wanted: Leave, found: int, refused: Refusals) -> None:
        async with job.unit_of_work() as work:
            if not await _is_current(work, wanted):
                return
            there = await self._there(work.session, work.org_id, wanted.user_id)
            left = _left(there, refused, "no_answer")
            await work.session.execute(_FORGET, {"org_id": work.org_id, "user_id": wanted.user_id})
            removed = max(found - sum(one.count for one in left), 0)
            self.tell(work, Done(work.org_id, wanted.user_id, wanted.version, removed, left))
            await work.end_job()

    async def _there(
        self, session: AsyncSession, org_id: str, user_id: str
    ) -> dict[LeftKind, dict[str, datetime | None]]:
        rows = await session.execute(_HELD, {"org_id": org_id, "user_id": user_id})
        found: dict[LeftKind, dict[str, datetime | None]] = {"subscription": {row[0]: row[1] for row in rows}}
        if self.more is not None:
            found[self.more.kind] = await self.more.there(session, org_id, user_id)
        return found


@dataclass(slots=True)
class _Trying:
    """One attempt to remove everything. When Graph refuses one thing, the next is tried; when it does not answer, the
    attempt ends."""

    job: Job
    caller: GraphCaller
    traces: Traces
    subscriptions: Subscriptions
    until: datetime
    refused: Refusals = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        return (self.until - datetime.now(UTC)).total_seconds()

    async def all(self) -> None:
        more, org_id, user_id = self.traces.more, self.caller.org_id, self.caller.user_id or ""
        for resource in await self.subscriptions.resources_of(org_id, user_id):
            await self._one(resource, partial(self.subscriptions.end, self.caller, resource))
        if more is not None:
            async with self.job.unit_of_work() as work:
                names = await more.there(work.session, org_id, user_id)
            for name in names:
                await self._one(name, partial(more.remove, self.job, self.caller, name))

    async def _one(self, name: str, remove: Callable[[], Awaitable[None]]) -> None:
        if self.left_s <= 0:
            raise GraphRetry("The time for it is over.")
        try:
            await remove()
        except GraphRetry:
            raise
        except GraphError as error:
            no_access = isinstance(error, GraphReconnect) or (isinstance(error, GraphTellAdmin) and error.status != 403)
            self.refused[name] = "no_access" if no_access else "refused"
            log.warning("leaving.refused", org_id=self.caller.org_id, code=error.code, status=error.status,
                        graph_request_id=error.request_id)  # fmt: skip


async def _is_current(work: JobWork, wanted: Leave) -> bool:
    """Held, so that somebody who connects in this moment is heard of before or after this transaction."""
    if isinstance(wanted, LeaveAsApplication):  # a tenant that is not connected may change all the same
        return not (await tenant_of(work.session, work.org_id, hold=True)).connected
    person = await connection_of(work.session, work.org_id, wanted.user_id, hold=True)
    return person.account.version == wanted.version and not person.account.connected


def _left(there: dict[LeftKind, dict[str, datetime | None]], refused: Refusals, rest: LeftBecause) -> list[LeftBehind]:
    """Counted by kind and reason; ``rest`` is the reason of what nothing was said of."""
    now = datetime.now(UTC)
    return add_up(
        [
            LeftBehind(kind=kind, count=1, code=refused.get(name, rest), until=end)
            for kind, names in there.items()
            for name, end in names.items()
            if end is None or end > now  # else it is over by itself
        ]
    )
