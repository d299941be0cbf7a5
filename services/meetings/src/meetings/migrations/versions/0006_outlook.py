"""The organizer's calendar is followed: how far it was read, and which event is whose."""

from alembic import op

from shared.hosting.migrate import protect
from shared.mailboxes.folders import TABLE

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(TABLE)
    protect(op, "mailbox_folder")
    op.execute("CREATE INDEX meeting_event ON meeting (org_id, user_id, event_id)")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_event")
    op.execute("DROP TABLE mailbox_folder")
