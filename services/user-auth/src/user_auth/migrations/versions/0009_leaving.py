"""What a disconnect has removed at Microsoft, and until when the tokens serve for that."""

from alembic import op

revision = "0009"
down_revision = "0008"

TOKENS = "(status = 'connected'{}) = (sealed_cache IS NOT NULL)"


def upgrade() -> None:
    op.execute("ALTER TABLE connection ADD COLUMN leaving_until timestamptz, ADD COLUMN leaving jsonb")
    op.execute("ALTER TABLE connection DROP CONSTRAINT connection_check")
    op.execute(
        "ALTER TABLE connection ADD CONSTRAINT connection_check "
        f"CHECK ({TOKENS.format(' OR leaving_until IS NOT NULL')})"
    )


def downgrade() -> None:
    op.execute("SELECT set_config('app.scope', 'system', true)")
    op.execute("UPDATE connection SET sealed_cache = NULL, token_expires_at = NULL WHERE leaving_until IS NOT NULL")
    op.execute("SELECT set_config('app.scope', '', true)")
    op.execute("ALTER TABLE connection DROP COLUMN leaving_until, DROP COLUMN leaving")
    op.execute(f"ALTER TABLE connection ADD CONSTRAINT connection_check CHECK ({TOKENS.format('')})")
