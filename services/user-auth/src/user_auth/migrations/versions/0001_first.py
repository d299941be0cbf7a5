"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

CONNECTION = """CREATE TABLE connection (
    org_id text NOT NULL, user_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('connected', 'expired', 'disconnected')), version bigint NOT NULL,
    tid text, oid text, name text, email text, sealed_cache bytea, token_expires_at timestamptz,
    connected_at timestamptz, broken_since timestamptz, problem jsonb,
    PRIMARY KEY (org_id, user_id),
    CHECK ((status = 'connected') = (sealed_cache IS NOT NULL)),
    CHECK (status <> 'connected' OR (tid IS NOT NULL AND oid IS NOT NULL AND token_expires_at IS NOT NULL)))"""
ONE_PERSON_PER_ACCOUNT = """CREATE UNIQUE INDEX connection_account ON connection (org_id, tid, oid)
    WHERE status = 'connected'"""
SIGN_IN_ATTEMPT = """CREATE TABLE sign_in_attempt (
    org_id text NOT NULL, state_hash text NOT NULL, user_id text NOT NULL, browser_key_hash text NOT NULL,
    tid text NOT NULL, sealed_flow bytea NOT NULL, return_to text NOT NULL, expires_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, state_hash))"""
AUDIT = """CREATE TABLE audit (
    org_id text NOT NULL, id uuid NOT NULL, occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, action text NOT NULL, outcome text NOT NULL, details jsonb NOT NULL,
    PRIMARY KEY (org_id, id))"""
REFUSE_CHANGE = """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"""
APPEND_ONLY = """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"""


def upgrade() -> None:
    op.execute(CONNECTION)
    op.execute(ONE_PERSON_PER_ACCOUNT)
    op.execute(SIGN_IN_ATTEMPT)
    op.execute("CREATE INDEX sign_in_attempt_of_user ON sign_in_attempt (org_id, user_id, expires_at DESC)")
    op.execute(AUDIT)
    op.execute(REFUSE_CHANGE)
    op.execute(APPEND_ONLY)
    for table in ("connection", "sign_in_attempt", "audit"):
        protect(op, table)


def downgrade() -> None:
    for table in ("audit", "sign_in_attempt", "connection"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION audit_is_append_only")
