"""What was said, line by line, with an index of its words; and whether a transcript names speakers.

A process of the previous version may write transcripts meanwhile, with their lines in one column; a trigger puts them
apart. The column goes with a later migration.
"""

from alembic import op

from shared.hosting.migrate import protect

revision = "0007"
down_revision = "0006"

# An index of words holds a megabyte; a line that nobody could have spoken is found by its first words.
LINE = """CREATE TABLE transcript_line (
    org_id text NOT NULL, transcript_id text NOT NULL, number integer NOT NULL, speaker text, start_ms bigint NOT NULL,
    end_ms bigint NOT NULL, text text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', left(text, 100000))) STORED,
    PRIMARY KEY (org_id, transcript_id, number), FOREIGN KEY (org_id, transcript_id) REFERENCES transcript)"""
_APART = """INSERT INTO transcript_line (org_id, transcript_id, number, speaker, start_ms, end_ms, text)
    SELECT org_id, id, number, line->>'speaker', (line->>'start_ms')::bigint, (line->>'end_ms')::bigint, line->>'text'
    FROM transcript, jsonb_array_elements(lines) WITH ORDINALITY AS each(line, number)"""
_MEANWHILE = """CREATE FUNCTION transcript_apart() RETURNS trigger LANGUAGE plpgsql AS $apart$
BEGIN
    INSERT INTO transcript_line (org_id, transcript_id, number, speaker, start_ms, end_ms, text)
        SELECT NEW.org_id, NEW.id, number, line->>'speaker', (line->>'start_ms')::bigint, (line->>'end_ms')::bigint,
               line->>'text' FROM jsonb_array_elements(NEW.lines) WITH ORDINALITY AS each(line, number);
    UPDATE transcript SET line_count = jsonb_array_length(NEW.lines), lines = '[]'
        WHERE (org_id, id) = (NEW.org_id, NEW.id);
    RETURN NULL;
END $apart$"""
_TRIGGER = """CREATE TRIGGER apart AFTER INSERT ON transcript FOR EACH ROW WHEN (NEW.lines <> '[]')
    EXECUTE FUNCTION transcript_apart()"""
_TOGETHER = """UPDATE transcript SET lines = coalesce((SELECT jsonb_agg(jsonb_build_object(
        'speaker', speaker, 'start_ms', start_ms, 'end_ms', end_ms, 'text', text) ORDER BY number)
    FROM transcript_line l WHERE (l.org_id, l.transcript_id) = (transcript.org_id, transcript.id)), '[]')"""


def upgrade() -> None:
    op.execute("ALTER TABLE transcript ADD COLUMN attributed boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE transcript ADD COLUMN line_count integer NOT NULL DEFAULT 0")
    op.execute(LINE)
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(_APART)
    op.execute("UPDATE transcript SET line_count = jsonb_array_length(lines), lines = '[]'")
    op.execute("ALTER TABLE transcript ALTER COLUMN lines SET DEFAULT '[]'")
    op.execute(_MEANWHILE)
    op.execute(_TRIGGER)
    op.execute("CREATE INDEX transcript_line_words ON transcript_line USING gin (words)")
    op.execute("CREATE INDEX transcript_user ON transcript (org_id, user_id)")
    protect(op, "transcript_line")


def downgrade() -> None:
    op.execute("SET LOCAL app.scope = 'system'")
    op.execute("DROP TRIGGER apart ON transcript")
    op.execute("DROP FUNCTION transcript_apart")
    op.execute(_TOGETHER)
    op.execute("ALTER TABLE transcript ALTER COLUMN lines DROP DEFAULT")
    op.execute("DROP INDEX transcript_user")
    op.execute("DROP TABLE transcript_line")
    op.execute("ALTER TABLE transcript DROP COLUMN line_count, DROP COLUMN attributed")
