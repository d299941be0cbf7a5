"""Every table that knows its organisation is protected by the database, in every service."""

from sqlalchemy import text

from shared.hosting.migrate import migrate
from shared.jobs import Work
from shared.testing.databases import connect

from .conftest import Hosted

_TABLES = text(
    """SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
              ARRAY(SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p
                    WHERE p.polrelid = c.oid AND p.polcmd = '*' AND p.polwithcheck IS NULL) AS policies
       FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
         AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id')"""
)
POLICY = (
    "((org_id = current_setting('app.org_id'::text, true)) "
    "OR (current_setting('app.scope'::text, true) = 'system'::text))"
)
ENGINES = {"data_key", "graph_notification", "graph_subscription", "job", "job_turn", "rate_limit"}
ENGINES |= {"tenant_copy", "user_copy"}


class Some(Work):
    kind = "some"


async def test_every_table_of_organisations_shows_a_transaction_its_own_rows_only(hosted: Hosted) -> None:
    async with hosted.service.db.system_work() as work:
        tables = {row.name: row for row in await work.session.execute(_TABLES)}
    assert tables.keys() >= ENGINES
    assert {name for name, row in tables.items() if not row.forced or row.policies != [POLICY]} == set()


async def test_a_database_from_before_is_protected_by_the_next_migration(hosted: Hosted) -> None:
    owner = await connect(hosted.service.settings.migration_database_url)
    for table in ENGINES:
        await owner.execute(f"DROP POLICY organisation ON {table}")
        await owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    await owner.close()
    for _ in range(2):
        await migrate(hosted.service.package, hosted.service.settings)
    await test_every_table_of_organisations_shows_a_transaction_its_own_rows_only(hosted)


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
