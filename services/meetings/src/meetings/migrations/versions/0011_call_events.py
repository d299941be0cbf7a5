"""What Microsoft tells of calls, and that it does not."""

from alembic import op

from shared.hosting.migrate import protect
from shared.subscriptions.certificates import DDL

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN call_marks jsonb NOT NULL DEFAULT '[]'")
    op.execute("CREATE INDEX meeting_join_url ON meeting (org_id, join_url)")
    op.execute(
        """CREATE TABLE call_refusal (
            org_id text PRIMARY KEY, code text NOT NULL, detail text NOT NULL, request_id text NOT NULL,
            refused_at timestamptz NOT NULL DEFAULT clock_timestamp())"""
    )
    protect(op, "call_refusal")
    for statement in DDL:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE notification_certificate")
    op.execute("DROP TABLE call_refusal")
    op.execute("DROP INDEX meeting_join_url")
    op.execute("ALTER TABLE meeting DROP COLUMN call_marks")
