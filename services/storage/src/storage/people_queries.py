"""SQL of what people do with their files, and of what an organisation decided about them."""

from sqlalchemy import text

from storage.queries import COLUMNS

_OWN = "org_id = :org_id AND id = :id AND owner_id = :user_id AND by_person"

QUOTA = text("SELECT pg_advisory_xact_lock(hashtextextended('storage_quota|' || :org_id, 0))")
"""Held to the end of the transaction: two uploads at the same moment do not both take the last room."""
KEPT_BYTES = text(
    """SELECT coalesce(sum(size_bytes), 0)::bigint FROM stored_file
       WHERE org_id = :org_id AND (drive_id IS NULL OR id IN (
           SELECT file_id FROM file_move WHERE org_id = :org_id AND drive_id IS NULL AND NOT failed))"""
)
"""With those that are on their way back: nobody takes their room meanwhile."""
BEGIN = text(
    f"""INSERT INTO stored_file (org_id, id, dedupe_key, path, content_type, size_bytes, owner_id, file_name, shared,
            wanted_sha256, by_person)
        VALUES (:org_id, :id, :dedupe_key, :path, :content_type, :size_bytes, :user_id, :name, :shared, :sha256, true)
        ON CONFLICT (org_id, dedupe_key) DO UPDATE SET touched_at = clock_timestamp() RETURNING {COLUMNS}"""
)
OWN = text(f"SELECT {COLUMNS} FROM stored_file WHERE {_OWN}")
ADVANCE = text(
    f"""UPDATE stored_file SET received_bytes = :end, parts = parts || CAST(:part AS text), problem = NULL,
            touched_at = clock_timestamp()
        WHERE {_OWN} AND received_bytes = :start AND completed_at IS NULL AND NOT checking RETURNING {COLUMNS}"""
)
CHECKING = text(
    f"""UPDATE stored_file SET checking = true, touched_at = clock_timestamp()
        WHERE {_OWN} AND completed_at IS NULL AND received_bytes = size_bytes RETURNING {COLUMNS}"""
)
WHOLE = text(
    f"""UPDATE stored_file SET completed_at = clock_timestamp(), in_parts = true, checking = false, sha256 = :sha256
        WHERE org_id = :org_id AND id = :id AND completed_at IS NULL AND checking RETURNING {COLUMNS}"""
)
ANEW = text(
    """UPDATE stored_file SET received_bytes = 0, parts = '{}', checking = false, problem = 'sha256_mismatch'
       WHERE org_id = :org_id AND id = :id AND completed_at IS NULL AND checking RETURNING id"""
)
HASHED = text(
    """UPDATE stored_file SET sha256 = :sha256
       WHERE org_id = :org_id AND id = :id AND completed_at IS NOT NULL AND sha256 IS NULL
         AND item_id IS NOT DISTINCT FROM CAST(:item_id AS text)"""
)
SHARE = text(
    f"""UPDATE stored_file SET shared = coalesce(CAST(:shared AS boolean), shared)
        WHERE org_id = :org_id AND id = :id AND owner_id = :user_id AND completed_at IS NOT NULL RETURNING {COLUMNS}"""
)
MAY_DELETE = text(
    f"""SELECT {COLUMNS} FROM stored_file WHERE org_id = :org_id AND id = :id
            AND (owner_id = :user_id OR CAST(:any AS boolean)) FOR UPDATE"""
)
DELETE = text("DELETE FROM stored_file WHERE org_id = :org_id AND id = :id")

LEAVE_COPY = text(
    """INSERT INTO left_copy (org_id, id, drive_id, folder_id, item_id)
       VALUES (:org_id, :id, :drive_id, :folder_id, :item_id)
       ON CONFLICT DO NOTHING"""
)
LEFT_COPY = text("SELECT * FROM left_copy WHERE org_id = :org_id AND id = :id")
SAY_OF_COPY = text("UPDATE left_copy SET says = :says WHERE org_id = :org_id AND id = :id")
COPY_IS_GONE = text("DELETE FROM left_copy WHERE org_id = :org_id AND id = :id")
LEFT_COPIES = text(
    """SELECT * FROM left_copy WHERE org_id = :org_id AND (CAST(:cursor AS text) IS NULL OR id > CAST(:cursor AS text))
       ORDER BY id LIMIT :limit"""
)

LINK = text(
    """INSERT INTO file_link (org_id, id, file_id, made_by, expires_at)
       VALUES (:org_id, :id, :file_id, :user_id,
           date_trunc('second', clock_timestamp()) + make_interval(secs => :for_s))
       RETURNING *"""
)
LINKS = text("SELECT * FROM file_link WHERE org_id = :org_id AND file_id = :file_id ORDER BY made_at DESC LIMIT 100")
REVOKE = text(
    """UPDATE file_link SET revoked_at = coalesce(revoked_at, clock_timestamp())
       WHERE org_id = :org_id AND file_id = :file_id AND id = :id RETURNING *"""
)
LINK_HOLDS = text(
    """SELECT 1 FROM file_link WHERE org_id = :org_id AND id = :id AND revoked_at IS NULL
           AND expires_at > clock_timestamp()"""
)
OPEN_LINK = text(
    """UPDATE file_link SET opened = opened + 1
       WHERE org_id = :org_id AND id = :id AND revoked_at IS NULL AND expires_at > clock_timestamp()
       RETURNING file_id"""
)

POLICY = text("SELECT * FROM file_policy WHERE org_id = :org_id")
DECIDE = text(
    """INSERT INTO file_policy (org_id, retention_days, hold, hold_since, when_stopped, changed_by)
       VALUES (:org_id, :retention_days, :hold, CASE WHEN :hold THEN clock_timestamp() END, :when_stopped, :user_id)
       ON CONFLICT (org_id) DO UPDATE SET retention_days = excluded.retention_days, hold = excluded.hold,
           hold_since = CASE WHEN excluded.hold THEN coalesce(file_policy.hold_since, clock_timestamp()) END,
           when_stopped = excluded.when_stopped, changed_at = clock_timestamp(), changed_by = excluded.changed_by
       RETURNING *"""
)
OUTLIVED = text(
    f"""SELECT {COLUMNS} FROM stored_file WHERE org_id = :org_id
            AND completed_at < clock_timestamp() - make_interval(days => :days)
        ORDER BY completed_at LIMIT :limit FOR UPDATE SKIP LOCKED"""
)
UNDER_WAY = text(
    """SELECT id FROM stored_file WHERE org_id = :org_id AND id = ANY(:ids) AND completed_at IS NULL
       UNION SELECT file_id FROM file_move WHERE org_id = :org_id AND file_id = ANY(:ids)"""
)
"""Files whose bytes in a staging folder somebody may still continue."""
