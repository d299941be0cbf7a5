"""Why a meeting does not record by itself."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting ADD COLUMN auto_recording_code text")


def downgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting DROP COLUMN auto_recording_code")
