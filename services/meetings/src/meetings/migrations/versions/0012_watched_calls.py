"""Since when Microsoft tells of a meeting's calls."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN calls_watched_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE meeting DROP COLUMN calls_watched_at")
