"""Indexes that no lookup by key can be mistaken for, and none that is never read.

While a table is new PostgreSQL knows nothing of its values, and to find ``(org_id, id)`` an index that begins with
``org_id`` looks as good as the primary key: each lookup then reads all that the organisation has. So no other index
begins as the primary key does. An index of addresses was never read: ``&&`` is not leakproof, and the row policy
lets no other operator look at a row first.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

BEFORE = {
    "import_row_shown": "import_row (org_id, run_id, sort_name, source_id)",
    "import_row_folder": "import_row (org_id, run_id, folder_id)",
    "import_row_emails": "import_row USING gin (emails)",
    "source_record_folder": "source_record (org_id, user_id, account, folder_id)",
    "source_record_contact": "source_record (org_id, contact_id)",
    "contact_of_user": "contact (org_id, user_id, sort_name, id)",
    "contact_emails": "contact USING gin (emails)",
}
AFTER = {
    "import_row_shown": "import_row (run_id, sort_name, source_id)",
    "source_record_folder": "source_record (user_id, account, folder_id)",
    "source_record_contact": "source_record (contact_id)",
    "contact_of_user": "contact (user_id, sort_name, id)",
}


def _replace(old: dict[str, str], new: dict[str, str]) -> None:
    for name in old:
        op.execute(f"DROP INDEX {name}")
    for name, columns in new.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")


def upgrade() -> None:
    _replace(BEFORE, AFTER)


def downgrade() -> None:
    _replace(AFTER, BEFORE)
