"""What a caller, the log and the engines' rows are told when the database refuses a statement."""

import io
import traceback
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.database.outbox import Row, uuid7
from shared.database.unit_of_work import is_outage
from shared.jobs import Jobs, Work
from shared.telemetry import set_up_logs
from shared.testing.databases import TestDatabase, connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.pools import keep_no_pools

from .conftest import MakeService

PRIVATE = "anna@contoso.example"


class Write(Work):
    kind = "write"


async def refuse(database: TestDatabase, sqlstate: str, table: str = "note", column: str = "words") -> None:
    """Every row is refused from now on, as by a server that shuts down or by a constraint."""
    owner = await connect(database.owner_url)
    await owner.execute(
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE 'refused' USING ERRCODE = '{sqlstate}', DETAIL = 'Key (x)=(' || NEW.{column} || ')'; END $$"""
    )
    await owner.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
    await owner.close()


@pytest.mark.parametrize(
    ("sqlstate", "status", "code"), [("57P01", 503, "database_away"), ("23505", 500, "unexpected")]
)
async def test_an_outage_is_a_503_and_nothing_that_was_written_is_logged(
    http: httpx.AsyncClient,
    database: TestDatabase,
    platform_keys: PlatformKeys,
    sqlstate: str,
    status: int,
    code: str,
) -> None:
    await refuse(database, sqlstate)
    set_up_logs("DEBUG", said := io.StringIO())
    answer = await http.post(
        "/v1/notes", json={"words": PRIVATE}, headers={"Authorization": f"Bearer {platform_keys.token()}"}
    )
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("5" if code == "database_away" else None)
    assert problem["request_id"] in said.getvalue()
    assert "INSERT INTO note" in said.getvalue()
    assert PRIVATE not in said.getvalue() + answer.text


@pytest.mark.parametrize("harm", ["57P01", "23505", "killed", "closed", "unsendable"])
@pytest.mark.parametrize("many", [1, 2])
async def test_an_event_that_is_refused_is_told_as_any_statement_is(
    make_service: MakeService, database: TestDatabase, harm: str, many: int
) -> None:
    db = (await make_service()).db
    keep_no_pools(db)
    if harm in {"57P01", "23505"}:
        await refuse(database, harm, "outbox", "key")

    async def publish() -> None:
        async with db.unit_of_work("acme") as work:
            if harm == "killed":
                pid = (await work.session.execute(text("SELECT pg_backend_pid()"))).scalar()
                await db.at_once(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            if harm == "closed":
                await work.session.sync_session.connection().connection.driver_connection.close()
            key = f"{PRIVATE}\ud800" if harm == "unsendable" else PRIVATE
            work.outbox.rows += [Row(uuid7(), "user.state", key, "{}", b"x")] * many

    with pytest.raises(DBAPIError) as refused:
        await publish()
    assert is_outage(refused.value) == (harm in {"57P01", "killed", "closed"})
    assert PRIVATE not in "".join(traceback.format_exception(refused.value))
    assert harm != "closed" or "closed" in str(refused.value)
    assert not hasattr(refused.value.orig, "detail") or not refused.value.orig.detail


async def test_a_jobs_error_names_no_value(make_service: MakeService, database: TestDatabase) -> None:
    does = Jobs()

    @does(Write, attempts=1)
    async def write(job: Any, wanted: Write) -> None:
        async with job.unit_of_work() as work:
            await work.session.execute(
                text("INSERT INTO note (org_id, words) VALUES (:org_id, :words)"), {"org_id": "acme", "words": PRIVATE}
            )

    service = await make_service(None, does)
    await refuse(database, "23505")
    async with service.db.unit_of_work("acme") as work:
        work.queue(Write())
    await service.runner.drain()
    async with service.db.system_work() as work:
        (reason,) = (await work.session.execute(text("SELECT last_error FROM job"))).scalars()
    assert "refused" in reason
    assert PRIVATE not in reason
