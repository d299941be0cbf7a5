"""What Microsoft last showed of an event, so that changes made in Outlook are told from ours."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN shown jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE meeting DROP COLUMN shown")
