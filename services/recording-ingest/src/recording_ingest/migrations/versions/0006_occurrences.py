"""Occurrences of a series, artefacts that no occurrence is sure of, and the story of each meeting."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0006"
down_revision = "0005"

UNASSIGNED = """CREATE TABLE unassigned (
    org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, online_meeting_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('recording', 'transcript')), graph_id text NOT NULL, call_id text,
    content_correlation_id text, created_at timestamptz NOT NULL, ended_at timestamptz,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(), why text NOT NULL, scores jsonb NOT NULL,
    PRIMARY KEY (org_id, id), UNIQUE (org_id, kind, graph_id))"""
STEP = """CREATE TABLE meeting_step (
    org_id text NOT NULL, id text NOT NULL, meeting_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(), what text NOT NULL, details jsonb NOT NULL,
    PRIMARY KEY (org_id, id))"""


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting ADD COLUMN series_id text, ADD COLUMN original_start timestamptz")
    op.execute(UNASSIGNED)
    op.execute("CREATE INDEX unassigned_user ON unassigned (org_id, user_id, created_at)")
    op.execute(STEP)
    op.execute("CREATE INDEX meeting_step_meeting ON meeting_step (org_id, meeting_id, id)")
    for table in ("unassigned", "meeting_step"):
        protect(op, table)


def downgrade() -> None:
    op.execute("DROP TABLE meeting_step")
    op.execute("DROP TABLE unassigned")
    op.execute("ALTER TABLE ledger_meeting DROP COLUMN series_id, DROP COLUMN original_start")
