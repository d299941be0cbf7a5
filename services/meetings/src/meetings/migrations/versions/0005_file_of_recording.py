"""A recording's file is looked up when storage says that it is gone."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE INDEX meeting_recording_file ON meeting (org_id, (recording ->> 'file_id'))")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_recording_file")
