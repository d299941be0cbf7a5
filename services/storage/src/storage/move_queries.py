"""SQL of files that change their place, one by one or in a migration."""

from sqlalchemy import text

from storage.queries import COLUMNS

QUEUE = text(
    """INSERT INTO file_move (org_id, file_id, why, drive_id, folder_id)
       VALUES (:org_id, :file_id, 'follow', :drive_id, :folder_id) ON CONFLICT DO NOTHING"""
)
_ELSEWHERE = """completed_at IS NOT NULL AND org_id = :org_id
    AND (drive_id, folder_id) IS DISTINCT FROM (CAST(:drive_id AS text), CAST(:folder_id AS text))"""
"""Than in that folder, or without one in Prospo's own storage."""
QUEUE_ALL = text(
    f"""INSERT INTO file_move (org_id, file_id, why, drive_id, folder_id)
        SELECT org_id, id, 'migration', CAST(:drive_id AS text), CAST(:folder_id AS text) FROM stored_file
        WHERE {_ELSEWHERE}
        ON CONFLICT (org_id, file_id) DO UPDATE SET why = 'migration', failed = false, tries = 0, says = NULL,
            not_before = clock_timestamp()"""
)
OFFERED = text(
    f"SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM stored_file WHERE {_ELSEWHERE}"
)
BEGIN = text(
    """INSERT INTO migration (org_id, state, drive_id, folder_id, name, files, bytes, started_by)
       VALUES (:org_id, 'running', :drive_id, :folder_id, :name, :files, :bytes, :user_id)
       ON CONFLICT (org_id) DO UPDATE SET state = 'running', drive_id = excluded.drive_id,
           folder_id = excluded.folder_id, name = excluded.name, files = excluded.files, bytes = excluded.bytes,
           moved_files = 0, moved_bytes = 0, started_at = clock_timestamp(), ended_at = NULL,
           started_by = excluded.started_by"""
)
MIGRATION = text("SELECT * FROM migration WHERE org_id = :org_id")
MOVED = text(
    """UPDATE migration SET moved_files = moved_files + 1, moved_bytes = moved_bytes + :bytes
       WHERE org_id = :org_id AND state = 'running'"""
)
END = text(
    "UPDATE migration SET state = :state, ended_at = clock_timestamp() WHERE org_id = :org_id AND state = 'running'"
)
LEFT = text(
    """SELECT count(*) FILTER (WHERE NOT failed) AS waiting, count(*) FILTER (WHERE failed) AS failed,
              coalesce(sum(moved_bytes) FILTER (WHERE NOT failed), 0)::bigint AS under_way
       FROM file_move WHERE org_id = :org_id AND why = 'migration'"""
)
FAILED = text(
    """SELECT m.file_id, m.says, coalesce(f.item_name, f.file_name, f.path) AS name, f.drive_id
       FROM file_move m JOIN stored_file f ON f.org_id = m.org_id AND f.id = m.file_id
       WHERE m.org_id = :org_id AND m.why = 'migration' AND m.failed ORDER BY m.file_id LIMIT 100"""
)
CANCELLED = text(
    """UPDATE file_move SET why = 'cancelled', failed = false, not_before = clock_timestamp()
       WHERE org_id = :org_id AND why = 'migration'"""
)
"""The job forgets them: it has what was sent so far deleted."""
NEXT = text(
    """SELECT file_move.*, why = 'migration' AND migration.drive_id IS NULL AS back
       FROM file_move LEFT JOIN migration USING (org_id)
       WHERE org_id = :org_id AND NOT failed AND not_before <= clock_timestamp()
         AND CASE WHEN why = 'cancelled' THEN true
                  WHEN why = 'migration' AND migration.drive_id IS NULL THEN :connected ELSE :works END
       ORDER BY why = 'migration', queued_at, file_id LIMIT 1"""
)
"""``works``: the chosen place takes files; ``connected``: files can be read in SharePoint."""
NEXT_S = text(
    """SELECT CAST(extract(epoch FROM min(not_before) - clock_timestamp()) AS float) FROM file_move
       WHERE org_id = :org_id AND NOT failed"""
)
MOVE = text("SELECT * FROM file_move WHERE org_id = :org_id AND file_id = :file_id")
_AS_READ = "org_id = :org_id AND file_id = :file_id AND step = :step RETURNING why"
KEEP = text(f"UPDATE file_move SET upload = :upload, step = step + 1 WHERE {_AS_READ}")
NOTE = text(
    f"""UPDATE file_move SET hashed = CAST(:hashed AS jsonb), moved_bytes = :bytes, step = step + 1
        WHERE {_AS_READ}"""
)
KEEP_PARTS = text(
    f"""UPDATE file_move SET parts = CAST(:parts AS text[]), moved_bytes = :bytes, step = step + 1
        WHERE {_AS_READ}"""
)
"""Parts that begin before ``bytes`` are written; the others are about to be."""
AIM = text(
    """UPDATE file_move SET drive_id = :drive_id, folder_id = :folder_id, upload = NULL, step = step + 1, hashed = NULL,
           parts = '{}', moved_bytes = 0 WHERE org_id = :org_id AND file_id = :file_id RETURNING *"""
)
"""From the beginning, to this place."""
SAY = text(
    """UPDATE file_move SET says = :says, tries = tries + 1, failed = :failed,
           not_before = clock_timestamp() + make_interval(secs => :after_s)
       WHERE org_id = :org_id AND file_id = :file_id"""
)
FORGET = text("DELETE FROM file_move WHERE org_id = :org_id AND file_id = :file_id")
ARRIVED = text(
    f"""UPDATE stored_file SET drive_id = :drive_id, folder_id = :folder_id, item_id = :item_id, item_name = :item_name,
            quick_xor = :quick_xor, in_parts = true, parts = CAST(:parts AS text[]), sha256 = :sha256, upload = NULL
        WHERE org_id = :org_id AND id = :file_id AND item_id IS NOT DISTINCT FROM CAST(:was AS text)
        RETURNING {COLUMNS}"""
)
"""From the place that it was read from: a file that moved meanwhile, or is gone, is left alone."""
