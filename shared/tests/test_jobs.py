"""Jobs: once per intent, fair, fenced, resumed where they stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlmodel import Field, SQLModel

from shared.database.watch import look
from shared.graph.errors import GraphRetry
from shared.hosting.service import Service
from shared.jobs import Again, GiveUp, Jobs, LeaseLost, Periodic, Work
from shared.jobs.claiming import Claims
from shared.jobs.job import Job
from shared.jobs.runner import JobRunner
from shared.problems import ConfigurationError

MakeService = Callable[..., Awaitable[Service]]


class Note(Work):
    kind = "note"
    name: str = ""
    same: str | None = None

    @property
    def key(self) -> str | None:
        return self.same


class NoteRow(SQLModel, table=True):
    __tablename__ = "note"
    org_id: str
    words: str
    n: int | None = Field(default=None, primary_key=True)


class Other(Work):
    kind = "other"


class Keyed(Work):
    keyed_by = ("kind", "name", "at", "same")
    kind = "keyed"
    name: str
    at: datetime
    same: str | None = None


async def queue(service: Service, wanted: Work, *, org_id: str = "acme", **more: Any) -> None:
    async with service.db.unit_of_work(org_id) as work:
        work.queue(wanted, **more)


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
    does = Jobs()
    done: list[str] = []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        done.append(wanted.kind)

    service = await make_service(jobs=does)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the rollback is what is tested
        async with service.db.unit_of_work("acme") as work:
            work.queue(Note())
            raise ZeroDivisionError
    await service.runner.drain()
    assert done == []


async def test_a_dedupe_key_is_one_job_with_the_newest_payload(make_service: MakeService) -> None:
    does = Jobs()
    done: list[Any] = []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        done.append(wanted.name)

    service = await make_service(jobs=does)
    for name in ("first", "second", "newest"):
        await queue(service, Note(name=name, same="m1"))
    await queue(service, Note(name="globex", same="m1"), org_id="globex")
    await service.runner.drain()
    assert sorted(done) == ["globex", "newest"]
    assert await rows(service) == []


async def test_a_flood_of_one_organisation_does_not_starve_another(
    make_service: MakeService,
) -> None:
    does = Jobs()
    order: list[str] = []

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        order.append(wanted.name)

    service = await make_service(jobs=does)
    for n in range(6):
        await queue(service, Note(name=f"flood{n}"))
    await queue(service, Note(name="single"), org_id="globex")
    await queue(service, Note(name="now"), priority="interactive")
    await JobRunner(service.db, does, {}, concurrency=1).drain()
    assert order[0] == "now"
    assert "single" in order[1:3]


async def test_a_failing_job_waits_then_fails_for_good_and_is_kept(make_service: MakeService) -> None:
    does = Jobs()

    @does(Note, attempts=2)
    async def note(job: Job, wanted: Note) -> None:
        raise LookupError("not there")

    service = await make_service(jobs=does)
    await queue(service, Note())
    await service.runner.drain()
    assert (await rows(service))[0][:2] == ("waiting", 1)
    await make_due(service)
    await service.runner.drain()
    assert (await rows(service))[0][:3] == ("failed", 2, "LookupError: not there")


async def test_waiting_for_microsoft_is_not_counted_and_giving_up_is_final(make_service: MakeService) -> None:
    does = Jobs()

    @does(Note, attempts=1)
    async def patient(job: Job, wanted: Note) -> None:
        raise Again("throttled", after_s=60, counts=False)

    @does(Other)
    async def hopeless(job: Job, wanted: Other) -> None:
        raise GiveUp("the meeting is gone")

    service = await make_service(jobs=does)
    await queue(service, Note())
    await queue(service, Other())
    await service.runner.drain()
    assert [row[0] for row in await rows(service)] == ["waiting", "failed"]


@pytest.mark.parametrize(
    ("end", "kept", "state"),
    [
        (Periodic("tomorrow", after_s=60), 0, "waiting"),
        (Again("busy", after_s=60, counts=False), 1, "failed"),
    ],
)
async def test_a_good_run_of_a_periodic_job_resets_its_failures(
    make_service: MakeService, end: Exception, kept: int, state: str
) -> None:
    does = Jobs()
    ends: list[Exception] = [LookupError("no"), end, LookupError("no")]

    @does(Note, attempts=2)
    async def look(job: Job, wanted: Note) -> None:
        raise ends.pop(0)

    service = await make_service(jobs=does)
    await queue(service, Note())
    for _ in range(2):
        await service.runner.drain()
        await make_due(service)
    assert (await rows(service))[0].attempt == kept
    await service.runner.drain()
    assert (await rows(service))[0].state == state


async def test_a_request_makes_a_planned_job_more_urgent_and_never_less(
    make_service: MakeService,
) -> None:
    does = Jobs()
    seen: list[str] = []

    @does(Note)
    async def look(job: Job, wanted: Note) -> None:
        seen.append(job.priority)

    service = await make_service(jobs=does)
    for priority in ("backfill", "interactive", "backfill"):
        await queue(service, Note(same="one"), priority=priority)
    await service.runner.drain()
    assert seen == ["interactive"]


async def test_a_taken_over_job_resumes_and_the_old_worker_cannot_commit(
    make_service: MakeService,
) -> None:
    does = Jobs()
    asleep, wake = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    @does(Note)
    async def transfer(job: Job, wanted: Note) -> None:
        if not job.checkpoint:
            async with job.unit_of_work() as work:
                await work.save_checkpoint({"bytes": 100})
            asleep.set()
            await wake.wait()
            for fenced in (job.reading, job.unit_of_work):
                with pytest.raises(LeaseLost):
                    async with fenced():
                        told.append("committed twice")
                told.append("fenced")
            raise LeaseLost
        told.append(f"resumed at {job.checkpoint['bytes']}")

    service = await make_service(jobs=does)
    await queue(service, Note())
    sleeper = asyncio.create_task(service.runner.drain())
    await asleep.wait()
    await make_due(service, lease_too=True)
    await service.runner.drain()
    wake.set()
    await sleeper
    assert told == ["resumed at 100", "fenced", "fenced"]
    assert await rows(service) == []


@pytest.mark.parametrize("end", [None, Again("later", after_s=3600, counts=False), GiveUp("no")])
async def test_a_request_while_the_job_runs_has_it_done_once_more(
    make_service: MakeService, end: Exception | None
) -> None:
    does = Jobs()
    runs: list[int] = []

    @does(Note)
    async def look(job: Job, wanted: Note) -> None:
        runs.append(job.id)
        if len(runs) == 1:
            await queue(service, Note(same="one"))  # what it is about changed after it was read
            if end is not None:
                raise end

    service = await make_service(jobs=does)
    await queue(service, Note(same="one"))
    await service.runner.drain()
    assert len(runs) == 2
    assert await rows(service) == []


async def test_who_asks_for_a_job_again_does_not_wait_for_its_transaction(make_service: MakeService) -> None:
    """A request asks with what the job is about locked, for which the job's transaction waits: neither would end."""
    does, runs, seen = Jobs(), list[int](), list[list[Any]]()

    @does(Note)
    async def look(job: Job, wanted: Note) -> None:
        runs.append(job.id)
        if len(runs) > 1:
            return
        async with job.unit_of_work(), asyncio.timeout(20):
            await queue(service, Note(same="one"))
            await make_due(service, lease_too=True)  # a renewal does not wait either
            seen.append((await Claims(service.db, does).take(5)).rows)

    service = await make_service(jobs=does)
    await queue(service, Note(same="one"))
    await service.runner.drain()
    assert len(runs) == 2
    assert seen == [[]], "a claim takes no job whose transaction is under way, though its lease ran out"


