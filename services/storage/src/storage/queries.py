"""All SQL of the storage service."""

from sqlalchemy import text

COLUMNS = """org_id, id, path, content_type, size_bytes, received_bytes, parts, in_parts, completed_at, created_at,
    file_name, drive_id, folder_id, upload, upload_step, item_id, item_name, owner_id, sha256, quick_xor, wanted_sha256,
    by_person, shared, checking, problem"""

OPEN = text(
    f"""INSERT INTO stored_file (org_id, id, dedupe_key, path, content_type, size_bytes, token_hash, owner_id,
            file_name, drive_id, folder_id)
        VALUES (:org_id, :id, :dedupe_key, :path, :content_type, :size_bytes,
            CASE WHEN CAST(:drive_id AS text) IS NULL THEN :token_hash END, :owner_id, :name, :drive_id, :folder_id)
        ON CONFLICT (org_id, dedupe_key) DO UPDATE
        SET token_hash = CASE WHEN stored_file.completed_at IS NULL AND stored_file.drive_id IS NULL
                              THEN :token_hash END,
            touched_at = excluded.touched_at
        RETURNING {COLUMNS}"""
)
BY_TOKEN = text(f"SELECT {COLUMNS} FROM stored_file WHERE token_hash = :token_hash")
READABLE = text(
    f"""SELECT {COLUMNS} FROM stored_file
        WHERE id = :id AND completed_at IS NOT NULL
          AND (owner_id IS NULL OR shared OR owner_id = :user_id OR CAST(:whosever AS boolean))"""
)
PARTS = text(f"SELECT {COLUMNS} FROM stored_file WHERE org_id = :org_id AND id = :id")
ADVANCE = text(
    f"""UPDATE stored_file SET received_bytes = :end, parts = parts || CAST(:part AS text),
            touched_at = clock_timestamp()
        WHERE token_hash = :token_hash AND received_bytes = :start RETURNING {COLUMNS}"""
)
COMPLETE = text(
    """UPDATE stored_file SET completed_at = clock_timestamp(), in_parts = true
       WHERE org_id = :org_id AND id = :id AND completed_at IS NULL RETURNING id"""
)
ABANDON = text("DELETE FROM stored_file WHERE token_hash = :token_hash AND completed_at IS NULL")
GIVE_UP = text(
    """DELETE FROM stored_file WHERE org_id = :org_id AND completed_at IS NULL
           AND touched_at < clock_timestamp() - make_interval(secs => :keep_s) RETURNING id"""
)
NEXT_GIVEN_UP_S = text(
    """SELECT CAST(extract(epoch FROM min(touched_at) - clock_timestamp()) AS float) + :keep_s
       FROM stored_file WHERE org_id = :org_id AND completed_at IS NULL"""
)
UNFINISHED = text(
    """SELECT count(*) AS sessions, coalesce(sum(size_bytes), 0) AS bytes FROM stored_file
       WHERE org_id = :org_id AND completed_at IS NULL"""
)
THERE = text("SELECT id FROM stored_file WHERE org_id = :org_id AND id = :id")
AIM = text(
    f"""UPDATE stored_file SET drive_id = :drive_id, folder_id = :folder_id, upload = NULL,
            upload_step = upload_step + 1, token_hash = CASE WHEN CAST(:drive_id AS text) IS NULL THEN :token_hash END
        WHERE org_id = :org_id AND id = :id AND completed_at IS NULL AND upload_step = :step
        RETURNING {COLUMNS}"""
)
"""Another place than the one the file was on its way to."""
KEEP_UPLOAD = text(
    """UPDATE stored_file SET upload = :upload, upload_step = upload_step + 1, touched_at = clock_timestamp()
       WHERE org_id = :org_id AND id = :id AND completed_at IS NULL AND upload_step = :step RETURNING id"""
)
DELIVERED = text(
    """UPDATE stored_file SET completed_at = clock_timestamp(), received_bytes = size_bytes, upload = NULL,
           item_id = :item_id, item_name = :item_name, sha256 = :sha256, quick_xor = :quick_xor
       WHERE org_id = :org_id AND id = :id AND completed_at IS NULL RETURNING id"""
)
COUNTS = text(
    """SELECT count(*) FILTER (WHERE completed_at IS NOT NULL) AS files,
              count(*) FILTER (WHERE completed_at IS NULL) AS waiting FROM stored_file WHERE org_id = :org_id"""
)
_SHOWN_NAME = "coalesce(item_name, file_name, path)"
_AFTER = """(CAST(:cursor AS text) IS NULL OR (created_at, id) <
            (SELECT created_at, id FROM stored_file WHERE org_id = :org_id AND id = CAST(:cursor AS text)))"""
_NAMED = f"(CAST(:named AS text) IS NULL OR strpos(lower({_SHOWN_NAME}), lower(CAST(:named AS text))) > 0)"
_PLACED = """(CAST(:placed AS text) IS NULL OR (drive_id IS NOT NULL) = (CAST(:placed AS text) = 'sharepoint'))"""
FILES = text(
    f"""SELECT {COLUMNS}, id AS at FROM stored_file WHERE org_id = :org_id AND {_AFTER} AND {_NAMED} AND {_PLACED}
        ORDER BY created_at DESC, id DESC LIMIT :limit"""
)
MINE = text(
    f"""SELECT {COLUMNS} FROM stored_file
        WHERE org_id = :org_id AND (owner_id = :user_id OR completed_at IS NOT NULL AND (owner_id IS NULL OR shared))
          AND {_AFTER} AND {_NAMED} ORDER BY created_at DESC, id DESC LIMIT :limit"""
)
