"""Importing: plans and runs, source records apart from contacts, and what people say of both."""

from alembic import op

from shared.hosting.migrate import protect
from shared.mailboxes.folders import TABLE as MAILBOX_FOLDER

revision = "0002"
down_revision = "0001"

_FIRST = {
    "import_run": """CREATE TABLE import_run (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL,
        status text NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
        read_count bigint NOT NULL DEFAULT 0, kept_count bigint NOT NULL DEFAULT 0, problem jsonb,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz,
        PRIMARY KEY (org_id, id))""",
    "contact": """CREATE TABLE contact (
        org_id text NOT NULL, user_id text NOT NULL, id text NOT NULL, folder_id text NOT NULL, change_key text,
        display_name text, emails jsonb NOT NULL DEFAULT '[]', phones jsonb NOT NULL DEFAULT '[]',
        company text, job_title text, removed_at timestamptz, PRIMARY KEY (org_id, user_id, id))""",
    "folder_cursor": """CREATE TABLE folder_cursor (
        org_id text NOT NULL, user_id text NOT NULL, folder_id text NOT NULL, delta_link text,
        read_at timestamptz, PRIMARY KEY (org_id, user_id, folder_id))""",
}
"""The first tables; nothing ever wrote to them."""

TABLES = {
    "mailbox_folder": MAILBOX_FOLDER,
    "import_run": """CREATE TABLE import_run (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, account text NOT NULL,
        status text NOT NULL CHECK (status IN ('reading', 'planned', 'running', 'finished', 'cancelled', 'failed',
                                               'undoing', 'undone')),
        by_itself boolean NOT NULL DEFAULT false, share boolean NOT NULL DEFAULT false,
        folders jsonb NOT NULL, removals text NOT NULL DEFAULT 'keep',
        read_count bigint NOT NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0, done bigint NOT NULL DEFAULT 0,
        counts jsonb NOT NULL DEFAULT '{}', outcome jsonb NOT NULL DEFAULT '{}', undone jsonb NOT NULL DEFAULT '{}',
        base bigint, shared_base bigint, asks jsonb, problem jsonb, remarks jsonb NOT NULL DEFAULT '[]',
        delta_links jsonb NOT NULL DEFAULT '{}', made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at timestamptz, finished_at timestamptz, PRIMARY KEY (org_id, id))""",
    "import_row": """CREATE TABLE import_row (
        org_id text NOT NULL, run_id text NOT NULL, source_id text NOT NULL, user_id text NOT NULL,
        graph_id text NOT NULL, folder_id text NOT NULL, status text NOT NULL, change_key text NOT NULL DEFAULT '',
        digest text NOT NULL DEFAULT '', name text NOT NULL DEFAULT '', sort_name text NOT NULL DEFAULT '',
        reading jsonb, payload jsonb, emails text[] NOT NULL DEFAULT '{}',
        code text, field text, sentence text, action text, contact_id text, why text, changed text[],
        outcome text, created boolean NOT NULL DEFAULT false, journal jsonb, prior jsonb, undone text, undone_why text,
        PRIMARY KEY (org_id, run_id, source_id))""",
    "source_record": """CREATE TABLE source_record (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, account text NOT NULL, graph_id text NOT NULL,
        folder_id text NOT NULL, change_key text NOT NULL, digest text NOT NULL, payload jsonb NOT NULL,
        contact_id text, why text, read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        removed_at timestamptz, dropped_at timestamptz, PRIMARY KEY (org_id, id))""",
    "contact": """CREATE TABLE contact (
        org_id text NOT NULL, id text NOT NULL, user_id text NOT NULL, shared boolean NOT NULL DEFAULT false,
        record jsonb NOT NULL, version bigint NOT NULL DEFAULT 1, name text NOT NULL, sort_name text NOT NULL,
        company text NOT NULL DEFAULT '', job_title text NOT NULL DEFAULT '', emails text[] NOT NULL DEFAULT '{}',
        phones text[] NOT NULL DEFAULT '{}', words text NOT NULL DEFAULT '', conflicts integer NOT NULL DEFAULT 0,
        archived_at timestamptz, archived_because text, made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, id))""",
    "contact_photo": """CREATE TABLE contact_photo (
        org_id text NOT NULL, contact_id text NOT NULL, user_id text NOT NULL, source_id text NOT NULL,
        change_key text NOT NULL, media_type text, photo bytea, read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (org_id, contact_id))""",
    "book": """CREATE TABLE book (
        org_id text NOT NULL, user_id text NOT NULL, revision bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 0, run_id text, PRIMARY KEY (org_id, user_id))""",
    "not_same": """CREATE TABLE not_same (
        org_id text NOT NULL, user_id text NOT NULL, one text NOT NULL, other text NOT NULL,
        said_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, user_id, one, other))""",
    "proposal": """CREATE TABLE proposal (
        org_id text NOT NULL, user_id text NOT NULL, one text NOT NULL, other text NOT NULL,
        score double precision NOT NULL, reasons jsonb NOT NULL, PRIMARY KEY (org_id, user_id, one, other))""",
    "removal_policy": """CREATE TABLE removal_policy (
        org_id text PRIMARY KEY, removed_in_outlook text NOT NULL DEFAULT 'keep'
            CHECK (removed_in_outlook IN ('keep', 'archive')))""",
    "request_key": """CREATE TABLE request_key (
        org_id text NOT NULL, user_id text NOT NULL, key text NOT NULL, request_hash text NOT NULL,
        run_id text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (org_id, user_id, key))""",
}
INDEXES = (
    "CREATE INDEX import_run_of_user ON import_run (org_id, user_id, id DESC)",
    "CREATE INDEX import_row_shown ON import_row (org_id, run_id, sort_name, source_id)",
    "CREATE INDEX import_row_folder ON import_row (org_id, run_id, folder_id)",
    "CREATE INDEX import_row_emails ON import_row USING gin (emails)",
    "CREATE INDEX source_record_folder ON source_record (org_id, user_id, account, folder_id)",
    "CREATE INDEX source_record_contact ON source_record (org_id, contact_id)",
    "CREATE INDEX contact_of_user ON contact (org_id, user_id, sort_name, id)",
    "CREATE INDEX contact_shared ON contact (org_id, sort_name, id) WHERE shared",
    "CREATE INDEX contact_emails ON contact USING gin (emails)",
)


def upgrade() -> None:
    for name in reversed(_FIRST):
        op.execute(f"DROP TABLE {name}")
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)
    for statement in INDEXES:
        op.execute(statement)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    for name, statement in _FIRST.items():
        op.execute(statement)
        protect(op, name)
