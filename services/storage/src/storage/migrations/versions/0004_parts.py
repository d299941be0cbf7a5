"""A file is the list of its parts; one that was put together before is a single one."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE stored_file ADD COLUMN part_starts bigint[] NOT NULL DEFAULT '{}'")
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(
        """UPDATE stored_file SET parts = ARRAY['content'], part_starts = ARRAY[0]
           WHERE completed_at IS NOT NULL"""
    )
    op.execute(
        """UPDATE stored_file SET
               parts = (SELECT array_agg('parts/' || name ORDER BY at) FROM unnest(parts) WITH ORDINALITY p (name, at)),
               part_starts = (SELECT array_agg(CAST(split_part(name, '-', 1) AS bigint) ORDER BY at)
                              FROM unnest(parts) WITH ORDINALITY p (name, at))
           WHERE completed_at IS NULL AND cardinality(parts) > 0"""
    )


def downgrade() -> None:
    """Files made of several parts since then cannot be read by the former version."""
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(
        """UPDATE stored_file SET
               parts = (SELECT array_agg(replace(name, 'parts/', '') ORDER BY at)
                        FROM unnest(parts) WITH ORDINALITY p (name, at))
           WHERE completed_at IS NULL AND cardinality(parts) > 0"""
    )
    op.execute("ALTER TABLE stored_file DROP COLUMN part_starts")
