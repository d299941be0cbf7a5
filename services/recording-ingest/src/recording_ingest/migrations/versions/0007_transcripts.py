"""What was said, line by line, with an index of its words; and whether a transcript names speakers."""

from alembic import op

from shared.hosting.migrate import protect

revision = "0007"
down_revision = "0006"

LINE = """CREATE TABLE transcript_line (
    org_id text NOT NULL, transcript_id text NOT NULL, number integer NOT NULL, speaker text, start_ms bigint NOT NULL,
    end_ms bigint NOT NULL, text text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED,
    PRIMARY KEY (org_id, transcript_id, number), FOREIGN KEY (org_id, transcript_id) REFERENCES transcript)"""
_APART = """INSERT INTO transcript_line (org_id, transcript_id, number, speaker, start_ms, end_ms, text)
    SELECT org_id, id, number, line->>'speaker', (line->>'start_ms')::bigint, (line->>'end_ms')::bigint, line->>'text'
    FROM transcript, jsonb_array_elements(lines) WITH ORDINALITY AS each(line, number)"""
_TOGETHER = """UPDATE transcript SET lines = coalesce((SELECT jsonb_agg(jsonb_build_object(
        'speaker', speaker, 'start_ms', start_ms, 'end_ms', end_ms, 'text', text) ORDER BY number)
    FROM transcript_line l WHERE (l.org_id, l.transcript_id) = (transcript.org_id, transcript.id)), '[]')"""


def upgrade() -> None:
    op.execute("ALTER TABLE transcript ADD COLUMN attributed boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE transcript ADD COLUMN line_count integer NOT NULL DEFAULT 0")
    op.execute(LINE)
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(_APART)
    op.execute("UPDATE transcript SET line_count = jsonb_array_length(lines)")
    op.execute("ALTER TABLE transcript DROP COLUMN lines")
    op.execute("CREATE INDEX transcript_line_words ON transcript_line USING gin (words)")
    op.execute("CREATE INDEX transcript_user ON transcript (org_id, user_id)")
    protect(op, "transcript_line")


def downgrade() -> None:
    op.execute("SET LOCAL app.scope = 'system'")
    op.execute("ALTER TABLE transcript ADD COLUMN lines jsonb NOT NULL DEFAULT '[]'")
    op.execute(_TOGETHER)
    op.execute("ALTER TABLE transcript ALTER COLUMN lines DROP DEFAULT")
    op.execute("DROP INDEX transcript_user")
    op.execute("DROP TABLE transcript_line")
    op.execute("ALTER TABLE transcript DROP COLUMN line_count, DROP COLUMN attributed")
