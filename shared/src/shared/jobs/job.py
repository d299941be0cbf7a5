"""One leased job, and the unit of work inside it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from shared.database.outbox import Cause
from shared.database.unit_of_work import AS_SERVICE, Database, UnitOfWork
from shared.database.work import PRIORITIES, Priority
from shared.jobs.again import Again, GiveUp, LeaseLost, Periodic
from shared.jobs.registry import Kind

_NAMES = {level: name for name, level in PRIORITIES.items()}
# Nobody claims or removes a job that is held so, for both lock its row for an update. Who queues it again does not
# wait: a request that holds the meeting which this transaction is about to lock would wait for it, and it for that.
_LOCK = "(SELECT 'on' FROM job WHERE id = $7 AND fence = $8 AND state = 'running' FOR KEY SHARE) AS leased"
_READ = """(SELECT set_config('transaction_read_only', 'on', true)
            FROM job WHERE id = $7 AND fence = $8 AND state = 'running') AS leased"""
_CHECKPOINT = text("UPDATE job SET checkpoint = CAST(:checkpoint AS jsonb) WHERE id = :id AND fence = :fence")
# A request for the same job that came while it ran has it done once more. These are two statements, for one statement
# sees the row as it was when it began: a request that commits while the first waits for the row is seen by the second.
DONE = text("DELETE FROM job WHERE id = :id AND fence = :fence AND NOT again RETURNING id")
ONCE_MORE = text(
    """UPDATE job SET state = 'waiting', due_as = NULL, lease_until = NULL, attempt = 0, tried_since = NULL,
           checkpoint = '{}', sure_to = fence
       WHERE id = :id AND fence = :fence AND again"""
)


class JobWork(UnitOfWork):
    """A unit of work that can also save the job's checkpoint, or end the job, in its transaction."""

    job: "Job"
    saved = ends = False

    async def save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.job.checkpoint = checkpoint
        self.saved = True
        values = {"checkpoint": json.dumps(checkpoint), "id": self.job.id, "fence": self.job.fence}
        await self.session.execute(_CHECKPOINT, values)

    async def end_job(self) -> None:
        """The job is done when this transaction commits; its function does nothing after it."""
        self.ends = self.job.ending = True
        await self.session.execute(AS_SERVICE)
        this = {"id": self.job.id, "fence": self.job.fence}
        if not (await self.session.execute(DONE, this)).all():
            await self.session.execute(ONCE_MORE, this)


@dataclass
class Job:
    """A job that this worker leases. ``checkpoint`` is what an earlier run saved last, ``payload`` as it is stored."""

    db: Database
    kind: Kind
    id: int
    org_id: str
    payload: dict[str, Any]
    checkpoint: dict[str, Any]
    attempt: int
    fence: int
    traceparent: str | None = None
    level: int = PRIORITIES["fresh"]
    tried_s: float = 0.0
    """Seconds since its first try, when it was claimed."""
    cause: list[Any] | None = None
    """The ``ce_id`` of the event that led to this job, and that of the first event of its chain."""
    unsure: bool = False
    """Whether something may have been done outside the database that neither checkpoint nor tables know of: the worker
    of an earlier run died, or this run set the mark before it asked.
    The claim is the intent, so nothing is written before the call. A run that ends with False clears the mark.
    """
    claimed_at: float = field(default_factory=time.monotonic)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the worker stops: a long job is cancelled after its next checkpoint."""
    ending: bool = False
    """Its last transaction is under way, after which no lease can be renewed."""
    ended: bool = False
    """The transaction with the effect is committed, so the runner writes no outcome."""

    @property
    def priority(self) -> Priority:
        """The priority it was queued with; its calls to Graph have the same."""
        return _NAMES[self.level]

    def fails_with(self, error: Exception) -> bool:
        """Whether ending now with ``error`` is the end: no attempt and no patience is left, or it is a ``GiveUp``."""
        if isinstance(error, (GiveUp, Periodic)):
            return isinstance(error, GiveUp)
        if isinstance(error, Again) and not error.counts:
            return self.tried_s + time.monotonic() - self.claimed_at >= self.kind.patience_s
        return self.attempt >= self.kind.attempts

    @asynccontextmanager
    async def reading(self, user_id: str = "") -> AsyncIterator[UnitOfWork]:
        """A transaction that only reads, begun while the lease is ours. Raises ``LeaseLost`` otherwise.

        It locks nothing, so its end writes nothing and waits for no disk.
        """
        async with self._under_lease(_READ, user_id) as work:
            yield work

    @asynccontextmanager
    async def _under_lease(self, leased: str, user_id: str) -> AsyncIterator[JobWork]:
        cause = Cause(*self.cause) if self.cause else None
        told: dict[str, Any] = {"engine": self.db.service_engine, "also": leased, "of": (self.id, self.fence)}
        async with self.db.unit_of_work_of(JobWork, self.org_id, user_id, cause=cause, **told) as work:
            work.job = self
            if work.answer["leased"] is None:
                raise LeaseLost(f"job {self.id} was taken over")
            yield work

    @asynccontextmanager
    async def unit_of_work(self, user_id: str = "") -> AsyncIterator[JobWork]:
        """A transaction that commits only while the lease is ours. Raises ``LeaseLost`` otherwise.

        ``user_id`` is the person it works for, where tables are each person's own. It works as the request role, on a
        connection of the service's login, which alone may end the job.
        """
        async with self._under_lease(_LOCK, user_id) as work:
            yield work
        self.ended = work.ends
        task = asyncio.current_task()
        if work.saved and self.stopping.is_set() and task is not None:
            task.cancel()
            await asyncio.sleep(0)  # here, not somewhere in the next chunk
