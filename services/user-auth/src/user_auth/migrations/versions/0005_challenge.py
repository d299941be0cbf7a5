"""Which claims challenge the stored token answers, so that pods with the same challenge make one refresh."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN answered_challenge text")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN answered_challenge")
