"""The quickXorHash of what was published in SharePoint, so that a change of the same size is noticed there.

It is null for files of the version before, whose workers do not write it: their size alone is compared.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE stored_file ADD COLUMN quick_xor text")


def downgrade() -> None:
    op.execute("ALTER TABLE stored_file DROP COLUMN quick_xor")
