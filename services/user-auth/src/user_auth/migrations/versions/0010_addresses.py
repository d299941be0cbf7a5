"""The addresses that Microsoft's directory gives an account."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN addresses jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE connection ADD COLUMN addresses_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN addresses, DROP COLUMN addresses_at")
