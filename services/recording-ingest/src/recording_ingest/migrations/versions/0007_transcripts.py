"""Whether a transcript names speakers, and an index of what was said."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE transcript ADD COLUMN attributed boolean NOT NULL DEFAULT true")


def downgrade() -> None:
    op.execute("ALTER TABLE transcript DROP COLUMN attributed")
