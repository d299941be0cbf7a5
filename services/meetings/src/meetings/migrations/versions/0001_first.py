"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

MEETING = """CREATE TABLE meeting (
    org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, organizer_name text NOT NULL,
    organizer_oid text NOT NULL, subject text NOT NULL, body text, starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL, attendees jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('scheduling', 'scheduled', 'ended', 'cancelled', 'failed')),
    version bigint NOT NULL, join_url text, event_id text, online_meeting_id text, auto_recording boolean NOT NULL,
    ended_at timestamptz, ended_source text, ended_confidence text,
    recording jsonb, recording_version bigint NOT NULL DEFAULT 0,
    transcript jsonb, transcript_version bigint NOT NULL DEFAULT 0, problem jsonb,
    PRIMARY KEY (org_id, id))"""
REQUEST_KEY = """CREATE TABLE request_key (
    org_id text NOT NULL, user_id text NOT NULL, key text NOT NULL, request_hash text NOT NULL,
    meeting_id text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (org_id, user_id, key))"""


def upgrade() -> None:
    op.execute(MEETING)
    op.execute("CREATE INDEX meeting_of_user ON meeting (org_id, user_id, id DESC)")
    op.execute(REQUEST_KEY)
    protect(op, "meeting")
    protect(op, "request_key")


def downgrade() -> None:
    op.execute("DROP TABLE request_key")
    op.execute("DROP TABLE meeting")
