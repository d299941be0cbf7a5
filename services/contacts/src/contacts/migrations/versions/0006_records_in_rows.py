"""A row of a plan holds the contact that it makes as it will be stored, so that the run copies it in the database.

The row is 3 to 4 kB until it is carried out. Below 3 kB two of them share a page, beside the room for what becomes of
them, and one value is compressed for that; below 2 kB all of them are, which takes longer than writing them.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("ALTER TABLE import_row ADD COLUMN record jsonb, ADD COLUMN phones text[], ADD COLUMN words text")
    op.execute("ALTER TABLE import_row SET (toast_tuple_target = 3000)")


def downgrade() -> None:
    op.execute("ALTER TABLE import_row RESET (toast_tuple_target)")
    op.execute("ALTER TABLE import_row DROP COLUMN record, DROP COLUMN phones, DROP COLUMN words")
