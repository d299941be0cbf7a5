"""Whether people met, where Microsoft told."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting ADD COLUMN call text")


def downgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting DROP COLUMN call")
