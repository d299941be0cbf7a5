"""Pods of the version with two roles go on while the database is given its third, and work beside this one's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.database.row_security import rights, role_of
from shared.events import UserState
from shared.hosting.service import Service
from shared.jobs import Jobs, Work
from shared.jobs.job import Job
from shared.testing.databases import TestDatabase, connect
from shared.testing.examples import user_state
from shared.testing.memory_bus import MemoryBus

MakeService = Callable[..., Awaitable[Service]]
BEFORE = "org_id = current_setting('app.org_id', true) OR current_setting('app.scope', true) = 'system'"
EVENT = "INSERT INTO outbox (event_id, topic, key, headers, payload) VALUES (gen_random_uuid(), 't', 'k', '{}', '{}')"
JOB = "INSERT INTO job (org_id, kind, payload, priority) VALUES ('acme', 'note', '{}', 1)"
DID = [
    ("acme", "INSERT INTO note (org_id, words) VALUES ('acme', 'of before')"),
    ("acme", "INSERT INTO inbox (event_id, topic) VALUES (gen_random_uuid()::text, 't')"),
    ("acme", EVENT),
    ("acme", JOB),
    ("acme", "SELECT id FROM job WHERE state = 'waiting' FOR UPDATE"),
    ("acme", "DELETE FROM job"),
    ("", "SELECT * FROM outbox FOR UPDATE SKIP LOCKED"),
    ("", "DELETE FROM outbox"),
    ("", "DELETE FROM outbox_sent"),
    ("", "UPDATE job SET state = 'waiting', due_as = NULL"),
    ("", "SELECT * FROM job_turn FOR UPDATE"),
    ("", "DELETE FROM parked_record"),
    ("", "DELETE FROM data_key"),
]
"""The organisation of the transaction, empty over all, and what a pod of before does in it: as one login."""


class Note(Work):
    kind = "note"


class Former:
    """A pod of the version with two roles: a setting lifted row-level security."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @asynccontextmanager
    async def of(self, org: str) -> AsyncIterator[Any]:
        async with self._connection.transaction():
            name, value = ("app.org_id", org) if org else ("app.scope", "system")
            await self._connection.execute("SELECT set_config($1, $2, true)", name, value)
            yield self._connection

    async def works(self) -> None:
        for org, statement in DID:
            async with self.of(org) as connection:
                await connection.execute(statement)

    async def orgs(self, org: str) -> set[str]:
        async with self.of(org) as connection:
            return {row["org_id"] for row in await connection.fetch("SELECT org_id FROM note")}


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[Any]:
    connection = await connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def former(database: TestDatabase, owner: Any) -> AsyncIterator[Former]:
    """It works on a database as its version made it, with a row of two organisations."""
    for row in await owner.fetch("SELECT tablename FROM pg_policies WHERE policyname = 'organisation'"):
        await owner.execute(f"ALTER POLICY organisation ON {row['tablename']} USING ({BEFORE})")
        await owner.execute(f"DROP POLICY engines ON {row['tablename']}")
    request = role_of(database.request_url)
    for kind in ("TABLES", "SEQUENCES"):
        await owner.execute(f"REVOKE ALL ON ALL {kind} IN SCHEMA public FROM {request}")
    await owner.execute(f"REVOKE CONNECT ON DATABASE {database.url.rsplit('/', 1)[1].partition('?')[0]} FROM {request}")
    for org in ("acme", "globex"):
        await owner.execute("SELECT set_config('app.org_id', $1, false)", org)
        await owner.execute("INSERT INTO note (org_id, words) VALUES ($1, 'before')", org)
    connection = await connect(database.url)
    yield Former(connection)
    await connection.close()


async def migrated(database: TestDatabase, owner: Any) -> None:
    for statement in rights(role_of(database.url), role_of(database.request_url)):
        await owner.execute(statement)


async def test_a_pod_of_before_does_all_it_did_on_the_database_of_now(
    database: TestDatabase, owner: Any, former: Former
) -> None:
    for _ in range(2):
        await former.works()
        assert (await former.orgs(""), await former.orgs("acme")) == ({"acme", "globex"}, {"acme"})
        await migrated(database, owner)


async def test_pods_of_before_and_of_now_do_each_others_work(
    database: TestDatabase, owner: Any, former: Former, make_service: MakeService, memory_bus: MemoryBus
) -> None:
    does, done = Jobs(), list[str]()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        async with job.unit_of_work() as work:
            done.append(work.org_id)
            await work.end_job()

    await migrated(database, owner)
    async with former.of("acme") as connection:
        await connection.execute(JOB)
        await connection.execute(EVENT)
    service = await make_service(jobs=does)
    await service.runner.drain()
    await service.relay.drain()
    assert (done, len(memory_bus.records("t"))) == (["acme"], 1)
    async with service.db.unit_of_work("globex") as work:
        work.outbox.add(user_state())
        work.queue(Note())
    async with former.of("") as connection:
        assert await connection.fetchval("SELECT topic FROM outbox") == UserState.topic
        assert await connection.fetchval("UPDATE job SET state = 'running' RETURNING org_id") == "globex"
