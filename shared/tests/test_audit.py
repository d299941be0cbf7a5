"""The audit trail: what Org Admins read, what the database refuses to change, and how long it is kept."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from opentelemetry import trace
from pydantic import ValidationError
from sqlalchemy import text

from shared.database.housekeeping import prune_audit
from shared.database.outbox import uuid7
from shared.database.row_security import rights, role_of
from shared.hosting.migrate import protect
from shared.hosting.service import Service
from shared.privacy.erasure import AUDIT, Holdings
from shared.settings import ServiceSettings
from shared.testing.databases import Databases, TestDatabase, connect
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.web import audit

from .conftest import ClientOf, MakeService, _Plain, make_tables

TABLE = """CREATE TABLE audit (
    org_id text NOT NULL, id uuid NOT NULL, occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, action text NOT NULL, outcome text NOT NULL, details jsonb NOT NULL,
    PRIMARY KEY (org_id, id))"""
PSEUDONYM = "erased:0123456789ab"
DETAILS = f'{{"erased": "{PSEUDONYM}"}}'
ALLOWED = f"UPDATE audit SET actor = '{PSEUDONYM}', details = '{DETAILS}' WHERE actor = 'anna'"


async def make_tables_and_trail(database: TestDatabase) -> None:
    await make_tables(database)
    op = _Plain()
    protect(op, "audit")
    service, request = role_of(database.url), role_of(database.request_url)
    owner = await connect(database.owner_url)
    after = audit.AFTER_MIGRATIONS.replace("{keep_days}", "30")
    given = [*rights(service, request), audit.GRANTS.format(role=service)]
    for statement in (TABLE, *op.statements, after, after, *given):
        await owner.execute(statement)
    await owner.close()


@pytest.fixture
async def database(databases: Databases) -> TestDatabase:
    """The small service's, which keeps a trail here."""
    return await databases.empty("notes_with_trail", make_tables_and_trail)


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    service = await make_service()
    service.hold(Holdings((AUDIT,), audit_path="/v1/notes/audit"))
    return service


@pytest.fixture
async def http(service: Service, client_of: ClientOf) -> httpx.AsyncClient:
    return await client_of(service)


async def add(service: Service, actor: str, action: str = "sign_in", *, org: str = "acme", days_old: float = 0) -> None:
    """As the owner, who alone can write a line with another time than now."""
    owner = await connect(service.settings.migration_database_url)
    async with owner.transaction():
        await owner.execute("ALTER TABLE audit DISABLE TRIGGER clean")
        await owner.execute(
            """INSERT INTO audit (org_id, id, occurred_at, actor, action, outcome, details)
               VALUES ($1, CAST($2 AS uuid), clock_timestamp() - $3::float * interval '1 day', $4, $5, 'done',
                       '{"a": 1}')""",
            *(org, uuid7(), days_old, actor, action),
        )
        await owner.execute("ALTER TABLE audit ENABLE TRIGGER clean")
    await owner.close()


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
    here, there = [
        [line for line in (await read(http, platform_keys, at=at)).json()["items"] if line["action"] != "audit.read"]
        for at in ("/v1/audit", "/v1/notes/audit")
    ]
    assert here == there
    assert len(here) == 5


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
    (ERASING, ALLOWED.replace("SET", "SET request_id = 'another',")),
    (ERASING, ALLOWED.replace("SET", "SET trace_id = 'another',")),
    (ERASING, ALLOWED.replace(PSEUDONYM, "ben", 1)),
    (ERASING, "UPDATE audit SET details = '{}'"),
    (ERASING, ALLOWED.replace('"}', '", "more": 1}')),
    ("SET app.audit_keep_days = '29'", "DELETE FROM audit WHERE actor = 'old'"),  # 29.5 days old
    ("SET app.audit_keep_days = '730'", "DELETE FROM audit WHERE actor = 'old'"),
    ("SET app.audit_keep_days = '730'", "UPDATE audit SET actor = 'x' WHERE actor = 'ancient'"),
    ("SET app.audit_keep_days = '-1'", "DELETE FROM audit WHERE actor = 'anna'"),
]


