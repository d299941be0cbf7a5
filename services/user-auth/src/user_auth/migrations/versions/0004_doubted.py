"""Since when Microsoft refuses a refresh in words that it has not published."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN doubted_since timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN doubted_since")
