"""Sending: intents with their history, and the files that go with them."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0002"
down_revision = "0001"

_FIRST = """CREATE TABLE sent_message (
    org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, graph_id text, internet_message_id text,
    subject text NOT NULL, recipients jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'sent', 'failed')), problem jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), sent_at timestamptz, PRIMARY KEY (org_id, id))"""
"""Nothing ever wrote to it."""

TABLES = {
    "outgoing_mail": """CREATE TABLE outgoing_mail (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, account text NOT NULL,
        status text NOT NULL CHECK (status IN ('queued', 'sending', 'accepted', 'seen_in_sent', 'failed', 'unknown',
                                               'cancelled')),
        turn integer NOT NULL DEFAULT 1, subject text NOT NULL, recipients jsonb NOT NULL,
        content_type text NOT NULL CHECK (content_type IN ('text', 'html')), body bytea NOT NULL, answers jsonb,
        draft_asked boolean NOT NULL DEFAULT false, draft_doubted boolean NOT NULL DEFAULT false,
        draft_id text, composed boolean NOT NULL DEFAULT false,
        internet_message_id text, conversation_id text, attempts integer NOT NULL DEFAULT 0, attempted_at timestamptz,
        accepted_at timestamptz, seen_at timestamptz, queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(), problem jsonb, PRIMARY KEY (org_id, id))""",
    "mail_step": """CREATE TABLE mail_step (
        org_id text NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, mail_id text NOT NULL, user_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(), what text NOT NULL, status integer NOT NULL DEFAULT 0,
        code text NOT NULL DEFAULT '', request_id text NOT NULL DEFAULT '', PRIMARY KEY (org_id, id))""",
    "mail_file": """CREATE TABLE mail_file (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, mail_id text, name text NOT NULL,
        media_type text NOT NULL, size_bytes bigint NOT NULL DEFAULT 0, whole boolean NOT NULL DEFAULT false,
        position integer NOT NULL DEFAULT 0, attached boolean NOT NULL DEFAULT false, session bytea,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, id))""",
    "mail_file_part": """CREATE TABLE mail_file_part (
        org_id text NOT NULL, file_id text NOT NULL, number integer NOT NULL, user_id text NOT NULL,
        content bytea NOT NULL, PRIMARY KEY (org_id, file_id, number))""",
    "mailbox": """CREATE TABLE mailbox (
        org_id text NOT NULL, user_id text NOT NULL, version bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (org_id, user_id))""",
    "request_key": """CREATE TABLE request_key (
        org_id text NOT NULL, user_id text NOT NULL, key text NOT NULL, request_hash text NOT NULL,
        mail_id text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (org_id, user_id, key))""",
}
INDEXES = (
    "CREATE INDEX outgoing_mail_of_user ON outgoing_mail (org_id, user_id, id DESC)",
    "CREATE INDEX mail_step_of_mail ON mail_step (org_id, mail_id, id)",
    "CREATE INDEX mail_file_of_mail ON mail_file (org_id, mail_id, position)",
    "CREATE INDEX mail_file_of_user ON mail_file (org_id, user_id)",
)


def upgrade() -> None:
    op.execute("DROP TABLE sent_message")
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)
    for statement in INDEXES:
        op.execute(statement)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    op.execute(_FIRST)
    protect(op, "sent_message")
