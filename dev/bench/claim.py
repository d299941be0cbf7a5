"""B12: one claim with a backlog, due or for later, of many organisations; against a claim of the only job there is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from dev.bench.measuring import Outcome, difference, rounds
from dev.bench.stage import Stage
from shared.database.unit_of_work import Database
from shared.database.work import Work
from shared.jobs import Jobs
from shared.jobs.claiming import Claims
from shared.jobs.job import Job

CLAIMS = 40


@dataclass(frozen=True, slots=True)
class Backlog:
    jobs: int
    organisations: int
    due: bool

    def __str__(self) -> str:
        return f"{self.jobs:,} {'due' if self.due else 'for later'}, {self.organisations:,} org."


BACKLOGS = [
    Backlog(1_000, 10, due=True),
    Backlog(10_000, 1_000, due=True),
    Backlog(100_000, 1_000, due=True),
    Backlog(100_000, 10_000, due=True),
    Backlog(100_000, 1_000, due=False),
]
_FILL = text(
    """INSERT INTO job (org_id, kind, payload, priority, run_at)
       SELECT 'o' || n % :organisations, 'bench_nothing', '{}', 1 + n % 2,
              clock_timestamp() + make_interval(hours => CAST(:later AS int))
       FROM generate_series(1, :jobs) n"""
)
_ONE = text("INSERT INTO job (org_id, kind, payload, priority) VALUES ('mine', 'bench_nothing', '{}', 1)")
_GONE = text("DELETE FROM job WHERE id = ANY(:ids)")
_EMPTY = "TRUNCATE job, job_turn"


class Nothing(Work):
    kind = "bench_nothing"


async def _nothing(_job: Job, _wanted: Nothing) -> None:
    """Never run: the benchmark claims only."""


async def measure(stage: Stage, count: int) -> list[Outcome]:
    return [await _of(stage, backlog, count) for backlog in BACKLOGS]


async def _of(stage: Stage, backlog: Backlog, count: int) -> Outcome:
    """Both in one database server; the peer's database is empty but for the job that is claimed."""
    name = f"B12 claim, {backlog}"
    outcome = Outcome(name, "ms", "ours - empty table, ms", 1.0, difference, lower_is_better=True)
    another = await stage.another()
    full, empty = stage.database(), stage.database(another)
    registry = Jobs()
    registry(Nothing)(_nothing)
    await _empty(stage, stage.owner_url, another.owner_url)
    values = {"organisations": backlog.organisations, "jobs": backlog.jobs, "later": 0 if backlog.due else 1}
    await full.at_once(_FILL, values)
    try:
        return await rounds(
            outcome,
            lambda: _claims(full, registry, add=not backlog.due),
            lambda: _claims(empty, registry, add=True),
            count,
        )
    finally:
        await _empty(stage, stage.owner_url)
        await full.close()
        await empty.close()


async def _claims(db: Database, registry: Jobs, *, add: bool) -> float:
    """Milliseconds of a claim, the look with it. What was claimed is deleted, so that the next finds the same."""
    claims, spent = Claims(db, registry), 0.0
    for _ in range(CLAIMS):
        if add:
            await db.at_once(_ONE, {})
        begun = time.perf_counter()
        claimed = await claims.take(1)
        spent += time.perf_counter() - begun
        assert len(claimed.rows) == 1
        await db.at_once(_GONE, {"ids": _ids(claimed.rows)})
    return spent / CLAIMS * 1000


def _ids(rows: Sequence[Any]) -> list[int]:
    return [row[1] for row in rows]


async def _empty(stage: Stage, *owner_urls: str) -> None:
    """The service's role may not."""
    for url in owner_urls:
        connection = await stage.connect(url)
        await connection.execute(_EMPTY)
        await connection.close()
