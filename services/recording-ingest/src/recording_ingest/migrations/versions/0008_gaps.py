"""Intervals in which nothing was fetched for a person, and when each person's meetings were last followed."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0008"
down_revision = "0007"

GAP = """CREATE TABLE gap (
    org_id text NOT NULL, user_id text NOT NULL, version bigint NOT NULL, cause text NOT NULL,
    began_at timestamptz NOT NULL, ended_at timestamptz, meetings jsonb NOT NULL DEFAULT '[]',
    repaired boolean NOT NULL DEFAULT false, PRIMARY KEY (org_id, user_id, version))"""
WATCH = """CREATE TABLE watch (
    org_id text NOT NULL, user_id text NOT NULL, watched_at timestamptz NOT NULL, PRIMARY KEY (org_id, user_id))"""


def upgrade() -> None:
    op.execute(GAP)
    op.execute(WATCH)
    op.execute("ALTER TABLE ledger_meeting ADD COLUMN looked_at timestamptz")
    for table in ("gap", "watch"):
        protect(op, table)


def downgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting DROP COLUMN looked_at")
    op.execute("DROP TABLE watch")
    op.execute("DROP TABLE gap")
