"""Jobs: once per intent, fair, fenced, resumed where they stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from shared.jobs import GiveUp, Jobs, Later, LeaseLost, Retry
from shared.jobs.runner import Job, JobRunner
from shared.service import Service

MakeService = Callable[..., Awaitable[Service]]


async def queue(service: Service, kind: str, *, org_id: str = "acme", **more: Any) -> None:
    async with service.db.unit_of_work(org_id) as work:
        work.jobs.add(kind, more.pop("payload", {}), **more)


async def rows(service: Service) -> list[Any]:
    async with service.db.system_work() as work:
        return list(
            await work.session.execute(text("SELECT state, attempt, last_error, checkpoint FROM job ORDER BY id"))
        )


async def make_due(service: Service, lease_too: bool = False) -> None:
    lease = ", lease_until = clock_timestamp() - interval '1 s'" if lease_too else ""
    async with service.db.system_work() as work:
        await work.session.execute(text(f"UPDATE job SET run_at = clock_timestamp(){lease}"))


async def test_a_job_of_a_rolled_back_transaction_never_runs(make_service: MakeService) -> None:
    jobs = Jobs()
    done: list[str] = []

    @jobs.kind("note")
    async def note(job: Job) -> None:
        done.append(job.kind)

    service = await make_service(jobs=jobs)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the rollback is what is tested
        async with service.db.unit_of_work("acme") as work:
            work.jobs.add("note", {})
            raise ZeroDivisionError
    await service.runner.drain()
    assert done == []


async def test_the_same_dedupe_key_is_one_job_while_it_lives(make_service: MakeService) -> None:
    jobs = Jobs()
    done: list[Any] = []

    @jobs.kind("note")
    async def note(job: Job) -> None:
        done.append(job.payload)

    service = await make_service(jobs=jobs)
    for _ in range(3):
        await queue(service, "note", dedupe_key="m1", payload={"n": 1})
    await queue(service, "note", dedupe_key="m1", org_id="globex", payload={"n": 2})
    await service.runner.drain()
    assert sorted(job["n"] for job in done) == [1, 2]
    assert await rows(service) == []


async def test_a_flood_of_one_organisation_does_not_starve_another_and_interactive_goes_first(
    make_service: MakeService,
) -> None:
    jobs = Jobs()
    order: list[str] = []

    @jobs.kind("note")
    async def note(job: Job) -> None:
        order.append(job.payload["name"])

    service = await make_service(jobs=jobs)
    for n in range(6):
        await queue(service, "note", payload={"name": f"flood{n}"})
    await queue(service, "note", org_id="globex", payload={"name": "single"})
    await queue(service, "note", priority="interactive", payload={"name": "now"})
    await JobRunner(service.db, jobs, {}, concurrency=1).drain()
    assert order[0] == "now"
    assert "single" in order[1:3]


async def test_a_failing_job_waits_then_fails_for_good_and_is_kept(make_service: MakeService) -> None:
    jobs = Jobs()

    @jobs.kind("note", attempts=2)
    async def note(job: Job) -> None:
        raise LookupError("not there")

    service = await make_service(jobs=jobs)
    await queue(service, "note")
    await service.runner.drain()
    assert (await rows(service))[0][:2] == ("waiting", 1)
    await make_due(service)
    await service.runner.drain()
    assert (await rows(service))[0][:3] == ("failed", 2, "LookupError: not there")


async def test_waiting_for_microsoft_is_not_counted_and_giving_up_is_final(make_service: MakeService) -> None:
    jobs = Jobs()

    @jobs.kind("patient", attempts=1)
    async def patient(job: Job) -> None:
        raise Retry(after_s=60, reason="throttled", counts=False)

    @jobs.kind("hopeless")
    async def hopeless(job: Job) -> None:
        raise GiveUp("the meeting is gone")

    service = await make_service(jobs=jobs)
    await queue(service, "patient")
    await queue(service, "hopeless")
    await service.runner.drain()
    assert [row[0] for row in await rows(service)] == ["waiting", "failed"]


@pytest.mark.parametrize(
    ("end", "kept", "state"),
    [
        (Later(after_s=60, reason="tomorrow"), 0, "waiting"),
        (Retry(after_s=60, reason="busy", counts=False), 1, "failed"),
    ],
)
async def test_a_good_try_of_a_job_that_goes_on_for_ever_forgets_failures_and_waiting_does_not(
    make_service: MakeService, end: Retry, kept: int, state: str
) -> None:
    jobs = Jobs()
    ends: list[Exception] = [LookupError("no"), end, LookupError("no")]

    @jobs.kind("look", attempts=2)
    async def look(job: Job) -> None:
        raise ends.pop(0)

    service = await make_service(jobs=jobs)
    await queue(service, "look")
    for _ in range(2):
        await service.runner.drain()
        await make_due(service)
    assert (await rows(service))[0].attempt == kept
    await service.runner.drain()
    assert (await rows(service))[0].state == state


async def test_somebody_who_waits_makes_a_planned_job_urgent_and_nobody_makes_it_less(
    make_service: MakeService,
) -> None:
    jobs = Jobs()
    seen: list[str] = []

    @jobs.kind("look")
    async def look(job: Job) -> None:
        seen.append(job.priority)

    service = await make_service(jobs=jobs)
    for priority in ("backfill", "interactive", "backfill"):
        await queue(service, "look", dedupe_key="one", priority=priority)
    await service.runner.drain()
    assert seen == ["interactive"]


async def test_a_taken_over_job_goes_on_from_its_checkpoint_and_the_old_worker_cannot_commit(
    make_service: MakeService,
) -> None:
    jobs = Jobs()
    asleep, wake = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    @jobs.kind("transfer")
    async def transfer(job: Job) -> None:
        if not job.checkpoint:
            await job.checkpoint_now({"bytes": 100})
            asleep.set()
            await wake.wait()
            try:
                async with job.unit_of_work():
                    told.append("committed twice")
            except LeaseLost:
                told.append("fenced")
                raise
        told.append(f"resumed at {job.checkpoint['bytes']}")

    service = await make_service(jobs=jobs)
    await queue(service, "transfer")
    sleeper = asyncio.create_task(service.runner.drain())
    await asleep.wait()
    await make_due(service, lease_too=True)
    await service.runner.drain()
    wake.set()
    await sleeper
    assert told == ["resumed at 100", "fenced"]
    assert await rows(service) == []


@pytest.mark.parametrize("end", [None, Retry(after_s=3600, reason="later", counts=False), GiveUp("no")])
async def test_a_request_while_the_job_runs_has_it_done_once_more(
    make_service: MakeService, end: Exception | None
) -> None:
    jobs = Jobs()
    runs: list[int] = []

    @jobs.kind("look")
    async def look(job: Job) -> None:
        runs.append(job.id)
        if len(runs) == 1:
            await queue(service, "look", dedupe_key="one")  # what it is about changed after it was read
            if end is not None:
                raise end

    service = await make_service(jobs=jobs)
    await queue(service, "look", dedupe_key="one")
    await service.runner.drain()
    assert len(runs) == 2
    assert await rows(service) == []
