"""Who placed an artefact, that it has lost its place, and where its file lies."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE artefact ADD COLUMN by_person boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE artefact ADD COLUMN adrift jsonb")
    op.execute("ALTER TABLE artefact ADD COLUMN location text")
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(
        """UPDATE artefact a SET by_person = true FROM meeting_step s
           WHERE (s.org_id, s.meeting_id) = (a.org_id, a.meeting_id) AND s.what = 'assigned'
               AND s.details ->> 'by' = 'person' AND s.details ->> 'artefact_id' = a.id"""
    )
    op.execute("CREATE INDEX artefact_adrift ON artefact (org_id) WHERE adrift IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX artefact_adrift")
    op.execute("ALTER TABLE artefact DROP COLUMN location")
    op.execute("ALTER TABLE artefact DROP COLUMN adrift")
    op.execute("ALTER TABLE artefact DROP COLUMN by_person")
