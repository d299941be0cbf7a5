"""The readiness board, and what is remembered between two looks at a tenant."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0003"
down_revision = "0002"

READINESS = """CREATE TABLE readiness (
    org_id text NOT NULL, capability text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('ready', 'waiting', 'action_needed', 'not_needed', 'unknown')),
    reason text NOT NULL, remedy jsonb, evidence jsonb NOT NULL, details jsonb NOT NULL,
    checked_at timestamptz, since timestamptz NOT NULL, until timestamptz, failed_at timestamptz, failure text,
    CHECK ((verdict = 'waiting') = (until IS NOT NULL)), PRIMARY KEY (org_id, capability))"""
CHECK = """CREATE TABLE readiness_check (
    org_id text PRIMARY KEY, version bigint NOT NULL DEFAULT 0, asked_at timestamptz, done_at timestamptz,
    patience_until timestamptz, doubted_at timestamptz, names_at timestamptz, names_seen boolean)"""
PERSON = """CREATE TABLE readiness_person (
    org_id text NOT NULL, user_id text NOT NULL, lacks jsonb NOT NULL, checked_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id))"""
# Tenants connected before this are looked after too, each from its own moment of the coming day on.
LOOK_AFTER = """INSERT INTO job (org_id, kind, payload, dedupe_key, priority, run_at)
    SELECT org_id, 'look_after_tenant', '{}', 'tenant', 2, clock_timestamp() + random() * interval '1 day'
    FROM tenant WHERE status = 'connected' ON CONFLICT DO NOTHING"""
TABLES = ("readiness", "readiness_check", "readiness_person")


def upgrade() -> None:
    for statement in (READINESS, CHECK, PERSON):
        op.execute(statement)
    for table in TABLES:
        protect(op, table)
    op.execute("SELECT set_config('app.scope', 'system', true)")
    op.execute(LOOK_AFTER)
    op.execute("SELECT set_config('app.scope', '', true)")


def downgrade() -> None:
    op.execute("DELETE FROM job WHERE kind IN ('look_after_tenant', 'check_readiness')")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
