"""What a disconnect has removed at Microsoft, and what stays there."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE tenant ADD COLUMN leaving jsonb")
    op.execute(
        """CREATE TABLE leaving_person (
               org_id text NOT NULL, user_id text NOT NULL, version bigint NOT NULL DEFAULT 0, told jsonb,
               PRIMARY KEY (org_id, user_id))"""
    )
    protect(op, "leaving_person")


def downgrade() -> None:
    op.execute("DROP TABLE leaving_person")
    op.execute("ALTER TABLE tenant DROP COLUMN leaving")
