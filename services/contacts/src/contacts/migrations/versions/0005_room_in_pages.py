"""Room in the pages of plan rows, so that a row that is carried out stays in its page and no index is written again."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE import_row SET (fillfactor = 65)")


def downgrade() -> None:
    op.execute("ALTER TABLE import_row RESET (fillfactor)")
