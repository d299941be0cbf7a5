"""Two logins: what the request role cannot do, whoever gets it to run a statement of theirs."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from shared.database.unit_of_work import Database, UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import UserState
from shared.hosting.service import Service
from shared.jobs import Jobs, Work
from shared.jobs.job import Job
from shared.problems import ConfigurationError
from shared.testing.databases import TestDatabase, connect
from shared.testing.examples import user_state
from shared.testing.harness import consume
from shared.testing.memory_bus import MemoryBus

MakeService = Callable[..., Awaitable[Service]]
WHO = text("SELECT current_user::text")


class Note(Work):
    kind = "note"


async def written(database: TestDatabase) -> None:
    """A row of each table of two organisations."""
    owner = await connect(database.owner_url)
    for org in ("acme", "globex"):
        await owner.execute("SELECT set_config('app.org_id', $1, false)", org)
        await owner.execute("INSERT INTO note (org_id, words) VALUES ($1, 'words')", org)
        await owner.execute("INSERT INTO job (org_id, kind, payload, priority) VALUES ($1, 'note', '{}', 1)", org)
    await owner.execute(
        "INSERT INTO outbox (event_id, topic, key, headers, payload) VALUES (gen_random_uuid(), 't', 'k', '{}', '{}')"
    )
    await owner.close()


SPELLS = ["SET app.scope = 'system'", "SET app.org_id = ''", "RESET app.org_id", "RESET ROLE"]


@pytest.mark.parametrize("table", ["note", "job"])
async def test_no_setting_shows_the_request_role_more_than_one_organisation(database: TestDatabase, table: str) -> None:
    await written(database)
    connection = await connect(database.request_url)
    for spell in SPELLS:
        await connection.execute("RESET ALL")
        await connection.execute("SET app.org_id = 'acme'")
        await connection.execute(spell)
        orgs = {row["org_id"] for row in await connection.fetch(f"SELECT org_id FROM {table}")}
        assert orgs <= {"acme"}, spell
    await connection.close()


FORBIDDEN = [
    "SELECT * FROM outbox",
    "DELETE FROM outbox",
    "SELECT * FROM outbox_sent",
    "SELECT * FROM parked_record",
    "SELECT * FROM inbox",
    "INSERT INTO inbox (event_id, topic) VALUES ('e', 't')",
    "SELECT * FROM job_turn",
    "UPDATE job SET state = 'failed'",
    "DELETE FROM job",
    "UPDATE job SET fence = 0",
    "UPDATE data_key SET wrapped = ''",
    "DELETE FROM data_key",
]


async def test_what_belongs_to_the_engines_is_refused_to_the_request_role(database: TestDatabase) -> None:
    connection = await connect(database.request_url)
    await connection.execute("SET app.org_id = 'acme'")
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"SET ROLE {connection_role(database.url)}")
    await connection.close()


def connection_role(url: str) -> str:
    return url.split("//")[1].split(":")[0]


async def test_requests_handlers_and_jobs_work_as_the_request_role(
    make_service: MakeService, database: TestDatabase, memory_bus: MemoryBus
) -> None:
    on, does, seen = Handlers(), Jobs(), dict[str, str]()

    @on(UserState)
    async def hear(event: UserState, *, work: UnitOfWork) -> None:
        seen["handler"] = (await work.session.execute(WHO)).scalar_one()
        work.queue(Note())

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        async with job.unit_of_work() as work:
            seen["job"] = (await work.session.execute(WHO)).scalar_one()

    service = await make_service(on, does)
    async with service.db.unit_of_work("acme") as work:
        seen["request"] = (await work.session.execute(WHO)).scalar_one()
        work.outbox.add(user_state())
    await service.relay.drain()
    await consume(service)
    await service.runner.drain()
    assert seen == dict.fromkeys(("request", "handler", "job"), connection_role(database.request_url))


async def test_nobody_else_may_connect_to_a_services_database(database: TestDatabase) -> None:
    owner = await connect(database.owner_url)
    assert not await owner.fetchval("SELECT has_database_privilege('public', current_database(), 'CONNECT')")
    await owner.close()


def urls(database: TestDatabase, **more: str) -> dict[str, Any]:
    return {"url": database.url, "request_url": database.request_url} | more


@pytest.mark.parametrize("which", ["url", "request_url"])
async def test_a_service_that_owns_its_tables_refuses_to_start(database: TestDatabase, which: str) -> None:
    db = Database(**urls(database, **{which: database.owner_url}))
    with pytest.raises(ConfigurationError, match="owns tables"):
        await db.open()
    await db.close()


async def test_a_login_that_cannot_become_the_request_role_is_told(database: TestDatabase) -> None:
    db = Database(**urls(database, url=database.request_url, request_url=database.url))
    with pytest.raises(ConfigurationError, match="is no member"):
        await db.open()
    await db.close()
