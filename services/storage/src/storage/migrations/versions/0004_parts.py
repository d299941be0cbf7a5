"""A file is the list of its parts; one that the version before completes is a single object (``in_parts`` is false).

Pods of the version before may run beside: they go on with uploads of this version and the other way round. A file that
this version completed they cannot read; whoever asks again comes to a pod of this version.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE stored_file ADD COLUMN in_parts boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """Files completed since then cannot be read by the former version."""
    op.execute("ALTER TABLE stored_file DROP COLUMN in_parts")
