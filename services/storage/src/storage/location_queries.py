"""SQL of the place that an organisation chose."""

from sqlalchemy import text

LOCATION = text("SELECT * FROM location WHERE org_id = :org_id")
CHOOSE = text(
    """INSERT INTO location (org_id, tid, site_id, drive_id, folder_id, name, web_url, site_url, chosen_by,
           told)
       VALUES (:org_id, :tid, :site_id, :drive_id, :folder_id, :name, :web_url, :site_url, :user_id, :told)
       ON CONFLICT (org_id) DO UPDATE SET version = location.version + 1, tid = excluded.tid,
           site_id = excluded.site_id, drive_id = excluded.drive_id, folder_id = excluded.folder_id,
           name = excluded.name, web_url = excluded.web_url, site_url = excluded.site_url, state = 'works',
           nearly_full = false, told = :told, state_since = clock_timestamp(), looked_at = clock_timestamp(),
           chosen_at = clock_timestamp(), chosen_by = excluded.chosen_by
       RETURNING version"""
)
_HERE = "org_id = :org_id AND drive_id = :drive_id AND folder_id = :folder_id"
KEEP_STATE = text(
    f"""UPDATE location SET state = :state, state_since = clock_timestamp(), looked_at = clock_timestamp()
        WHERE {_HERE} AND state <> :state RETURNING state"""
)
LOOKED = text(
    f"""UPDATE location SET looked_at = clock_timestamp(), nearly_full = :nearly_full, name = :name,
            web_url = :web_url, version = version + CAST(name <> :name AS int)
        WHERE {_HERE} RETURNING version"""
)
TELL = text(
    f"""UPDATE location SET told = state || ':' || nearly_full, version = version + 1
        WHERE {_HERE} AND told IS DISTINCT FROM state || ':' || nearly_full
        RETURNING version, state, nearly_full, name"""
)
"""What other services were last told of the place; None for one that was chosen before they were told of states."""
