"""SQL of sign-ins for browsing SharePoint."""

from sqlalchemy import text

START = text(
    """INSERT INTO pick (org_id, user_id, tid, state_hash, browser_key_hash, sealed_flow, expires_at)
       VALUES (:org_id, :user_id, :tid, :state_hash, :browser_key_hash, :sealed_flow,
           clock_timestamp() + make_interval(secs => :life_s))
       ON CONFLICT (org_id, user_id) DO UPDATE SET tid = excluded.tid, state_hash = excluded.state_hash,
           browser_key_hash = excluded.browser_key_hash, sealed_flow = excluded.sealed_flow, sealed_token = NULL,
           expires_at = excluded.expires_at
       RETURNING expires_at"""
)
_OWN = "org_id = :org_id AND user_id = :user_id"
PICK = text(f"SELECT *, expires_at > clock_timestamp() AS alive FROM pick WHERE {_OWN}")
# The flow is taken by whoever comes first with it; when Microsoft was away it is put back.
TAKE = text(
    f"""UPDATE pick SET sealed_flow = NULL
        WHERE {_OWN} AND state_hash = :state_hash AND sealed_flow IS NOT NULL RETURNING 1"""
)
PUT_BACK = text(
    f"UPDATE pick SET sealed_flow = :sealed_flow WHERE {_OWN} AND state_hash = :state_hash AND sealed_token IS NULL"
)
KEEP = text(
    f"""UPDATE pick SET sealed_token = :sealed_token, expires_at = clock_timestamp() + make_interval(secs => :life_s)
        WHERE {_OWN} AND state_hash = :state_hash AND sealed_token IS NULL RETURNING expires_at"""
)
FORGET = text(f"DELETE FROM pick WHERE {_OWN} RETURNING 1")
FORGET_ALL = text("DELETE FROM pick WHERE org_id = :org_id")
FORGET_OLD = text(f"DELETE FROM pick WHERE {_OWN} AND expires_at <= clock_timestamp()")
LEFT_S = text(f"SELECT CAST(extract(epoch FROM expires_at - clock_timestamp()) AS float) FROM pick WHERE {_OWN}")
