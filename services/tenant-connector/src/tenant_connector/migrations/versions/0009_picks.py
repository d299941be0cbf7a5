"""Sign-ins for browsing SharePoint, each of one Org Admin, for minutes."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        """CREATE TABLE pick (
               org_id text NOT NULL, user_id text NOT NULL, tid text NOT NULL, state_hash text NOT NULL,
               browser_key_hash text NOT NULL, sealed_flow bytea, sealed_token bytea, expires_at timestamptz NOT NULL,
               PRIMARY KEY (org_id, user_id))"""
    )
    protect(op, "pick")


def downgrade() -> None:
    op.execute("DROP TABLE pick")
