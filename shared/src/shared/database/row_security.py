"""The rights in a service's database: three logins, row-level security and grants.

The owner of the tables migrates, and erases from the audit trail. The service's own login is the engines' (relay,
inbox, jobs, the receiver): it works over all organisations, or in one when its transaction says which. Requests,
handlers and jobs work as the request role, which is always bound to the organisation of its transaction and may only
add to the outbox. The service's login is a member of the request role: a handler's transaction begins with the inbox
and goes on as the request role.
"""

from sqlalchemy.engine import make_url

ORGANISATION = "org_id = current_setting('app.org_id', true)"
ENGINES = "COALESCE(current_setting('app.org_id', true), '') IN ('', org_id)"
"""All organisations while the transaction names none."""

NEVER = ("outbox", "outbox_sent", "parked_record", "inbox", "job", "job_turn", "data_key", "audit", "alembic_version")
"""On these tables the request role has only the rights in ``_MAY``."""
_JOB = "payload, priority, run_at, again, cause, checkpoint"
_MAY = {
    "outbox": "INSERT",
    "job": f"SELECT, INSERT, UPDATE ({_JOB})",  # queued, refreshed under its key, its checkpoint saved
    "data_key": "SELECT, INSERT",
    "audit": "SELECT, INSERT",
}


def protecting(table: str) -> str:
    """The statement that protects a table with ``org_id``, from its owner too; run again it takes no lock."""
    return f"""DO $do$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema() AND tablename = '{table}') THEN
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY organisation ON {table} USING ({ORGANISATION});
        END IF;
    END $do$"""


PERSON = "user_id = current_setting('app.user_id', true)"
EVERYBODY = "COALESCE(current_setting('app.org_id', true), '') = '' OR current_setting('app.everybody', true) = 'on'"
"""Engines, whose transaction names no organisation, and operators, who erase and export."""

NOBODY = "COALESCE(current_setting('app.user_id', true), '') = ''"
"""Jobs and handlers that work for an organisation; a request always names its person."""


def owning(table: str, *, shared: bool = False, jobs: bool = False) -> list[str]:
    """The statements that give each row of a protected table to its person (``user_id``), behind the organisation.

    A request, handler or job sees and writes the rows of the person whom its transaction names
    (``Database.unit_of_work``); with ``shared`` it also sees those whose column ``shared`` is true. Engines and
    operators work on everybody's; with ``jobs`` so does a transaction that names nobody.
    """
    own = f"{PERSON} OR {EVERYBODY} OR {NOBODY}" if jobs else f"{PERSON} OR {EVERYBODY}"
    reads = f"{own} OR shared" if shared else own
    return [
        f"CREATE POLICY owner_reads ON {table} AS RESTRICTIVE FOR SELECT USING ({reads})",
        f"CREATE POLICY owner_adds ON {table} AS RESTRICTIVE FOR INSERT WITH CHECK ({own})",
        f"CREATE POLICY owner_changes ON {table} AS RESTRICTIVE FOR UPDATE USING ({own})",
        f"CREATE POLICY owner_deletes ON {table} AS RESTRICTIVE FOR DELETE USING ({own})",
    ]


def role_of(url: str) -> str:
    """The login that a database's URL names. Raises ``ValueError`` when it names none."""
    role = make_url(url).username
    if not role or '"' in role or "'" in role:
        raise ValueError("The database's URL names no role, or one with quotes.")
    return role


def rights(service: str, request: str) -> list[str]:
    """The statements that give the two logins what they may, run by the owner after all migrations, each time.

    A table is locked only when its policies are not these yet.
    """
    limited = "; ".join(
        f"""IF to_regclass('{table}') IS NOT NULL THEN
            EXECUTE 'REVOKE ALL ON {table} FROM "{request}"';
            {f'''EXECUTE 'GRANT {_MAY[table]} ON {table} TO "{request}"';''' if table in _MAY else ""}
        END IF"""
        for table in NEVER
    )
    return [
        f"""DO $do$ BEGIN
            IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
                EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
                EXECUTE format('GRANT CONNECT ON DATABASE %I TO "{service}", "{request}"', current_database());
            END IF;
        END $do$""",
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{service}", "{request}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{service}", "{request}"',
        f"DO $do$ BEGIN {limited}; END $do$",
        f"""DO $do$ DECLARE protected name; BEGIN
            FOR protected IN SELECT tablename FROM pg_policies WHERE schemaname = current_schema()
                AND policyname = 'organisation' AND qual LIKE '%app.scope%' LOOP
                EXECUTE format('ALTER POLICY organisation ON %I USING ({_quoted(ORGANISATION)})', protected);
            END LOOP;
            FOR protected IN SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
                AND relrowsecurity AND NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema()
                    AND tablename = relname AND policyname = 'engines'
                    AND roles @> ARRAY['{service}', current_user]::name[]) LOOP
                EXECUTE format('DROP POLICY IF EXISTS engines ON %I', protected);
                EXECUTE format('CREATE POLICY engines ON %I TO "{service}", CURRENT_USER USING ({_quoted(ENGINES)})',
                    protected);
            END LOOP;
        END $do$""",
    ]


def _quoted(expression: str) -> str:
    return expression.replace("'", "''")