async def test_retries_that_do_not_count_end_with_the_patience(make_service: MakeService) -> None:
    """As while Graph is away: the job is tried for as long as its kind is patient, then fails and is seen."""
    does = Jobs()

    @does(Note, attempts=1, patience_s=3600)
    async def patient(job: Job, wanted: Note) -> None:
        raise GraphRetry("Graph is away.", after_s=30)

    service = await make_service(jobs=does)
    await queue(service, Note())
    await service.runner.drain()
    assert [row[0] for row in await rows(service)] == ["waiting"]
    async with service.db.system_work() as work:
        await work.session.execute(text("UPDATE job SET tried_since = tried_since - interval '1 hour'"))
    await make_due(service)
    await service.runner.drain()
    assert [row[:3] for row in await rows(service)] == [("failed", 1, "GraphRetry: Graph is away.")]


async def test_a_job_that_kills_its_worker_is_parked_after_its_attempts(make_service: MakeService) -> None:
    does = Jobs()

    @does(Note, attempts=2)
    async def deadly(job: Job, wanted: Note) -> None:
        raise AssertionError("It is never run again.")

    service = await make_service(jobs=does)
    await queue(service, Note())
    async with service.db.system_work() as work:
        ended = "lease_until = clock_timestamp() - interval '1 s'"
        await work.session.execute(text(f"UPDATE job SET state = 'running', attempt = 2, {ended}"))
    await service.runner.drain()
    assert [row[:3] for row in await rows(service)] == [("failed", 2, "The worker died in each of 2 attempts.")]


