"""The audit trail: what Org Admins read, what the database refuses to change, and how long it is kept."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from shared import audit
from shared.erasure import AUDIT, Holdings
from shared.migrate import protect
from shared.outbox import uuid7
from shared.retention import prune_audit
from shared.service import Service
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings, PlatformKeys, TestDatabase, connect

from .conftest import ClientOf, MakeService, _Plain

TABLE = """CREATE TABLE audit (
    org_id text NOT NULL, id uuid NOT NULL, occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, action text NOT NULL, outcome text NOT NULL, details jsonb NOT NULL,
    PRIMARY KEY (org_id, id))"""
PSEUDONYM = "erased:0123456789ab"
DETAILS = f'{{"erased": "{PSEUDONYM}"}}'
ALLOWED = f"UPDATE audit SET actor = '{PSEUDONYM}', details = '{DETAILS}' WHERE actor = 'anna'"


@pytest.fixture
async def service(make_service: MakeService, database: TestDatabase) -> Service:
    service = await make_service()
    service.hold(Holdings((AUDIT,), audit_path="/v1/notes/audit"))
    op = _Plain()
    protect(op, "audit")
    role = database.url.split("//")[1].split(":")[0]
    owner = await connect(database.owner_url)
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON audit TO {role}"
    for statement in (TABLE, *op.statements, grant, audit.AFTER_MIGRATIONS, audit.AFTER_MIGRATIONS):
        await owner.execute(statement)
    await owner.close()
    return service


@pytest.fixture
async def http(service: Service, client_of: ClientOf) -> httpx.AsyncClient:
    return await client_of(service)


async def add(service: Service, actor: str, action: str = "sign_in", *, org: str = "acme", days_old: float = 0) -> None:
    values = {"org_id": org, "id": uuid7(), "actor": actor, "action": action, "days": days_old}
    async with service.db.unit_of_work(org) as work:
        await work.session.execute(
            text(
                """INSERT INTO audit (org_id, id, occurred_at, actor, action, outcome, details)
                   VALUES (:org_id, CAST(:id AS uuid), clock_timestamp() - CAST(:days AS float) * interval '1 day',
                           :actor, :action, 'done', '{"a": 1}')"""
            ),
            values,
        )


async def actors(service: Service) -> list[str]:
    async with service.db.system_work() as work:
        return list((await work.session.execute(text("SELECT actor FROM audit ORDER BY id"))).scalars())


async def read(http: httpx.AsyncClient, keys: PlatformKeys, **query: Any) -> Any:
    roles = query.pop("roles", ("org_admin",))
    headers = {"Authorization": f"Bearer {keys.token('acme', 'boss', roles)}"}
    return await http.get(query.pop("at", "/v1/audit"), params=query, headers=headers)


async def test_an_org_admin_reads_the_trail_in_pages_newest_first(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    for actor in ("one", "two", "three", "four", "five"):
        await add(service, actor)
    await add(service, "stranger", org="globex")
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await read(http, platform_keys, **query)).json()
        seen.append([line["actor"] for line in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [["five", "four"], ["three", "two"], ["one"]]
    assert (await read(http, platform_keys)).json() == (await read(http, platform_keys, at="/v1/notes/audit")).json()


async def test_the_trail_is_filtered_by_who_and_by_what(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    for actor, action in (("anna", "sign_in"), ("ben", "sign_in"), ("anna", "disconnect")):
        await add(service, actor, action)
    by_anna = (await read(http, platform_keys, actor="anna")).json()["items"]
    sign_ins = (await read(http, platform_keys, action="sign_in")).json()["items"]
    both = (await read(http, platform_keys, actor="anna", action="sign_in")).json()["items"]
    assert [line["action"] for line in by_anna] == ["disconnect", "sign_in"]
    assert [line["actor"] for line in sign_ins] == ["ben", "anna"]
    assert [(line["actor"], line["details"]) for line in both] == [("anna", {"a": 1})]


async def test_who_is_no_org_admin_reads_nothing(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    await add(service, "anna")
    refused = await read(http, platform_keys, roles=())
    assert (refused.status_code, refused.json()["code"]) == (403, "org_admin_required")
    assert (await http.get("/v1/audit")).status_code == 401


SENSELESS = [{"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"actor": "a\0"}, {"action": "x" * 201}]


async def test_a_query_that_makes_no_sense_is_refused(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    answers = [(await read(http, platform_keys, **query)).status_code for query in SENSELESS]
    assert answers == [422] * len(SENSELESS)


ERASING = "SET app.audit_erasing = 'on'"
REFUSED = [
    ("UPDATE audit SET outcome = 'refused'",),
    ("DELETE FROM audit",),
    ("TRUNCATE audit",),
    (ALLOWED,),  # without saying that this is an erasure
    (ERASING, "DELETE FROM audit"),
    (ERASING, "TRUNCATE audit"),
    (ERASING, ALLOWED.replace("SET", "SET outcome = 'refused',")),
    (ERASING, ALLOWED.replace("SET", "SET action = 'x',")),
    (ERASING, ALLOWED.replace("SET", "SET occurred_at = now(),")),
    (ERASING, ALLOWED.replace("SET", "SET org_id = 'globex',")),
    (ERASING, ALLOWED.replace(PSEUDONYM, "ben", 1)),
    (ERASING, "UPDATE audit SET details = '{}'"),
    (ERASING, ALLOWED.replace('"}', '", "more": 1}')),
    ("SET app.audit_keep_days = '29'", "DELETE FROM audit WHERE actor = 'old'"),  # 29.5 days old
    ("SET app.audit_keep_days = '730'", "DELETE FROM audit WHERE actor = 'old'"),
    ("SET app.audit_keep_days = '730'", "UPDATE audit SET actor = 'x' WHERE actor = 'ancient'"),
    ("SET app.audit_keep_days = '-1'", "DELETE FROM audit WHERE actor = 'anna'"),
]


@pytest.mark.parametrize("role", ["owner", "service"])
async def test_the_database_refuses_to_change_the_trail(service: Service, database: TestDatabase, role: str) -> None:
    await add(service, "anna")
    await add(service, "old", days_old=29.5)
    await add(service, "ancient", days_old=731)
    connection = await connect(database.owner_url if role == "owner" else database.url)
    for statements in REFUSED:
        await connection.execute("RESET ALL")
        await connection.execute("SET app.scope = 'system'")
        for statement in statements[:-1]:
            await connection.execute(statement)
        with pytest.raises(asyncpg.PostgresError, match="only ever added to"):
            await connection.execute(statements[-1])
    await connection.close()
    assert await actors(service) == ["anna", "old", "ancient"]


async def test_an_erasure_may_put_a_pseudonym_in_the_place_of_a_person(
    service: Service, database: TestDatabase
) -> None:
    await add(service, "anna")
    connection = await connect(database.url)
    await connection.execute("SET app.scope = 'system'")
    await connection.execute("SET app.audit_erasing = 'on'")
    await connection.execute(ALLOWED)
    await connection.close()
    assert await actors(service) == [PSEUDONYM]


async def test_only_lines_older_than_they_must_be_kept_are_deleted(service: Service) -> None:
    for days, org in ((0, "acme"), (729, "acme"), (731, "acme"), (731, "globex"), (2000, "acme")):
        await add(service, f"{days}", org=org, days_old=days)
    assert await prune_audit(service.db, 730) == 3
    assert await actors(service) == ["0", "729"]
    assert await prune_audit(service.db, 730) == 0


async def test_a_running_worker_prunes_the_trail(service: Service) -> None:
    await add(service, "ancient", days_old=731)
    await add(service, "young")
    await service.start(api=False, worker=True)
    async with asyncio.timeout(30):
        while len(await actors(service)) > 1:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)
    assert await actors(service) == ["young"]


def test_a_trail_cannot_be_kept_for_less_than_thirty_days(make_settings: MakeSettings) -> None:
    with pytest.raises(ValidationError, match="audit_keep_days"):
        make_settings(ServiceSettings, "notes", audit_keep_days=29)
