"""What the organisation's consent does not hold: remembered, so that it is not asked for with each refresh."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN silent_refused_at timestamptz, ADD COLUMN silent_refused_in bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN silent_refused_at, DROP COLUMN silent_refused_in")
