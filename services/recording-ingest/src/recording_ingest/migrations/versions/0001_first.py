"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

MEETING = """CREATE TABLE ledger_meeting (
    org_id text NOT NULL, meeting_id text NOT NULL, user_id text, organizer_oid text, online_meeting_id text,
    subject text NOT NULL, starts_at timestamptz, ends_at timestamptz, ended_at timestamptz,
    auto_recording boolean NOT NULL, status text NOT NULL CHECK (status IN ('scheduled', 'ended', 'cancelled')),
    meeting_version bigint NOT NULL, revision bigint NOT NULL, version bigint NOT NULL, absences jsonb NOT NULL,
    PRIMARY KEY (org_id, meeting_id))"""
ARTEFACT = """CREATE TABLE artefact (
    org_id text NOT NULL, id text NOT NULL, meeting_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('recording', 'transcript')), graph_id text NOT NULL, call_id text,
    content_correlation_id text, created_at timestamptz NOT NULL, ended_at timestamptz,
    detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL CHECK (status IN ('detected', 'importing', 'imported', 'unavailable')),
    file_id text, size_bytes bigint, code text, reason text,
    PRIMARY KEY (org_id, id), UNIQUE (org_id, kind, graph_id),
    FOREIGN KEY (org_id, meeting_id) REFERENCES ledger_meeting)"""
TRANSCRIPT = """CREATE TABLE transcript (
    org_id text NOT NULL, id text NOT NULL, meeting_id text NOT NULL, user_id text NOT NULL, language text,
    speakers jsonb NOT NULL, lines jsonb NOT NULL, PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, id) REFERENCES artefact)"""


def upgrade() -> None:
    op.execute(MEETING)
    op.execute("CREATE INDEX ledger_meeting_online ON ledger_meeting (org_id, online_meeting_id)")
    op.execute("CREATE INDEX ledger_meeting_user ON ledger_meeting (org_id, user_id, ends_at)")
    op.execute(ARTEFACT)
    op.execute("CREATE INDEX artefact_meeting ON artefact (org_id, meeting_id)")
    op.execute(TRANSCRIPT)
    for table in ("ledger_meeting", "artefact", "transcript"):
        protect(op, table)


def downgrade() -> None:
    for table in ("transcript", "artefact", "ledger_meeting"):
        op.execute(f"DROP TABLE {table}")
