"""Running due jobs: leased on the database's clock, fenced at commit, fair between organisations.

Guarantee: a job runs at least once and its transactions commit under one lease at a time. A worker that dies loses its
lease and another goes on from the last checkpoint; one that only slept meanwhile cannot commit (``LeaseLost``).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.propagate import extract
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared import metrics
from shared.database import queue
from shared.database.loops import is_set_within, stop_if_cancelled
from shared.database.unit_of_work import Database
from shared.database.wakes import POLL_S
from shared.jobs.again import Again, GiveUp, LeaseLost, Periodic
from shared.jobs.claiming import LEASE_S, Claims
from shared.jobs.job import DONE, ONCE_MORE, Job
from shared.jobs.registry import Jobs

log = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

OUTAGE_S = 0.5
STOP_S = 4.0
"""How long a stopping worker lets jobs end or reach a checkpoint before it cancels and releases them."""
_MAX_BACK_OFF_S = 600.0

_HOLD = text(
    """UPDATE job SET lease_until = clock_timestamp() + make_interval(secs => :lease_s)
       WHERE id = :id AND fence = :fence AND state = 'running' RETURNING id"""
)
_AGAIN = text(
    """UPDATE job SET state = 'waiting', due_as = NULL, lease_until = NULL, attempt = :tries, last_error = :error,
       sure_to = CASE WHEN :sure THEN fence ELSE sure_to END,
       tried_since = CASE WHEN :anew THEN NULL ELSE tried_since END,
       run_at = CASE WHEN again THEN run_at ELSE clock_timestamp() + make_interval(secs => :after_s) END
       WHERE id = :id AND fence = :fence"""
)
_RELEASE = text(
    """UPDATE job SET state = 'waiting', lease_until = NULL, attempt = attempt - 1, run_at = clock_timestamp(),
           sure_to = CASE WHEN :sure THEN fence ELSE sure_to END
       WHERE id = :id AND fence = :fence AND state = 'running'"""
)
_FAILED = text(
    """UPDATE job SET state = CASE WHEN again THEN 'waiting' ELSE 'failed' END, due_as = NULL, lease_until = NULL,
           last_error = :error, sure_to = CASE WHEN :sure THEN fence ELSE sure_to END,
           attempt = CASE WHEN again THEN 0 ELSE attempt END,
           tried_since = CASE WHEN again THEN NULL ELSE tried_since END
       WHERE id = :id AND fence = :fence"""
)


class JobRunner:
    """Runs a service's due jobs, ``concurrency`` at a time, until cancelled."""

    def __init__(self, db: Database, registry: Jobs, provided: dict[str, Any], *, concurrency: int = 8) -> None:
        self._db = db
        self._registry = registry
        self._claims = Claims(db, registry)
        self._arguments = registry.arguments({"db": db, **provided})
        self._concurrency = concurrency
        self._running: dict[asyncio.Task[None], Job] = {}
        self._rest_s = POLL_S

    async def run(self) -> None:
        """Claim and run until cancelled; a running job then ends, or is released for another worker at once."""
        try:
            while True:
                await self._fill()
                if self._rest_s:
                    await self._wait()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for job in self._running.values():
            job.stopping.set()
        if self._running:
            await asyncio.wait(set(self._running), timeout=STOP_S)
        await _cancel(self._running)

    async def redrive(self, key: str | None = None) -> int:
        """Make failed jobs due again: all, or those of a kind or with a dedupe key. Returns how many."""
        async with self._db.system_work() as work:
            count = await queue.redrive(work.session, key)
        self._db.wakes.tell("jobs")
        return count

    async def drain(self) -> None:
        """Run what is due until nothing is; for tests and one-off commands."""
        while await self._fill() or self._running:
            if self._running:
                await asyncio.wait(set(self._running), return_when=asyncio.FIRST_COMPLETED)

    async def _fill(self) -> int:
        self._rest_s = POLL_S
        room = self._concurrency - len(self._running)
        if room <= 0:
            return 0
        try:
            claimed = await self._claims.take(room)
        except (SQLAlchemyError, OSError) as error:
            stop_if_cancelled()
            log.warning("jobs.not_claimed", error=type(error).__name__)
            self._rest_s = OUTAGE_S
            return 0
        self._rest_s = min(POLL_S, claimed.rest_s)
        jobs = [Job(self._db, self._registry.kinds[row[0]], *row[1:]) for row in claimed.rows]
        for job in jobs:
            task = asyncio.create_task(self._run_one(job), name=f"job {job.kind.name} {job.id}")
            self._running[task] = job
            task.add_done_callback(self._ended)
        return len(jobs)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._db.on_commit_wake["jobs"].set()

    async def _wait(self) -> None:
        """Wait until a job is queued or ends, the next one is due, a lease runs out, or ``POLL_S`` have passed."""
        wake = self._db.on_commit_wake["jobs"]
        await is_set_within(wake, self._rest_s)
        wake.clear()

    async def _run_one(self, job: Job) -> None:
        name = job.kind.name
        holding = asyncio.create_task(self._hold(job, asyncio.current_task()))
        started, outcome = time.perf_counter(), "lost"
        try:
            await self._work(job)
            await _cancel([holding])
            if not await self._write(job, DONE):
                await self._write(job, ONCE_MORE)
            outcome = "done"
        except LeaseLost:
            log.info("job.left", kind=job.kind.name, job=job.id)
        except asyncio.CancelledError:
            await _cancel([holding])
            if not job.lost.is_set():
                await self._write(job, _RELEASE, sure=not job.unsure)
            log.info("job.left", kind=job.kind.name, job=job.id, released=not job.lost.is_set())
        except Exception as error:  # noqa: BLE001 - around one job, so that one cannot stop the others
            outcome = await self._failed(job, error)
        finally:
            await _cancel([holding])
            metrics.jobs_ended.add(1, {"kind": name, "outcome": outcome})
            metrics.job_duration.record(time.perf_counter() - started, {"kind": name})

    async def _work(self, job: Job) -> None:
        try:
            wanted = job.kind.work.model_validate(job.payload)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
            raise GiveUp(f"The payload is not a {job.kind.work.__name__}: {fields}.") from error
        try:
            with _span(job):
                await job.kind.function(job, wanted, **self._arguments[job.kind.name])
        except LeaseLost:
            raise
        except Exception:
            stop_if_cancelled()  # an error on the way out of a cancelled job is not the job's
            raise

    async def _hold(self, job: Job, worker: "asyncio.Task[Any] | None") -> None:
        """Renew the lease at a third of its length; stop the work when it is no longer ours."""
        while True:
            await asyncio.sleep(min(job.kind.lease_s, LEASE_S) / 3)
            with contextlib.suppress(SQLAlchemyError, OSError):
                values = {"id": job.id, "fence": job.fence, "lease_s": job.kind.lease_s}
                if not await self._db.at_once(_HOLD, values) and worker is not None and not job.ending:
                    job.lost.set()
                    worker.cancel()
                    return

    async def _failed(self, job: Job, error: Exception) -> str:
        reason = _storable(f"{type(error).__name__}: {error}")
        about = {"kind": job.kind.name, "job": job.id, "attempt": job.attempt, "reason": reason}
        if job.fails_with(error):
            log.error("job.failed", **about)
            await self._write(job, _FAILED, error=reason, sure=not job.unsure)
            return "failed"
        known = isinstance(error, (Again, Periodic))
        after_s = error.after_s if isinstance(error, (Again, Periodic)) else None
        wait_s = _back_off_s(job.attempt) if after_s is None else after_s
        tries = 0 if isinstance(error, Periodic) else job.attempt - int(isinstance(error, Again) and not error.counts)
        if isinstance(error, Periodic):
            log.debug("job.repeats", **about, after_s=round(wait_s, 1))
        else:
            log.warning("job.retries", **about, after_s=round(wait_s, 1), exc_info=None if known else error)
        anew = isinstance(error, Periodic)
        values = {"error": reason, "after_s": wait_s, "tries": tries, "anew": anew, "sure": not job.unsure}
        await self._write(job, _AGAIN, **values)
        return "again"

    async def _write(self, job: Job, statement: Any, **values: Any) -> list[Any]:
        """A job whose outcome cannot be written keeps its lease until it runs out, and is then done again."""
        if job.ended:
            return []
        try:
            return await self._db.at_once(statement, {"id": job.id, "fence": job.fence, **values})
        except (SQLAlchemyError, OSError) as error:
            log.warning("job.outcome_lost", job=job.id, error=type(error).__name__)
            return []


def _span(job: Job) -> AbstractContextManager[Any]:
    """A span in the trace of what queued the job, so that a request can be followed to its last effect."""
    context = extract({"traceparent": job.traceparent} if job.traceparent else {})
    return tracer.start_as_current_span(f"job {job.kind.name}", context, kind=trace.SpanKind.CONSUMER)


def _storable(reason: str) -> str:
    """PostgreSQL's text holds neither NUL nor half of a surrogate pair; an outcome that cannot be stored is lost."""
    return reason[:2000].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _back_off_s(attempt: int) -> float:
    return min(_MAX_BACK_OFF_S, 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreading load


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
