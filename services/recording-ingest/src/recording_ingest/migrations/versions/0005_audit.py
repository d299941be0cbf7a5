"""The audit trail: who read what of whom."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0005"
down_revision = "0004"

AUDIT = """CREATE TABLE audit (
    org_id text NOT NULL, id uuid NOT NULL, occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, action text NOT NULL, outcome text NOT NULL, details jsonb NOT NULL,
    PRIMARY KEY (org_id, id))"""


def upgrade() -> None:
    op.execute(AUDIT)
    protect(op, "audit")


def downgrade() -> None:
    op.execute("DROP TABLE audit")
