"""The place in SharePoint that an organisation chose, and files on their way there.

Pods of the version before leave such files to this one: they know no place, and complete only what they were sent.
"""

from alembic import op

from shared.hosting.migrate import protect

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        """CREATE TABLE location (
            org_id text PRIMARY KEY, version bigint NOT NULL DEFAULT 1, tid text NOT NULL, site_id text NOT NULL,
            drive_id text NOT NULL, folder_id text NOT NULL, name text NOT NULL, web_url text NOT NULL,
            site_url text NOT NULL, state text NOT NULL DEFAULT 'works', nearly_full boolean NOT NULL DEFAULT false,
            state_since timestamptz NOT NULL DEFAULT clock_timestamp(),
            looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            chosen_at timestamptz NOT NULL DEFAULT clock_timestamp(), chosen_by text NOT NULL)"""
    )
    protect(op, "location")
    op.execute(
        """ALTER TABLE stored_file ADD COLUMN file_name text, ADD COLUMN drive_id text, ADD COLUMN folder_id text,
               ADD COLUMN upload bytea, ADD COLUMN upload_step bigint NOT NULL DEFAULT 0,
               ADD COLUMN item_id text, ADD COLUMN item_name text"""
    )


def downgrade() -> None:
    """Files in SharePoint cannot be read by the former version; they stay there."""
    op.execute(
        """ALTER TABLE stored_file DROP COLUMN file_name, DROP COLUMN drive_id, DROP COLUMN folder_id,
               DROP COLUMN upload, DROP COLUMN upload_step, DROP COLUMN item_id, DROP COLUMN item_name"""
    )
    op.execute("DROP TABLE location")
