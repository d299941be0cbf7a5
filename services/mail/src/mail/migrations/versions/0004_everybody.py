"""Everybody who was connected before mail could be switched on is followed from now on."""

from alembic import op

from shared.connections.state import queue_for_connected

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    queue_for_connected(op, "follow_everybody", "outlook_email")  # a kind that no worker of an earlier version takes


def downgrade() -> None:
    op.execute("DELETE FROM job WHERE kind = 'follow_everybody'")
