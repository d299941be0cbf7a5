"""The claims challenge that ended a connection: the next sign-in answers it."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN unanswered_challenge text")


def downgrade() -> None:
    op.execute("ALTER TABLE connection DROP COLUMN unanswered_challenge")
