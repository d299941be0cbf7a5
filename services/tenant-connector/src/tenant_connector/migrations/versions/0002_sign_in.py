"""The administrator's own sign-in after the consent, and links for administrators without a Prospo account."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0002"
down_revision = "0001"

# A leg that is under way is ``taken``; the second leg knows the claimed tenant and MSAL's flow.
SECOND_LEG = """ALTER TABLE consent_attempt
    ADD COLUMN link_hash text, ADD COLUMN taken boolean NOT NULL DEFAULT false,
    ADD COLUMN claimed_tid text, ADD COLUMN sealed_flow bytea,
    ADD CHECK ((claimed_tid IS NULL) = (sealed_flow IS NULL))"""
CONSENT_LINK = """CREATE TABLE consent_link (
    org_id text PRIMARY KEY, token_hash text NOT NULL, user_id text NOT NULL, user_name text NOT NULL,
    org_name text NOT NULL, expires_at timestamptz NOT NULL, used_at timestamptz)"""


def upgrade() -> None:
    op.execute(SECOND_LEG)
    op.execute(CONSENT_LINK)
    protect(op, "consent_link")


def downgrade() -> None:
    op.execute("DROP TABLE consent_link")
    op.execute(
        "ALTER TABLE consent_attempt DROP COLUMN sealed_flow, DROP COLUMN claimed_tid, DROP COLUMN taken, "
        "DROP COLUMN link_hash"
    )
