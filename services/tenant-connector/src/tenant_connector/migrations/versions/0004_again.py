"""A consent's page that is loaded again: a leg under way is held for a while, one that is done answers once more."""

from alembic import op

revision = "0004"
down_revision = "0003"

# ``next_hash`` is the second leg's state; ``state_hash`` stays the first one's.
COLUMNS = """ALTER TABLE consent_attempt
    ADD COLUMN next_hash text, ADD COLUMN consented_at timestamptz, ADD COLUMN taken_until timestamptz,
    ADD COLUMN finished boolean NOT NULL DEFAULT false, DROP COLUMN taken, DROP CONSTRAINT consent_attempt_check"""
UNDER_WAY = "UPDATE consent_attempt SET next_hash = state_hash WHERE claimed_tid IS NOT NULL"
SECOND_LEG = """ALTER TABLE consent_attempt ADD CONSTRAINT consent_attempt_check CHECK (
    (claimed_tid IS NULL) = (next_hash IS NULL) AND (claimed_tid IS NULL OR finished) = (sealed_flow IS NULL))"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute("SELECT set_config('app.scope', 'system', true)")
    op.execute(UNDER_WAY)
    op.execute("SELECT set_config('app.scope', '', true)")
    op.execute(SECOND_LEG)


def downgrade() -> None:
    op.execute("SELECT set_config('app.scope', 'system', true)")
    op.execute("DELETE FROM consent_attempt")  # none lives longer than ten minutes
    op.execute("SELECT set_config('app.scope', '', true)")
    op.execute(
        "ALTER TABLE consent_attempt DROP COLUMN finished, DROP COLUMN taken_until, DROP COLUMN consented_at, "
        "DROP COLUMN next_hash, ADD COLUMN taken boolean NOT NULL DEFAULT false, "
        "ADD CONSTRAINT consent_attempt_check CHECK ((claimed_tid IS NULL) = (sealed_flow IS NULL))"
    )
