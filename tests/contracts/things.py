"""Things of people of two organisations, for routes that are asked for them by others."""

import uuid

PEOPLE = [("acme", "anna"), ("acme", "ben"), ("globex", "anna")]
OWNER = ("acme", "anna")


def series_of(id_: str) -> str:
    """The id of the series beside a person's meeting, for it cannot have the meeting's."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, id_))


ROWS: dict[str, list[str]] = {
    "meetings": [
        """INSERT INTO meeting (org_id, id, user_id, organizer_name, organizer_oid, subject, body, starts_at, ends_at,
               attendees, status, version, auto_recording)
           VALUES (:org, :id, :user, 'private', 'o', 'private', '', now(), now() + interval '1 hour', '[]', 'scheduled',
               1, false)""",
        """INSERT INTO meeting (org_id, id, user_id, organizer_name, organizer_oid, subject, body, starts_at, ends_at,
               attendees, status, version, auto_recording, repeats)
           VALUES (:org, :series, :user, 'private', 'o', 'private', '', now(), now() + interval '1 hour', '[]',
               'scheduled', 1, false, '{"every": "day", "count": 2}')""",
    ],
    "contacts": [
        """INSERT INTO contact (org_id, id, user_id, record, name, sort_name)
           VALUES (:org, :id, :user, '{"fields": {}, "sets": {}}', 'private', 'private')""",
        """INSERT INTO import_run (org_id, id, user_id, account, status, folders)
           VALUES (:org, :id, :user, 'o', 'planned', '[{"id": "f", "name": "private"}]')""",
        """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name)
           VALUES (:org, :user, 'o', :id, 'private')""",
    ],
    "mail": [
        """INSERT INTO outgoing_mail (org_id, id, user_id, account, status, subject, recipients, content_type, body)
           VALUES (:org, :id, :user, 'o', 'failed', 'private', '[]', 'text', '')""",
        """INSERT INTO mail_file (org_id, id, user_id, name, media_type, size_bytes, whole)
           VALUES (:org, :id, :user, 'private', 'text/plain', 1, true)""",
        """INSERT INTO conversation (org_id, id, user_id, subject) VALUES (:org, :id, :user, 'private')""",
        """INSERT INTO message (org_id, id, user_id, account, graph_id, folder_id, conversation_id, direction, subject,
               people, addresses, at, why, attachments)
           VALUES (:org, :id, :user, 'o', :id, 'f', :id, 'received', 'private', '[]', '{}', now(), 'first',
               jsonb_build_array(jsonb_build_object('id', CAST(:id AS text), 'name', 'private', 'size', 1,
                   'inline', false, 'content_type', 'text/plain')))""",
        """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name)
           VALUES (:org, :user, 'o', :id, 'private')""",
    ],
    "storage": [
        """INSERT INTO stored_file (org_id, id, dedupe_key, path, content_type, size_bytes, owner_id, token_hash,
               completed_at, by_person, file_name)
           VALUES (:org, :id, :id, 'private', 'video/mp4', 0, :user, :id, now(), true, 'private')"""
    ],
    "recording-ingest": [
        """INSERT INTO ledger_meeting (org_id, meeting_id, user_id, subject, auto_recording, status, meeting_version,
               revision, version, absences)
           VALUES (:org, :id, :user, 'private', true, 'ended', 1, 1, 1, '{}')""",
        """INSERT INTO artefact (org_id, id, meeting_id, kind, graph_id, created_at, status)
           VALUES (:org, :id, :id, 'transcript', :id, now(), 'imported')""",
        """INSERT INTO transcript (org_id, id, meeting_id, user_id, speakers)
           VALUES (:org, :id, :id, :user, '[]')""",
        """INSERT INTO transcript_line (org_id, transcript_id, number, start_ms, end_ms, text)
           VALUES (:org, :id, 1, 0, 1, 'private')""",
        """INSERT INTO unassigned (org_id, id, user_id, online_meeting_id, kind, graph_id, created_at, why, scores)
           VALUES (:org, :id, :user, 'private', 'transcript', 'unassigned ' || :id, now(), 'far', '[]')""",
    ],
}
"""A thing of one person, with ``:id`` wherever a route names it."""
