"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

TABLES = {
    "import_run": """CREATE TABLE import_run (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL,
        status text NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
        read_count bigint NOT NULL DEFAULT 0, kept_count bigint NOT NULL DEFAULT 0, problem jsonb,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz,
        PRIMARY KEY (org_id, id))""",
    "contact": """CREATE TABLE contact (
        org_id text NOT NULL, user_id text NOT NULL, id text NOT NULL, folder_id text NOT NULL, change_key text,
        display_name text, emails jsonb NOT NULL DEFAULT '[]', phones jsonb NOT NULL DEFAULT '[]',
        company text, job_title text, removed_at timestamptz, PRIMARY KEY (org_id, user_id, id))""",
    "folder_cursor": """CREATE TABLE folder_cursor (
        org_id text NOT NULL, user_id text NOT NULL, folder_id text NOT NULL, delta_link text,
        read_at timestamptz, PRIMARY KEY (org_id, user_id, folder_id))""",
}


def upgrade() -> None:
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