@pytest.mark.parametrize("role", ["owner", "service", "request"])
async def test_the_database_refuses_to_change_the_trail(service: Service, database: TestDatabase, role: str) -> None:
    await add(service, "anna")
    await add(service, "old", days_old=29.5)
    await add(service, "ancient", days_old=731)
    urls = {"owner": database.owner_url, "service": database.url, "request": database.request_url}
    reason = "only ever added to" if role == "owner" else "permission denied"
    connection = await connect(urls[role])
    for statements in [*REFUSED, (ERASING, ALLOWED)][: None if role != "owner" else len(REFUSED)]:
        await connection.execute("RESET ALL")
        for statement in statements[:-1]:
            await connection.execute(statement)
        with pytest.raises(asyncpg.PostgresError, match=reason):
            await connection.execute(statements[-1])
    await connection.close()
    assert await actors(service) == ["anna", "old", "ancient"]


async def test_an_erasure_may_put_a_pseudonym_in_the_place_of_a_person(
    service: Service, database: TestDatabase
) -> None:
    await add(service, "anna")
    connection = await connect(database.owner_url)
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


async def lines(http: httpx.AsyncClient, keys: PlatformKeys, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await read(http, keys, action=action)).json()["items"]
    return found


async def test_a_line_names_the_request_it_was_written_in(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    answers = [await read(http, platform_keys) for _ in range(2)]
    noted = await lines(http, platform_keys, "audit.read")
    sent = [answer.headers["x-request-id"] for answer in answers]
    assert [line["request_id"] for line in noted] == sent[::-1]
    assert sent[0] != sent[1]


async def test_a_line_names_the_trace_it_was_written_in(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    context = trace.SpanContext(0xABC, 1, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        async with service.db.unit_of_work("acme") as work:
            audit.note(work.session, "acme", "anna", "traced")
    await add(service, "anna", "untraced")
    (traced,), (untraced,) = [await lines(http, platform_keys, action) for action in ("traced", "untraced")]
    assert traced["trace_id"] == f"{0xABC:032x}"
    assert (untraced["trace_id"], untraced["request_id"]) == (None, None)


async def test_a_writer_cannot_claim_another_request(service: Service) -> None:
    async with service.db.unit_of_work("acme") as work:
        await work.session.execute(
            text(
                """INSERT INTO audit (org_id, id, actor, action, outcome, details, request_id, trace_id)
                   VALUES ('acme', gen_random_uuid(), 'a', 'b', 'done', '{}', 'forged', 'forged')"""
            )
        )
    async with service.db.unit_of_work("acme") as work:
        (row,) = (await work.session.execute(text("SELECT request_id, trace_id FROM audit"))).all()
    assert tuple(row) == (None, None)


async def test_reading_the_trail_is_noted_once_for_all_its_pages(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    for actor in ("one", "two", "three"):
        await add(service, actor)
    first = (await read(http, platform_keys, limit=2)).json()
    await read(http, platform_keys, limit=2, cursor=first["next_cursor"])
    await read(http, platform_keys, actor="anna")
    noted = await lines(http, platform_keys, "audit.read")
    assert [(line["actor"], line["outcome"], line["target"]) for line in noted] == [
        ("boss", "done", "anna"),
        ("boss", "done", "acme"),
    ]


async def test_a_refused_call_of_an_admin_route_is_noted_so_often_and_no_more(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    service.settings.refusals_noted_per_hour = 3
    mine = {"Authorization": f"Bearer {platform_keys.token('acme', 'anna')}"}
    refused = [await http.delete("/v1/notes", headers=mine) for _ in range(5)]
    assert {answer.status_code for answer in refused} == {403}
    noted = await lines(http, platform_keys, "authorisation")
    assert [(line["actor"], line["outcome"], line["target"]) for line in noted] == [
        ("anna", "refused", "DELETE /v1/notes")
    ] * 3
    assert noted[-1]["request_id"] == refused[0].headers["x-request-id"]
    assert noted[-1]["details"]["needs"] == "org_admin"


SECRET_KEYS = [
    "access_token",
    "Client_Secret",
    "state",
    "browser_key",
    "code_verifier",
    "nonce",
    "cookie",
    "upload_url",
]
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


@pytest.mark.parametrize(
    "details",
    [*({key: "hidden"} for key in SECRET_KEYS), {"note": f"Bearer {TOKEN}"}, {"deep": {"refresh_token": "hidden"}}],
    ids=str,
)
async def test_no_secret_gets_into_a_line_whoever_writes_it(service: Service, details: dict[str, Any]) -> None:
    async with service.db.unit_of_work("acme") as work:
        audit.note(work.session, "acme", "anna", "some", **details, code="consent_declined", tid="t")
        (row,) = (await work.session.execute(text("SELECT details FROM audit"))).scalars()
    assert row == dict.fromkeys(details, "[redacted]") | {"code": "consent_declined", "tid": "t"}


async def test_reading_the_trail_has_a_limit(
    service: Service, http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    service.settings.audit_reads_per_hour = 2
    assert [(await read(http, platform_keys)).status_code for _ in range(3)] == [200, 200, 429]


@pytest.fixture
async def migrated(databases: Databases) -> TestDatabase:
    """The tables of a service that keeps a trail, with the grants that it gets."""
    return await databases.empty("tenant_connector")


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET outcome = 'done'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit"]
)
async def test_the_services_role_may_only_add_and_read(migrated: TestDatabase, statement: str) -> None:
    connection = await connect(migrated.url)
    await connection.execute("SET app.audit_erasing = 'on'")
    await connection.execute("SET app.audit_keep_days = '30'")
    await connection.execute(
        "INSERT INTO audit VALUES ('acme', gen_random_uuid(), now() - interval '800 days', 'a', 'b', 'done', '{}')"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    assert await connection.fetchval("SELECT count(*) FROM audit") == 1
    await connection.close()


async def test_pruning_takes_nothing_younger_than_thirty_days(migrated: TestDatabase) -> None:
    owner, connection = await connect(migrated.owner_url), await connect(migrated.url)
    await owner.execute("ALTER TABLE audit DISABLE TRIGGER clean")  # it sets the time
    for days in (0, 29, 31):
        values = f"'acme', gen_random_uuid(), now() - interval '{days} days', '{days}', 'b', 'done', '{{}}'"
        await owner.execute(f"INSERT INTO audit VALUES ({values})")
    await owner.execute("ALTER TABLE audit ENABLE TRIGGER clean")
    await owner.close()
    assert await connection.fetchval("SELECT audit_prune(1, 100)") == 1
    assert [row["actor"] for row in await connection.fetch("SELECT actor FROM audit ORDER BY actor")] == ["0", "29"]
    await connection.close()


async def test_the_database_says_when_a_line_was_written(service: Service) -> None:
    before = "INSERT INTO audit VALUES ('acme', gen_random_uuid(), '2020-01-01', 'ben', 'sign_in', 'done', '{}')"
    async with service.db.unit_of_work("acme") as work:
        await work.session.execute(text(before))
    assert await prune_audit(service.db, 30) == 0


async def test_lines_younger_than_the_migration_says_are_never_pruned(service: Service, database: TestDatabase) -> None:
    await add(service, "old", days_old=100)
    owner = await connect(database.owner_url)
    await owner.execute(audit.AFTER_MIGRATIONS.replace("{keep_days}", "200"))
    await owner.close()
    assert await prune_audit(service.db, 30) == 0


async def test_the_request_role_may_not_prune_the_trail(service: Service, database: TestDatabase) -> None:
    connection = await connect(database.request_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT audit_prune(1, 10)")
    await connection.close()
