"""What Microsoft gave of our permissions, and what a check of the account found."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN granted_scopes jsonb")
    op.execute("ALTER TABLE connection ADD COLUMN notices jsonb NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN notices")
    op.execute("ALTER TABLE connection DROP COLUMN granted_scopes")
