"""Whether the place for files works, as storage last told it."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """ALTER TABLE tenant ADD COLUMN storage_state text,
               ADD COLUMN storage_nearly_full boolean NOT NULL DEFAULT false,
               ADD COLUMN storage_state_version bigint NOT NULL DEFAULT 0"""
    )


def downgrade() -> None:
    op.execute(
        """ALTER TABLE tenant DROP COLUMN storage_state, DROP COLUMN storage_nearly_full,
               DROP COLUMN storage_state_version"""
    )
