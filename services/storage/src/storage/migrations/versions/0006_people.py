"""Files of people: uploads, links, moves between places, and what an organisation decided about its files.

Pods of the version before see the files of people as they see others; they upload none, and move none.
"""

from alembic import op

from shared.hosting.migrate import protect

revision = "0006"
down_revision = "0005"

TABLES = {
    "file_link": """CREATE TABLE file_link (
        org_id text NOT NULL, id text NOT NULL, file_id text NOT NULL, made_by text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(), expires_at timestamptz NOT NULL, revoked_at timestamptz,
        opened bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (org_id, id), FOREIGN KEY (org_id, file_id) REFERENCES stored_file ON DELETE CASCADE)""",
    "file_move": """CREATE TABLE file_move (
        org_id text NOT NULL, file_id text NOT NULL, why text NOT NULL, drive_id text NOT NULL, folder_id text NOT NULL,
        upload bytea, step bigint NOT NULL DEFAULT 0, hashed jsonb, moved_bytes bigint NOT NULL DEFAULT 0,
        tries int NOT NULL DEFAULT 0, says text, failed boolean NOT NULL DEFAULT false,
        not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
        queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (org_id, file_id), FOREIGN KEY (org_id, file_id) REFERENCES stored_file ON DELETE CASCADE)""",
    "migration": """CREATE TABLE migration (
        org_id text PRIMARY KEY, state text NOT NULL, drive_id text NOT NULL, folder_id text NOT NULL,
        name text NOT NULL, files bigint NOT NULL, bytes bigint NOT NULL, moved_files bigint NOT NULL DEFAULT 0,
        moved_bytes bigint NOT NULL DEFAULT 0, started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz, started_by text NOT NULL)""",
    "left_copy": """CREATE TABLE left_copy (
        org_id text NOT NULL, id text NOT NULL, drive_id text NOT NULL, folder_id text NOT NULL, item_id text NOT NULL,
        says text, since timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, id))""",
    "file_policy": """CREATE TABLE file_policy (
        org_id text PRIMARY KEY, retention_days int, hold boolean NOT NULL DEFAULT false, hold_since timestamptz,
        when_stopped text NOT NULL DEFAULT 'wait', changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        changed_by text NOT NULL)""",
}


def upgrade() -> None:
    op.execute(
        """ALTER TABLE stored_file ADD COLUMN sha256 text, ADD COLUMN wanted_sha256 text,
               ADD COLUMN by_person boolean NOT NULL DEFAULT false, ADD COLUMN shared boolean NOT NULL DEFAULT false,
               ADD COLUMN checking boolean NOT NULL DEFAULT false, ADD COLUMN problem text"""
    )
    op.execute("ALTER TABLE location ADD COLUMN told text")
    op.execute("CREATE INDEX stored_file_newest ON stored_file (org_id, created_at DESC, id DESC)")
    op.execute("CREATE INDEX stored_file_of_owner ON stored_file (org_id, owner_id, created_at DESC, id DESC)")
    for name, statement in TABLES.items():
        op.execute(statement)
        protect(op, name)
    op.execute("CREATE INDEX file_link_of_file ON file_link (org_id, file_id)")
    op.execute("CREATE INDEX file_move_next ON file_move (org_id, not_before) WHERE NOT failed")


def downgrade() -> None:
    """What people uploaded stays, readable by them as their own; links, moves and decisions are gone."""
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    op.execute("DROP INDEX stored_file_newest, stored_file_of_owner")
    op.execute("ALTER TABLE location DROP COLUMN told")
    op.execute(
        """ALTER TABLE stored_file DROP COLUMN sha256, DROP COLUMN wanted_sha256, DROP COLUMN by_person,
               DROP COLUMN shared, DROP COLUMN checking, DROP COLUMN problem"""
    )
