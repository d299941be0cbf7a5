"""Why a meeting does not record by itself, and a way to the booked ones."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN auto_recording_reason text")
    op.execute("CREATE INDEX meeting_booked ON meeting (org_id, id) WHERE status = 'scheduled'")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_booked")
    op.execute("ALTER TABLE meeting DROP COLUMN auto_recording_reason")
