"""A job may end with its own last transaction, and knows what an earlier run left open. Reading locks nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.hosting.service import Service
from shared.jobs import Again, GiveUp, Jobs, LeaseLost, Periodic, Work
from shared.jobs import runner as runner_module
from shared.jobs.job import Job
from shared.jobs.runner import JobRunner
from shared.testing.statements import statements_of

MakeService = Callable[..., Awaitable[Service]]


class Note(Work):
    kind = "note"

    @property
    def key(self) -> str:
        return "m1"


async def queue(service: Service) -> None:
    async with service.db.unit_of_work("acme") as work:
        work.queue(Note())


async def states(service: Service) -> list[str]:
    async with service.db.system_work() as work:
        return [row.state for row in await work.session.execute(text("SELECT state FROM job ORDER BY id"))]


async def hurry(service: Service) -> None:
    """Every job is due and every worker counts as dead."""
    past = "run_at = clock_timestamp(), lease_until = CASE state WHEN 'running' THEN clock_timestamp() END"
    async with service.db.system_work() as work:
        await work.session.execute(text(f"UPDATE job SET {past}"))


async def test_a_job_that_ended_with_its_transaction_has_no_outcome_to_write(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = Jobs()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        async with job.unit_of_work() as work:
            await work.end_job()
        raise ZeroDivisionError  # what a finished job does after its end changes nothing

    service = await make_service(jobs=does)
    await queue(service)

    sent = statements_of(service.db, monkeypatch)
    await service.runner.drain()
    assert await states(service) == []
    assert [statement for statement in sent if "sure_to" in statement and "busy AS" not in statement] == []


async def test_a_job_whose_last_transaction_rolls_back_is_not_ended(make_service: MakeService) -> None:
    does, runs = Jobs(), []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        runs.append(job.fence)
        async with job.unit_of_work() as work:
            await work.end_job()
            if len(runs) == 1:
                raise Again("not yet", after_s=0)

    service = await make_service(jobs=does)
    await queue(service)
    await service.runner.drain()
    assert (runs, await states(service)) == ([1, 2], [])


async def test_a_request_before_the_last_transaction_has_the_job_done_again(make_service: MakeService) -> None:
    does, runs = Jobs(), []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        runs.append((job.fence, job.unsure))
        if len(runs) == 1:
            await queue(service)
        async with job.unit_of_work() as work:
            await work.end_job()

    service = await make_service(jobs=does)
    await queue(service)
    await service.runner.drain()
    assert (runs, await states(service)) == ([(1, False), (2, False)], [])


async def test_a_request_that_commits_while_the_job_ends_has_it_done_again(make_service: MakeService) -> None:
    """The end waits for the row, which the request holds; nobody waits for a lease to run out."""
    does, runs, asked = Jobs(), [], asyncio.Event()
    locked = "wait_event_type = 'Lock' AND query LIKE '%DELETE FROM job WHERE%' AND pid <> pg_backend_pid()"
    ending = f"SELECT count(*) FROM pg_stat_activity WHERE {locked}"

    async def ask() -> None:
        async with service.db.unit_of_work("acme") as work:
            work.queue(Note())
            await work.write_jobs()
            asked.set()
            while not (await service.db.at_once(text(ending), {}))[0][0]:
                pass

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        runs.append(job.fence)
        if len(runs) == 1:
            asking.append(asyncio.create_task(ask()))
            await asked.wait()

    asking: list[asyncio.Task[None]] = []
    service = await make_service(jobs=does)
    await queue(service)
    await service.runner.drain()
    await asking[0]
    await service.runner.drain()
    assert (runs, await states(service)) == ([1, 2], [])


async def test_a_lease_renewed_while_the_job_ends_is_no_lease_lost(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal waits for the row that the last transaction deletes, and then finds none."""
    monkeypatch.setattr(runner_module, "LEASE_S", 0.03)
    does, told = Jobs(), []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        renewing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%RETURNING id'"
        async with job.unit_of_work() as work:
            await work.end_job()
            while not (await service.db.at_once(text(renewing), {}))[0][0]:  # as the login whose question it is
                pass
        for _ in range(3):
            async with service.db.system_work() as work:  # the answer to the renewal has come by then
                await work.session.execute(text("SELECT 1"))
        told.append("to its end")

    service = await make_service(jobs=does)
    await queue(service)
    await service.runner.drain()
    assert told == ["to its end"]


@pytest.mark.parametrize(
    ("end", "asked", "unsure"),
    [
        ("dies", False, True),
        ("is stopped", False, False),
        ("is stopped", True, True),
        (Again("busy", after_s=0), False, False),
        (Again("the answer was lost", after_s=0), True, True),
        (Periodic("later", after_s=0), True, True),
        (GiveUp("no"), False, False),
        (GiveUp("no"), True, True),
    ],
)
async def test_a_run_knows_whether_one_before_it_left_something_open(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, end: Any, asked: bool, unsure: bool
) -> None:
    monkeypatch.setattr(runner_module, "STOP_S", 0.0)
    does, found = Jobs(), []
    begun, wake = asyncio.Event(), asyncio.Event()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        found.append(job.unsure)
        if len(found) > 1:
            return
        job.unsure = asked
        if isinstance(end, Exception):
            raise end
        begun.set()
        await wake.wait()

    service = await make_service(jobs=does)
    await queue(service)
    worker = JobRunner(service.db, does, {})
    first = asyncio.create_task(worker.run() if end == "is stopped" else worker.drain())
    if isinstance(end, Exception):
        await first
        await service.runner.redrive()
    else:
        await begun.wait()
    if end == "is stopped":
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await hurry(service)
    await service.runner.drain()
    wake.set()
    await asyncio.gather(first, return_exceptions=True)
    assert found == [False, unsure]
    assert await states(service) == []


async def test_what_only_reads_cannot_write_and_locks_nothing(make_service: MakeService) -> None:
    does = Jobs()
    found: list[Any] = []

    @does(Note)
    async def reads(job: Job, wanted: Note) -> None:
        async with job.reading() as work:
            found.extend((await work.session.execute(text("SELECT pg_current_xact_id_if_assigned()"))).scalars())
        with pytest.raises(DBAPIError, match="read-only transaction"):
            async with job.reading() as work:
                await work.session.execute(text("INSERT INTO note (org_id, words) VALUES ('acme', 'lost')"))
        async with service.db.system_work() as other:
            await other.session.execute(text("UPDATE job SET fence = fence + 1"))
        with pytest.raises(LeaseLost):
            async with job.reading():
                found.append("read for another worker's job")
        found.append("done")

    service = await make_service(jobs=does)
    await queue(service)
    await service.runner.drain()
    assert found == [None, "done"]
