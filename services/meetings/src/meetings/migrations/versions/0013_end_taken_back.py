"""The end of a meeting that was moved in Outlook after it was said to be over."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN end_taken_back timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE meeting DROP COLUMN end_taken_back")
