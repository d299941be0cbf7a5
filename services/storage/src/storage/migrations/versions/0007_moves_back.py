"""Files that move back from SharePoint to Prospo's own storage: a move and a migration that name no library.

A worker of the version before takes such a file for one that belongs in the chosen place and forgets its move where it
is there already; the migration then says that fewer files moved, and is offered again.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for table in ("file_move", "migration"):
        op.execute(f"ALTER TABLE {table} ALTER drive_id DROP NOT NULL, ALTER folder_id DROP NOT NULL")
    op.execute("ALTER TABLE file_move ADD COLUMN parts text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """What is on its way back stays where it is; its parts go with the next tidying of the file."""
    for table in ("file_move", "migration"):
        op.execute(f"DELETE FROM {table} WHERE drive_id IS NULL")
        op.execute(f"ALTER TABLE {table} ALTER drive_id SET NOT NULL, ALTER folder_id SET NOT NULL")
    op.execute("ALTER TABLE file_move DROP COLUMN parts")
