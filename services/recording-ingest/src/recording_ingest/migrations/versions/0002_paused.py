"""Imports that pause, and whether the newest news of a meeting's recording option is known."""

from alembic import op

revision = "0002"
down_revision = "0001"
_STATUS = "ALTER TABLE artefact ADD CONSTRAINT artefact_status_check CHECK (status IN ({}))"
_BEFORE = "'detected', 'importing', 'imported', 'unavailable'"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_meeting ADD COLUMN recording_version bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE artefact ADD COLUMN resumed_at timestamptz")
    op.execute("ALTER TABLE artefact DROP CONSTRAINT artefact_status_check")
    op.execute(_STATUS.format(f"{_BEFORE}, 'paused'"))


def downgrade() -> None:
    op.execute("UPDATE artefact SET status = 'detected' WHERE status = 'paused'")
    op.execute("ALTER TABLE artefact DROP CONSTRAINT artefact_status_check")
    op.execute(_STATUS.format(_BEFORE))
    op.execute("ALTER TABLE artefact DROP COLUMN resumed_at")
    op.execute("ALTER TABLE ledger_meeting DROP COLUMN recording_version")
