"""The first tables."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0001"
down_revision = None

TABLES = {
    "sent_message": """CREATE TABLE sent_message (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, graph_id text, internet_message_id text,
        subject text NOT NULL, recipients jsonb NOT NULL,
        status text NOT NULL CHECK (status IN ('queued', 'sent', 'failed')), problem jsonb,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(), sent_at timestamptz, PRIMARY KEY (org_id, id))""",
    "synced_message": """CREATE TABLE synced_message (
        org_id text NOT NULL, user_id text NOT NULL, graph_id text NOT NULL, internet_message_id text,
        conversation_id text, subject text, sender text, received_at timestamptz, removed_at timestamptz,
        PRIMARY KEY (org_id, user_id, graph_id))""",
    "mail_cursor": """CREATE TABLE mail_cursor (
        org_id text NOT NULL, user_id text NOT NULL, folder_id text NOT NULL, delta_link text,
        read_at timestamptz, PRIMARY KEY (org_id, user_id, folder_id))""",
}


def upgrade() -> None:
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
