"""A worker that stops lets its jobs end, stop at a checkpoint or go on elsewhere at once; failed ones are re-driven."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from shared.hosting.service import Service
from shared.jobs import GiveUp, Jobs, Work
from shared.jobs import runner as runner_module
from shared.jobs.job import Job

MakeService = Callable[..., Awaitable[Service]]


class Note(Work):
    kind = "note"

    @property
    def key(self) -> str:
        return "m1"


async def queue(service: Service) -> None:
    async with service.db.unit_of_work("acme") as work:
        work.queue(Note())


async def rows(service: Service) -> list[Any]:
    async with service.db.system_work() as work:
        return list(await work.session.execute(text("SELECT state, attempt, lease_until FROM job ORDER BY id")))


async def stop(worker: "asyncio.Task[None]") -> None:
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_another_worker_goes_on_at_once_with_a_released_job(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STOP_S", 0.1)
    does, started, finish = Jobs(), asyncio.Event(), asyncio.Event()

    @does(Note)
    async def transfer(job: Job, wanted: Note) -> None:
        started.set()
        await finish.wait()

    service = await make_service(jobs=does)
    await queue(service)
    worker = asyncio.create_task(service.runner.run())
    await started.wait()
    await stop(worker)
    assert await rows(service) == [("waiting", 0, None)]
    finish.set()
    await service.runner.drain()
    assert await rows(service) == []


async def test_a_job_stops_at_its_checkpoint_and_goes_on_from_there(make_service: MakeService) -> None:
    does, started, stopping = Jobs(), asyncio.Event(), asyncio.Event()
    chunks: list[int] = []
    leased: list[Job] = []

    @does(Note)
    async def transfer(job: Job, wanted: Note) -> None:
        leased.append(job)
        for chunk in range(job.checkpoint.get("chunk", 0), 3):
            chunks.append(chunk)
            started.set()
            await stopping.wait()
            async with job.unit_of_work() as work:
                await work.save_checkpoint({"chunk": chunk + 1})

    service = await make_service(jobs=does)
    await queue(service)
    worker = asyncio.create_task(service.runner.run())
    await started.wait()
    ending = asyncio.create_task(stop(worker))
    await leased[0].stopping.wait()
    stopping.set()
    await ending
    assert chunks == [0]
    assert await rows(service) == [("waiting", 0, None)]
    await service.runner.drain()
    assert chunks == [0, 1, 2]


async def test_a_short_job_ends_before_its_worker_does(make_service: MakeService) -> None:
    does, started, finish = Jobs(), asyncio.Event(), asyncio.Event()
    leased: list[Job] = []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        leased.append(job)
        started.set()
        await finish.wait()

    service = await make_service(jobs=does)
    await queue(service)
    worker = asyncio.create_task(service.runner.run())
    await started.wait()
    ending = asyncio.create_task(stop(worker))
    await leased[0].stopping.wait()
    finish.set()
    await ending
    assert await rows(service) == []


async def test_failed_jobs_are_re_driven_but_not_beside_a_living_one(
    make_service: MakeService,
) -> None:
    does, broken = Jobs(), [True]
    done: list[int] = []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        if broken:
            raise GiveUp("no such meeting")
        done.append(job.attempt)

    service = await make_service(jobs=does)
    for _ in range(2):
        await queue(service)
        await service.runner.drain()
    assert await service.runner.redrive("another kind") == 0
    broken.clear()
    assert await service.runner.redrive("m1") == 1
    assert await service.runner.redrive() == 0
    await service.runner.drain()
    assert done == [1]
