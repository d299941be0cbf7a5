"""Every recording and transcript of a meeting, not only the newest."""

from alembic import op

revision = "0009"
down_revision = "0008"

_NEWEST = """UPDATE meeting SET artefacts = artefacts || jsonb_build_array(
        jsonb_strip_nulls({kind} - 'content_url' - 'duration_s')
        || jsonb_build_object('kind', '{kind}', 'version', {kind}_version, 'created_at', null))
    WHERE {kind} ->> 'artefact_id' IS NOT NULL"""


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN artefacts jsonb NOT NULL DEFAULT '[]'")
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    for kind in ("recording", "transcript"):
        op.execute(_NEWEST.format(kind=kind))
    op.execute("DROP INDEX meeting_recording_file")
    op.execute("CREATE INDEX meeting_artefacts ON meeting USING gin (artefacts jsonb_path_ops)")


def downgrade() -> None:
    op.execute("DROP INDEX meeting_artefacts")
    op.execute("CREATE INDEX meeting_recording_file ON meeting (org_id, (recording ->> 'file_id'))")
    op.execute("ALTER TABLE meeting DROP COLUMN artefacts")
