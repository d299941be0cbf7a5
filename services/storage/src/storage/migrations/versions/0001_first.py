"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE stored_file (
            org_id text NOT NULL, id text NOT NULL, dedupe_key text NOT NULL, path text NOT NULL,
            content_type text NOT NULL, size_bytes bigint NOT NULL, received_bytes bigint NOT NULL DEFAULT 0,
            parts text[] NOT NULL DEFAULT '{}', token_hash text UNIQUE, owner_id text,
            completed_at timestamptz, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (org_id, id), UNIQUE (org_id, dedupe_key))"""
    )
    protect(op, "stored_file")


def downgrade() -> None:
    op.execute("DROP TABLE stored_file")
