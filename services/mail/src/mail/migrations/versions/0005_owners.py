"""What a person writes, and how their mailbox and contacts are, is theirs in the database too."""

from alembic import op

from shared.database.row_security import owning

revision = "0005"
down_revision = "0004"

# Jobs of the organisation, which name nobody, go on seeing all of it: they send, and keep the contacts' addresses.
TABLES = (
    "outgoing_mail",
    "mail_step",
    "mail_file",
    "mail_file_part",
    "request_key",
    "mailbox",
    "mailbox_folder",
    "mail_round",
    "folder_health",
    "mail_backfill",
    "contact_address",
)
POLICIES = ("owner_reads", "owner_adds", "owner_changes", "owner_deletes")


def upgrade() -> None:
    for table in TABLES:
        for statement in owning(table, shared=table == "contact_address", jobs=True):
            op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        for policy in POLICIES:
            op.execute(f"DROP POLICY {policy} ON {table}")
