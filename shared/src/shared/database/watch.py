"""Gauges of what waits in a service's database, read regularly while metrics are on."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared import metrics
from shared.database.unit_of_work import Database

log = structlog.get_logger(__name__)

EVERY_S = 15
Gauging = Callable[[Database], Awaitable[None]]
"""Sets gauges of a service's own tables."""
_LOOK = text(
    """SELECT (SELECT count(*) FROM outbox) AS pending,
              coalesce(extract(epoch FROM now() - (SELECT min(created_at) FROM outbox)), 0)::float8 AS age_s,
              (SELECT count(*) FROM parked_record) AS parked, kind, kept, failed, due, waited_s
       FROM (SELECT) AS one LEFT JOIN
           (SELECT kind, count(*) AS kept, count(*) FILTER (WHERE state = 'failed') AS failed,
                   count(*) FILTER (WHERE state = 'running'
                                       OR (state = 'waiting' AND run_at <= clock_timestamp())) AS due,
                   coalesce(max(extract(epoch FROM clock_timestamp() - run_at))
                                FILTER (WHERE state = 'waiting' AND run_at <= clock_timestamp()), 0)::float8 AS waited_s
            FROM job GROUP BY kind) AS jobs ON true"""
)


def by_status(table: str, gauge: Any) -> Gauging:
    """Sets ``gauge`` to the number of the table's rows of each ``status``, over all organisations."""
    look = text(f"SELECT status, count(*) AS rows FROM {table} GROUP BY status")
    known: set[str] = set()

    async def count(db: Database) -> None:
        async with db.system_work() as work:
            counts = {row.status: row.rows for row in await work.session.execute(look)}
        known.update(counts)
        for status in known:  # one that nobody has any more goes back to zero
            gauge.set(counts.get(status, 0), {"status": status})

    return count


async def watch(db: Database, done: Collection[str], more: Sequence[Gauging] = ()) -> None:
    """Set the gauges until cancelled; a database that does not answer leaves them as they are.

    ``done`` are the kinds of jobs that the service does.
    """
    known: set[str] = set()
    while True:
        try:
            await look(db, known, done)
            for gauging in more:
                await gauging(db)
        except (SQLAlchemyError, OSError) as error:
            log.warning("gauges.not_read", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def look(db: Database, known: set[str], done: Collection[str]) -> None:
    """Set the gauges once; ``known`` are the kinds of jobs seen before, and becomes those seen now too."""
    async with db.system_work() as work:  # not as an engine: it counts, so it reads all of the table
        rows = (await work.session.execute(_LOOK)).all()
    jobs: dict[str, Any] = {row.kind: row for row in rows if row.kind is not None}
    metrics.outbox_pending.set(rows[0].pending)
    metrics.outbox_oldest_age.set(rows[0].age_s)
    metrics.records_parked.set(rows[0].parked)
    for kind in set(jobs) - known - set(done):
        log.error("job.kind_unknown", kind=kind)
    known |= set(jobs)
    for kind in known:  # a kind whose last job ended goes back to zero
        metrics.jobs_due.set(jobs[kind].due if kind in jobs else 0, {"kind": kind})
        metrics.jobs_oldest_due.set(jobs[kind].waited_s if kind in jobs else 0, {"kind": kind})
        metrics.jobs_failed.set(jobs[kind].failed if kind in jobs else 0, {"kind": kind})
    metrics.jobs_unknown.set(sum(row.kept for kind, row in jobs.items() if kind not in done))
