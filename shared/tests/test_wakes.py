"""Wakes: what one process commits another one does at once; a wake that is lost costs a poll and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from shared.database import wakes as wakes_module
from shared.database.driver import Driver
from shared.eventing import relay as relay_module
from shared.hosting.service import Service
from shared.jobs import Jobs, Work
from shared.jobs import runner as runner_module
from shared.jobs.job import Job
from shared.testing.databases import connect
from shared.testing.examples import tenant_state
from shared.testing.memory_bus import MemoryBus
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
NEVER_S = 3600.0


class Note(Work):
    kind = "note"


class Pair:
    """Two processes of a service: ``api`` answers requests, ``worker`` does the jobs and publishes."""

    def __init__(self, api: Service, worker: Service, done: list[str]) -> None:
        self.api = api
        self.worker = worker
        self.done = done
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        loops = [self.worker.runner.run(), self.worker.relay.run()]
        loops += [service.db.wakes.listen() for service in (self.api, self.worker)]
        self.tasks = [asyncio.create_task(loop) for loop in loops]
        await until(self.listen)

    async def listen(self) -> bool:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wakes'"
        connection = await connect(self.api.db.url)
        count = await connection.fetchval(
            f"{asked} AND datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'"
        )
        await connection.close()
        return int(count) == 2

    async def commit(self) -> None:
        """A request's transaction, with a job, an event and what somebody waits for."""
        async with self.api.db.unit_of_work("acme") as work:
            work.wake("meeting:1")
            work.queue(Note())
            work.outbox.add(tenant_state())

    async def waits(self) -> bool:
        return bool(self.api.db.wakes._waiting.get("note:1"))

    async def both_done(self) -> bool:
        bus: Any = self.worker.bus
        return len(self.done) == 1 and len(bus.records("tenant.state")) == 1


@pytest.fixture
async def pair(make_service: MakeService) -> AsyncIterator[Pair]:
    does, done = Jobs(), list[str]()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        done.append(job.org_id)

    made = Pair(await make_service(jobs=does), await make_service(jobs=does, bus=MemoryBus()), done)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


def polls(monkeypatch: pytest.MonkeyPatch, every_s: float) -> None:
    monkeypatch.setattr(relay_module, "POLL_S", every_s)
    monkeypatch.setattr(runner_module, "POLL_S", every_s)


async def test_a_worker_does_at_once_what_another_process_commits(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    polls(monkeypatch, NEVER_S)
    await pair.run()
    await pair.commit()
    await until(pair.both_done)


async def test_a_request_hears_of_an_outcome_that_another_process_commits(pair: Pair) -> None:
    async def read() -> int:
        async with pair.api.db.unit_of_work("acme") as work:
            return int((await work.session.execute(text("SELECT count(*) FROM note"))).scalar_one())

    await pair.run()
    asked = pair.api.db.wakes.until("note:1", read, bool, within_s=NEVER_S, every_s=NEVER_S)
    waiting = asyncio.create_task(asked)
    async with pair.worker.db.unit_of_work("acme") as work:
        await work.session.execute(text("INSERT INTO note (org_id, words) VALUES ('acme', 'booked')"))
        await until(pair.waits)
        work.wake("note:1")
    async with asyncio.timeout(60):
        assert await waiting == 1


async def test_a_lost_wake_costs_one_poll(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    polls(monkeypatch, 0.1)
    lost: list[str] = []

    async def lose(_channel: str, payload: str) -> None:
        lost.append(payload)

    monkeypatch.setattr(pair.api.db.wakes, "_notify", lose)
    await pair.run()
    await pair.commit()
    await until(pair.both_done)
    assert [set(payload.split()[1:]) for payload in lost] == [{"meeting:1", "jobs", "outbox"}], "one tells of all"


async def test_a_job_for_later_is_done_when_its_time_comes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner wakes by itself for the earliest time, be it a job's or the end of a dead worker's lease."""
    polls(monkeypatch, NEVER_S)
    await pair.run()
    insert = """INSERT INTO job (org_id, kind, payload, priority, run_at, state, lease_until, attempt) VALUES
        ('later', 'note', '{}', 1, clock_timestamp() + interval '0.3 s', 'waiting', NULL, 0),
        ('leased', 'note', '{}', 1, clock_timestamp(), 'running', clock_timestamp() + interval '0.3 s', 1)"""
    async with pair.api.db.system_work() as work:
        await (await work.session.connection()).exec_driver_sql(insert)
        work.wrote_jobs = True

    async def done() -> bool:
        return sorted(pair.done) == ["later", "leased"]

    await until(done)


async def test_a_request_is_woken_by_the_worker_that_has_its_outcome(pair: Pair) -> None:
    await pair.run()
    with pair.api.db.wakes.waiting("meeting:m1") as woken, pair.api.db.wakes.waiting("meeting:m2") as other:
        woken.clear()
        other.clear()
        pair.worker.db.wakes.tell("meeting:m1")
        await asyncio.wait_for(woken.wait(), 60)
        assert not other.is_set()


async def test_many_commits_are_one_notification_outside_of_transactions(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.run()
    told: list[Any] = []
    asking = Driver.asking

    def noting(driver: Driver, statement: str) -> Any:
        if "pg_notify" in statement:
            told.append(driver.connection.engine)
        return asking(driver, statement)

    monkeypatch.setattr(Driver, "asking", noting)
    for number in range(250):
        pair.api.db.wakes.tell("jobs", f"meeting:{number % 120}")
    await asyncio.wait_for(pair.api.db.wakes._telling or asyncio.sleep(0), 60)
    assert told == [pair.api.db.system_engine] * 2  # 121 names, a hundred in each
    await pair.commit()
    await until(pair.both_done)
    assert set(told) <= {pair.api.db.system_engine, pair.worker.db.system_engine}


async def test_a_listener_that_was_cut_off_hears_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, postgres_url: Any
) -> None:
    monkeypatch.setattr(wakes_module, "POLL_S", 0.02)
    polls(monkeypatch, NEVER_S)
    await pair.run()
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    ours = "FROM pg_stat_activity WHERE application_name = 'wakes' AND datname = $1"
    await admin.execute(f"SELECT pg_terminate_backend(pid) {ours}", make_url(pair.api.db.url).database)
    await admin.close()
    await pair.commit()
    await until(pair.both_done)


@pytest.mark.parametrize("loop", ["relay", "jobs"])
async def test_a_stop_at_the_moment_of_a_wake_is_obeyed(pair: Pair, loop: str) -> None:
    """``asyncio.wait_for`` of Python 3.11 would lose it, and the process would go on until it is killed."""
    runs = {"relay": pair.worker.relay.run, "jobs": pair.worker.runner.run}
    wake = pair.worker.db.on_commit_wake[{"relay": "outbox"}.get(loop, loop)]
    running = asyncio.create_task(runs[loop]())

    async def waits() -> bool:
        return bool(wake._waiters)  # type: ignore[attr-defined]

    await until(waits)
    wake.set()
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert done
