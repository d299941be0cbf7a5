"""The claim: fair between organisations, nobody starves, and as quick with 20,000 jobs as with a few."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from shared.database.unit_of_work import Database
from shared.hosting.service import Service
from shared.jobs import Jobs, Work, claiming
from shared.jobs.claiming import CLAIM, LOOK, Claims
from shared.jobs.job import Job
from shared.testing.databases import TestDatabase, connect

MakeService = Callable[..., Awaitable[Service]]

INSERT = """INSERT INTO job (org_id, kind, payload, priority, run_at)
    SELECT :org || n % :orgs, :kind, '{}', n % 3, clock_timestamp() + make_interval(secs => :after_s)
    FROM generate_series(1, :count) AS n"""


class Note(Work):
    kind = "note"


does = Jobs()


@does(Note, attempts=3)
async def note(job: Job, wanted: Note) -> None:
    return None


async def run(service: Service, statement: str, **values: Any) -> list[Any]:
    async with service.db.system_work() as work:
        return list(await work.session.execute(text(statement), values))


class Model:
    """What is due and what runs; ``claimed`` holds each claim against the rules."""

    def __init__(self) -> None:
        self.due: dict[int, tuple[str, int]] = {}
        self.running: dict[int, str] = {}
        self.waits_since: dict[tuple[str, int], int] = {}
        self.served: dict[tuple[str, int], int] = {}
        self.now = 0

    def come(self, job: int, org: str, priority: int) -> None:
        self.due[job] = org, priority
        self.waits_since.setdefault((org, priority), self.now)

    def claimed(self, job: int) -> None:
        self.now += 1
        org, priority = self.due[job]
        assert priority == min(level for _, level in self.due.values())
        busy = Counter(self.running.values())
        for other in {one for one, level in self.due.values() if level == priority} - {org}:
            assert busy[org] <= busy[other]
            passed_over = self.waits_since[other, priority] < self.served.get((org, priority), 0)
            assert busy[org] < busy[other] or not passed_over, "served twice while another one waited"
        del self.due[job]
        self.running[job] = org
        for level in range(3):
            if (org, level) in self.waits_since:
                self.served[org, level] = self.waits_since[org, level] = self.now
        if (org, priority) not in self.due.values():
            del self.waits_since[org, priority]


ORGS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("queue"), ORGS, st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.sampled_from(["claim", "end", "later", "time", "crash"])),
    ),
    max_size=30,
)


@settings(max_examples=40)
@given(steps=STEPS)
async def test_claims_are_fair_and_nothing_starves(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, steps: list[Any]
) -> None:
    monkeypatch.setattr(claiming, "LEASE_S", 86_400)  # on a busy machine an example takes as long as a lease lasts
    service = await make_service(jobs=does)
    try:
        await claims_are_fair(service, steps)
    finally:
        await service.db.close()  # the examples together would take more connections than a server has


async def claims_are_fair(service: Service, steps: list[Any]) -> None:
    await run(service, "DELETE FROM job")
    await run(service, "DELETE FROM job_turn")
    claims, model = Claims(service.db, does), Model()
    later: dict[int, str] = {}
    for step, *more in steps:
        if step == "queue":
            org, priority, count = more
            for _ in range(count):
                model.come(await queue(service, org, priority), org, priority)
        elif step == "later":
            later[await queue(service, "d", 1, "1 hour")] = "d"
        elif step == "time":
            await run(service, "UPDATE job SET run_at = clock_timestamp() WHERE state = 'waiting' AND run_at > now()")
            for job, org in later.items():
                model.come(job, org, 1)
            later.clear()
        elif step == "claim":
            await claim(claims, model)
        elif model.running:
            job, org = next(iter(model.running.items()))
            await end(service, model, job, org, crashed=step == "crash")
    await run(service, "DELETE FROM job WHERE id = ANY(:jobs)", jobs=[*model.running, *later])
    model.running.clear()
    while model.due:
        await claim(claims, model)
        await run(service, "DELETE FROM job WHERE state = 'running'")
        model.running.clear()
    assert (await claims.take(1)).rows == []
    assert await run(service, "SELECT * FROM job_turn") == []


async def queue(service: Service, org: str, priority: int, after: str = "0 s") -> int:
    insert = """INSERT INTO job (org_id, kind, payload, priority, run_at)
        VALUES (:org, 'note', '{}', :priority, clock_timestamp() + CAST(:after AS text)::interval) RETURNING id"""
    return int((await run(service, insert, org=org, priority=priority, after=after))[0].id)


async def claim(claims: Claims, model: Model) -> None:
    rows = (await claims.take(1)).rows
    assert len(rows) == (1 if model.due else 0)
    for row in rows:
        model.claimed(row[1])


async def end(service: Service, model: Model, job: int, org: str, *, crashed: bool) -> None:
    """Done; or its worker died and its lease ran out, at once, and it is due again or failed in its third attempt."""
    del model.running[job]
    if not crashed:
        await run(service, "DELETE FROM job WHERE id = :job", job=job)
        return
    lapse = "UPDATE job SET lease_until = now() - interval '1 s' WHERE id = :job RETURNING attempt, priority"
    (row,) = await run(service, lapse, job=job)
    if row.attempt < 3:
        model.come(job, org, row.priority)


async def cost(db: Database, statement: str, values: dict[str, Any]) -> tuple[int, float]:
    """Pages touched and rows read by all scans of tables when the statement runs; it is rolled back."""
    async with db.system_engine.connect() as connection:
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
        plan = (await connection.execute(explain, values)).scalar_one()
        await connection.rollback()
    whole = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return whole["Shared Hit Blocks"] + whole["Shared Read Blocks"], _read(whole)


def _read(node: dict[str, Any]) -> float:
    gone = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    own = (node["Actual Rows"] + gone) * node["Actual Loops"] if "Relation Name" in node else 0
    return float(own) + sum(_read(child) for child in node.get("Plans", []))


async def fill(service: Service, count: int, orgs: int) -> None:
    """Due now, for later, and of a kind that nobody here does."""
    values = {"org": "o", "orgs": orgs, "kind": "note"}
    await run(service, INSERT, **values, count=count, after_s=-1)
    await run(service, INSERT, **values, count=5000, after_s=3600)
    await run(service, INSERT, **values | {"kind": "of another version"}, count=5000, after_s=-1)


async def test_a_claim_reads_as_much_at_any_backlog(make_service: MakeService, database: TestDatabase) -> None:
    service = await make_service(jobs=does)
    owner = await connect(database.owner_url)
    looks: list[tuple[int, float]] = []
    takes: list[tuple[int, float]] = []
    asked = {"kinds": ["note"], "attempts": [3], "step": 1000}
    for count, orgs in ((3000, 100), (15_000, 100), (30_000, 1000)):
        await fill(service, count, orgs)
        assert len((await Claims(service.db, does).take(8)).rows) == 8
        await run(service, "UPDATE job SET lease_until = NULL, state = 'failed' WHERE state = 'running'")
        await owner.execute("VACUUM job, job_turn")  # as autovacuum does: marked jobs leave dead rows
        looks.append(await cost(service.db, LOOK.text, asked))
        takes.append(await cost(service.db, CLAIM.text, {"kinds": ["note"], "room": 8, "lease_s": 60}))
    await owner.close()
    for few, *more in (looks, takes):
        for many in more:
            # The backlog is ten times as long; how many marked rows a claim passes differs by where its pages begin.
            assert many[1] <= few[1] * 1.5 + 8, "rows"
            assert many[0] <= few[0] * 1.5 + 20, "pages"


async def test_jobs_of_another_version_hold_nothing_up(make_service: MakeService) -> None:
    """As after a roll-back: they stand marked at the front of every line, and nobody here does them."""
    service = await make_service(jobs=does)
    await run(service, INSERT, org="o", orgs=200, kind="of another version", count=600, after_s=-10)
    await run(service, "UPDATE job SET due_as = priority")
    await run(service, "INSERT INTO job_turn (org_id, priority) SELECT DISTINCT org_id, priority FROM job")
    await run(service, INSERT, org="z", orgs=1, kind="note", count=3, after_s=-1)
    claims = Claims(service.db, does)
    assert len((await claims.take(8)).rows) == 3


async def test_a_re_driven_job_is_found_whatever_mark_it_had(make_service: MakeService) -> None:
    """As when it failed after its lease had run out, when another worker had marked it already."""
    service = await make_service(jobs=does)
    insert = (
        "INSERT INTO job (org_id, kind, payload, priority, state, due_as) VALUES ('acme', 'note', '{}', 1, 'failed', 1)"
    )
    await run(service, insert)
    assert await service.runner.redrive() == 1
    assert len((await Claims(service.db, does).take(1)).rows) == 1


async def test_no_claim_goes_on_beside_a_job_that_was_all_there_was(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "LEFT_S", 60.0)  # else a slow machine makes the next claim due meanwhile
    alone, over, count, looks = Jobs(), asyncio.Event(), 0, 0

    @alone(Note)
    async def reads(job: Job, wanted: Note) -> None:
        nonlocal looks
        for _ in range(20):  # each lets the runner's loop go on
            async with job.unit_of_work():
                pass
        looks = count
        over.set()

    service = await make_service(jobs=alone)
    at_once = service.db.at_once

    async def counted(statement: Any, values: Any) -> Any:
        nonlocal count
        count += statement is LOOK
        return await at_once(statement, values)

    monkeypatch.setattr(service.db, "at_once", counted)
    await run(service, INSERT, org="acme", orgs=1, kind="note", after_s=0, count=1)
    worker = asyncio.create_task(service.runner.run())
    await over.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert looks == 1
