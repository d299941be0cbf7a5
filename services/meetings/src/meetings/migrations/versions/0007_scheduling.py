"""What a meeting is scheduled with beside times and people, and what the attendees answered."""

from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = {
    "zone": "text NOT NULL DEFAULT 'UTC'",
    "options": "jsonb NOT NULL DEFAULT '{}'",
    "recording_wanted": "boolean NOT NULL DEFAULT true",
    "responses": "jsonb NOT NULL DEFAULT '{}'",
}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.execute(f"ALTER TABLE meeting ADD COLUMN {name} {kind}")
    op.execute("CREATE INDEX meeting_by_time ON meeting (org_id, user_id, starts_at, id)")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_by_time")
    for name in _COLUMNS:
        op.execute(f"ALTER TABLE meeting DROP COLUMN {name}")
