"""When a token was last renewed because Graph had refused the one before."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN renewed_for_refusal_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN renewed_for_refusal_at")
