"""Every table that knows its organisation is protected by the database, in every service, and so are the engines'."""

from sqlalchemy import text

from shared.database.row_security import NEVER, role_of
from shared.hosting.migrate import migrate
from shared.jobs import Work
from shared.testing.databases import connect

from .conftest import Hosted

_TABLES = text(
    """SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
              (SELECT jsonb_object_agg(p.policyname, p.roles) FROM pg_policies p
               WHERE p.tablename = c.relname AND p.cmd = 'ALL' AND p.permissive = 'PERMISSIVE'
                 AND p.with_check IS NULL AND p.qual NOT LIKE '%app.scope%') AS policies
       FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
         AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id')"""
)
ENGINES = {"data_key", "graph_notification", "graph_subscription", "job", "job_turn", "rate_limit"}
ENGINES |= {"tenant_copy", "user_copy"}
BEFORE = "org_id = current_setting('app.org_id', true) OR current_setting('app.scope', true) = 'system'"


class Some(Work):
    kind = "some"


async def test_only_the_engines_see_rows_of_more_than_one_organisation(hosted: Hosted) -> None:
    settings = hosted.service.settings
    engines = [role_of(str(url)) for url in (settings.database_url, settings.migration_database_url)]
    async with hosted.service.db.system_work() as work:
        tables = {row.name: row for row in await work.session.execute(_TABLES)}
    assert tables.keys() >= ENGINES
    wanted = {"organisation": ["public"], "engines": engines}
    assert {name: row.policies for name, row in tables.items() if not row.forced or row.policies != wanted} == {}


async def test_a_database_from_before_is_protected_by_the_next_migration(hosted: Hosted) -> None:
    owner = await connect(hosted.service.settings.migration_database_url)
    for table in ENGINES - {"rate_limit"}:
        await owner.execute(f"DROP POLICY organisation ON {table}")
        await owner.execute(f"DROP POLICY engines ON {table}")
        await owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    await owner.execute(f"ALTER POLICY organisation ON rate_limit USING ({BEFORE})")  # as version 0.1 made it
    await owner.close()
    for _ in range(2):
        await migrate(hosted.service.package, hosted.service.settings)
    await test_only_the_engines_see_rows_of_more_than_one_organisation(hosted)


async def test_no_other_organisations_person_or_key_is_seen(hosted: Hosted) -> None:
    """Nor by a transaction that says nothing of whose rows it wants."""
    db = hosted.service.db
    async with db.unit_of_work("acme") as work:
        await hosted.service.envelope.seal(work.session, "acme", "some|row", b"secret")
        work.queue(Some())
    counts = text("SELECT (SELECT count(*) FROM data_key) + (SELECT count(*) FROM job)")
    for org, seen in (("acme", 2), ("globex", 0), ("", 0)):
        async with db.unit_of_work(org) as work:
            assert (await work.session.execute(counts)).scalar_one() == seen
    async with db.engine.connect() as connection:
        assert (await connection.execute(counts)).scalar_one() == 0


async def test_the_request_role_has_of_the_engines_tables_what_it_needs(hosted: Hosted) -> None:
    """And all of the tables that are the service's own."""
    owner = await connect(hosted.service.settings.migration_database_url)
    rows = await owner.fetch(
        """SELECT relname, string_agg(privilege, ' ' ORDER BY privilege) AS may
           FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
           WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
             AND has_table_privilege($1, pg_class.oid, privilege) GROUP BY relname""",
        hosted.service.db.request_role,
    )
    await owner.close()
    may = {row["relname"]: row["may"] for row in rows}
    engines = {"outbox": "INSERT", "job": "INSERT SELECT", "data_key": "INSERT SELECT", "audit": "INSERT SELECT"}
    assert {table: has for table, has in may.items() if table in NEVER and engines[table] != has} == {}
    assert {has for table, has in may.items() if table not in NEVER} == {"DELETE INSERT SELECT UPDATE"}


async def test_the_request_role_may_call_no_function_of_the_owner(hosted: Hosted) -> None:
    """One works with the owner's rights: with ``app.org_id`` emptied it would reach every organisation."""
    owner = await connect(hosted.service.settings.migration_database_url)
    rows = await owner.fetch(
        """SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
             AND has_function_privilege($1, oid, 'EXECUTE')""",
        hosted.service.db.request_role,
    )
    await owner.close()
    assert rows == []
