"""All SQL of the storage service."""

from sqlalchemy import text

_COLUMNS = "org_id, id, path, content_type, size_bytes, received_bytes, parts, in_parts, completed_at"

OPEN = text(
    f"""INSERT INTO stored_file (org_id, id, dedupe_key, path, content_type, size_bytes, token_hash, owner_id)
        VALUES (:org_id, :id, :dedupe_key, :path, :content_type, :size_bytes, :token_hash, :owner_id)
        ON CONFLICT (org_id, dedupe_key) DO UPDATE
        SET token_hash = CASE WHEN stored_file.completed_at IS NULL THEN excluded.token_hash END,
            touched_at = excluded.touched_at
        RETURNING {_COLUMNS}"""
)
BY_TOKEN = text(f"SELECT {_COLUMNS} FROM stored_file WHERE token_hash = :token_hash")
READABLE = text(
    f"""SELECT {_COLUMNS}, owner_id FROM stored_file
        WHERE id = :id AND completed_at IS NOT NULL
          AND (owner_id IS NULL OR owner_id = :user_id OR CAST(:whosever AS boolean))"""
)
PARTS = text(f"SELECT {_COLUMNS} FROM stored_file WHERE org_id = :org_id AND id = :id")
ADVANCE = text(
    f"""UPDATE stored_file SET received_bytes = :end, parts = parts || CAST(:part AS text),
            touched_at = clock_timestamp()
        WHERE token_hash = :token_hash AND received_bytes = :start RETURNING {_COLUMNS}"""
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
