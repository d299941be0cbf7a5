"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

TENANT = """CREATE TABLE tenant (
    org_id text PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('not_connected', 'proving', 'connected', 'failed', 'disconnected')),
    tid text, display_name text, features jsonb NOT NULL, version bigint NOT NULL, problem jsonb,
    connected_at timestamptz, connected_by text,
    claim_id text, claimed_tid text, claimed_by text, claimed_at timestamptz,
    storage_location text, storage_location_version bigint NOT NULL DEFAULT 0,
    CHECK (status <> 'connected' OR (tid IS NOT NULL AND connected_at IS NOT NULL)),
    CHECK (status <> 'proving' OR claimed_tid IS NOT NULL),
    CHECK ((claim_id IS NULL) = (claimed_tid IS NULL)))"""
# Over all organisations: an index sees what row-level security hides from the query.
ONE_ORGANISATION = "CREATE UNIQUE INDEX tenant_connected_once ON tenant (tid) WHERE status = 'connected'"
CONSENT_ATTEMPT = """CREATE TABLE consent_attempt (
    org_id text NOT NULL, state_hash text NOT NULL, user_id text NOT NULL, browser_key_hash text NOT NULL,
    expires_at timestamptz NOT NULL, PRIMARY KEY (org_id, state_hash))"""
AUDIT = """CREATE TABLE audit (
    org_id text NOT NULL, id uuid NOT NULL, occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, action text NOT NULL, outcome text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    details jsonb NOT NULL, PRIMARY KEY (org_id, id))"""
APPEND_ONLY = """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'The audit trail is only ever added to.'; END $$"""
GUARD = """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"""


def upgrade() -> None:
    for statement in (TENANT, ONE_ORGANISATION, CONSENT_ATTEMPT, AUDIT, APPEND_ONLY, GUARD):
        op.execute(statement)
    for table in ("tenant", "consent_attempt", "audit"):
        protect(op, table)


def downgrade() -> None:
    for table in ("audit", "consent_attempt", "tenant"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION audit_is_append_only")
