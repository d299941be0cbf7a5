"""The tenant that a consent link is for."""

from alembic import op

revision = "0006"
down_revision = "0005"

# Links from before this are for whoever holds them, so they end, with the trips that began with one.
OPEN_LINKS = (
    "DELETE FROM consent_attempt WHERE link_hash IS NOT NULL",
    "DELETE FROM consent_link",
)


def upgrade() -> None:
    op.execute("SELECT set_config('app.scope', 'system', true)")
    for statement in OPEN_LINKS:
        op.execute(statement)
    op.execute("SELECT set_config('app.scope', '', true)")
    op.execute("ALTER TABLE consent_link ADD COLUMN tid text NOT NULL, ADD COLUMN tenant_name text NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE consent_link DROP COLUMN tenant_name, DROP COLUMN tid")