async def test_an_error_that_postgresql_cannot_store_is_stored_cleaned(make_service: MakeService) -> None:
    does = Jobs()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        raise GiveUp("a\0b\ud800c")

    service = await make_service(jobs=does)
    await queue(service, Note())
    await service.runner.drain()
    assert [row[:3] for row in await rows(service)] == [("failed", 1, "GiveUp: a\ufffdb?c")]


@pytest.mark.parametrize(
    ("payload", "state"),
    [('{"name": "new field", "of_the_next_version": 1}', None), ('{"name": 7}', "failed")],
)
async def test_a_payload_of_another_version_is_read_or_refused(
    make_service: MakeService, payload: str, state: str | None
) -> None:
    does = Jobs()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        assert wanted.name == "new field"

    service = await make_service(jobs=does)
    insert = "INSERT INTO job (org_id, kind, payload, priority) VALUES ('acme', 'note', CAST(:payload AS jsonb), 1)"
    async with service.db.system_work() as work:
        await work.session.execute(text(insert), {"payload": payload})
    await service.runner.drain()
    assert [row[0] for row in await rows(service)] == ([state] if state else [])


async def test_a_raw_query_sees_what_was_changed_as_an_object(make_service: MakeService) -> None:
    service = await make_service()
    async with service.db.unit_of_work("acme") as work:
        work.session.add(NoteRow(org_id="acme", words="changed"))
        found = await work.session.execute(text("SELECT words FROM note"))
        assert found.scalar_one() == "changed"


async def test_a_service_does_not_start_without_a_function_for_what_it_queues(make_service: MakeService) -> None:
    service = await make_service()
    service.hear_graph()
    with pytest.raises(ConfigurationError, match="queues the job ChangeNotification and has no function"):
        await service.start(api=True, worker=False)


async def test_a_kind_that_nobody_does_is_told_to_the_operator(make_service: MakeService) -> None:
    service = await make_service()
    await queue(service, Note())
    with structlog.testing.capture_logs() as logs:
        await look(service.db, set(), done=())
    assert [(line["log_level"], line["kind"]) for line in logs] == [("error", "note")]


def test_the_values_of_the_named_fields_make_the_dedupe_key() -> None:
    assert Keyed(name="m1", at=datetime(2026, 3, 1, 9, tzinfo=UTC)).key == "keyed:m1:2026-03-01T09:00:00+00:00:"
    assert Other().key is None


def test_work_keyed_by_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="meeting_ids"):
        type("Wrong", (Keyed,), {"keyed_by": ("meeting_ids",), "__annotations__": {}})
