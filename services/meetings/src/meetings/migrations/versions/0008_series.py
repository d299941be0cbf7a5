"""Series: a row that repeats, and its occurrences, which are meetings."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN repeats jsonb, ADD COLUMN series_id text")
    op.execute("ALTER TABLE meeting ADD COLUMN original_start timestamptz")
    op.execute("CREATE INDEX meeting_of_series ON meeting (org_id, series_id, starts_at) WHERE series_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_of_series")
    op.execute("ALTER TABLE meeting DROP COLUMN repeats, DROP COLUMN series_id, DROP COLUMN original_start")
