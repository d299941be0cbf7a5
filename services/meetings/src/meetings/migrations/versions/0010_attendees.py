"""Who attends, for their own view, and whether the organizer shares the recording with them.

A trigger writes it, so that no way to change the attendees is forgotten.
"""

from alembic import op

from shared.hosting.migrate import protect

revision = "0010"
down_revision = "0009"

TABLE = """CREATE TABLE attendance (
    org_id text NOT NULL, address text NOT NULL, meeting_id text NOT NULL, PRIMARY KEY (org_id, address, meeting_id),
    FOREIGN KEY (org_id, meeting_id) REFERENCES meeting (org_id, id) ON DELETE CASCADE)"""
_ADDRESSES = """SELECT DISTINCT m.org_id, lower(one ->> 'email') AS address, m.id
    FROM {meetings} m, jsonb_array_elements(m.attendees) AS one WHERE m.repeats IS NULL"""
FUNCTION = f"""CREATE FUNCTION note_attendance() RETURNS trigger LANGUAGE plpgsql AS $do$ BEGIN
    DELETE FROM attendance WHERE org_id = NEW.org_id AND meeting_id = NEW.id;
    INSERT INTO attendance (org_id, address, meeting_id) {_ADDRESSES.format(meetings="(SELECT NEW.*)")};
    RETURN NULL; END $do$"""
TRIGGER = """CREATE TRIGGER attendance_of_meeting AFTER INSERT OR UPDATE OF attendees ON meeting
    FOR EACH ROW EXECUTE FUNCTION note_attendance()"""


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN shared_with_attendees boolean NOT NULL DEFAULT false")
    op.execute(TABLE)
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(f"INSERT INTO attendance (org_id, address, meeting_id) {_ADDRESSES.format(meetings='meeting')}")
    op.execute("CREATE INDEX attendance_of_meeting ON attendance (org_id, meeting_id)")
    protect(op, "attendance")
    op.execute(FUNCTION)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER attendance_of_meeting ON meeting")
    op.execute("DROP FUNCTION note_attendance()")
    op.execute("DROP TABLE attendance")
    op.execute("ALTER TABLE meeting DROP COLUMN shared_with_attendees")
