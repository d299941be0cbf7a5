"""Conversations with contacts: the messages of people's mailboxes, each person's own, and what they are found by."""

from alembic import op

from shared.database.row_security import owning
from shared.hosting.migrate import protect
from shared.mailboxes.folders import TABLE as MAILBOX_FOLDER

revision = "0003"
down_revision = "0002"

_FIRST = {
    "synced_message": """CREATE TABLE synced_message (
        org_id text NOT NULL, user_id text NOT NULL, graph_id text NOT NULL, internet_message_id text,
        conversation_id text, subject text, sender text, received_at timestamptz, removed_at timestamptz,
        PRIMARY KEY (org_id, user_id, graph_id))""",
    "mail_cursor": """CREATE TABLE mail_cursor (
        org_id text NOT NULL, user_id text NOT NULL, folder_id text NOT NULL, delta_link text,
        read_at timestamptz, PRIMARY KEY (org_id, user_id, folder_id))""",
}
"""Nothing ever wrote to them."""

TABLES = {
    "mailbox_folder": MAILBOX_FOLDER,
    "mail_round": """CREATE TABLE mail_round (
        org_id text NOT NULL, user_id text NOT NULL, account text NOT NULL, folder_id text NOT NULL,
        number bigint NOT NULL, whole boolean NOT NULL, link text, listed boolean NOT NULL DEFAULT false,
        known_until timestamptz, skipped jsonb NOT NULL DEFAULT '{}',
        began_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, user_id, account, folder_id))""",
    "folder_health": """CREATE TABLE folder_health (
        org_id text NOT NULL, user_id text NOT NULL, account text NOT NULL, folder_id text NOT NULL,
        problem jsonb, skipped jsonb NOT NULL DEFAULT '{}', PRIMARY KEY (org_id, user_id, account, folder_id))""",
    "contact_address": """CREATE TABLE contact_address (
        org_id text NOT NULL, contact_id text NOT NULL, address text NOT NULL, user_id text NOT NULL,
        shared boolean NOT NULL, PRIMARY KEY (org_id, contact_id, address))""",
    "address_cursor": "CREATE TABLE address_cursor (org_id text PRIMARY KEY, cursor text NOT NULL)",
    "mail_backfill": """CREATE TABLE mail_backfill (
        org_id text NOT NULL, user_id text NOT NULL, address text NOT NULL, link text,
        found integer NOT NULL DEFAULT 0, made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (org_id, user_id, address))""",
    "mail_retention": """CREATE TABLE mail_retention (
        org_id text PRIMARY KEY, keep_days integer CHECK (keep_days BETWEEN 30 AND 36500))""",
}
OWNED = {
    "conversation": """CREATE TABLE conversation (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, shared boolean NOT NULL DEFAULT false,
        subject text NOT NULL DEFAULT '', participants jsonb NOT NULL DEFAULT '[]',
        addresses text[] NOT NULL DEFAULT '{}', messages integer NOT NULL DEFAULT 0,
        last_at timestamptz NOT NULL DEFAULT '-infinity', last_direction text NOT NULL DEFAULT 'received',
        has_attachments boolean NOT NULL DEFAULT false, version bigint NOT NULL DEFAULT 1, PRIMARY KEY (org_id, id))""",
    "message": """CREATE TABLE message (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, shared boolean NOT NULL DEFAULT false,
        account text NOT NULL, graph_id text NOT NULL, folder_id text NOT NULL, conversation_id text NOT NULL,
        internet_message_id text, graph_conversation_id text NOT NULL DEFAULT '',
        direction text NOT NULL CHECK (direction IN ('received', 'sent')), subject text NOT NULL,
        people jsonb NOT NULL, addresses text[] NOT NULL, at timestamptz NOT NULL, preview bytea, body bytea,
        attachments jsonb NOT NULL DEFAULT '[]', why text NOT NULL, round bigint NOT NULL DEFAULT 0,
        doubted boolean NOT NULL DEFAULT false, PRIMARY KEY (org_id, id))""",
    "message_reference": """CREATE TABLE message_reference (
        org_id text NOT NULL, user_id text NOT NULL, key text NOT NULL, conversation_id text NOT NULL,
        shared boolean NOT NULL DEFAULT false, PRIMARY KEY (org_id, user_id, key))""",
}
INDEXES = (
    "CREATE INDEX contact_address_known ON contact_address (org_id, address)",
    "CREATE UNIQUE INDEX message_once ON message (org_id, user_id, account, graph_id)",
    "CREATE INDEX message_of_conversation ON message (org_id, conversation_id, at)",
    "CREATE INDEX message_thread ON message (org_id, user_id, graph_conversation_id)",
    "CREATE INDEX message_in_folder ON message (org_id, user_id, account, folder_id)",
    "CREATE INDEX message_doubted ON message (org_id, user_id, account) WHERE doubted",
    "CREATE INDEX message_old ON message (org_id, at)",
    "CREATE INDEX conversation_shown ON conversation (org_id, user_id, last_at DESC, id DESC)",
    "CREATE INDEX conversation_shared ON conversation (org_id, last_at DESC, id DESC) WHERE shared",
    "CREATE INDEX conversation_addresses ON conversation USING gin (addresses)",
    "CREATE INDEX message_reference_key ON message_reference (org_id, key)",
    "CREATE INDEX message_reference_of ON message_reference (org_id, conversation_id)",
    "CREATE INDEX outgoing_mail_message ON outgoing_mail (org_id, user_id, internet_message_id)",
)
MAILBOX = """ALTER TABLE mailbox ADD COLUMN account text NOT NULL DEFAULT '',
    ADD COLUMN state text NOT NULL DEFAULT 'waiting', ADD COLUMN problem jsonb,
    ADD COLUMN rounds bigint NOT NULL DEFAULT 0,
    ADD COLUMN last_round_at timestamptz, ADD COLUMN subscription text NOT NULL DEFAULT 'none',
    ADD COLUMN sent_folder text NOT NULL DEFAULT ''"""


def upgrade() -> None:
    for name in _FIRST:
        op.execute(f"DROP TABLE {name}")
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)
    for name, statement in OWNED.items():
        op.execute(statement)
        protect(op, name)
        for policy in owning(name, shared=True):
            op.execute(policy)
    for statement in INDEXES:
        op.execute(statement)
    op.execute(MAILBOX)


def downgrade() -> None:
    op.execute("DROP INDEX outgoing_mail_message")
    columns = ("account", "state", "problem", "rounds", "last_round_at", "subscription", "sent_folder")
    op.execute(f"ALTER TABLE mailbox {', '.join(f'DROP COLUMN {name}' for name in columns)}")
    for name in reversed([*TABLES, *OWNED]):
        op.execute(f"DROP TABLE {name}")
    for name, statement in _FIRST.items():
        op.execute(statement)
        protect(op, name)
