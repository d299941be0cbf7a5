"""Housekeeping: what is kept only for a while is deleted in small steps, by every worker."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from shared.database.loops import stop_if_cancelled
from shared.database.unit_of_work import Database, is_outage

log = structlog.get_logger(__name__)

INBOX_KEEP_S = 14 * 24 * 3600
"""Longer than Kafka keeps records (7 days by default), so that a late second delivery is still known."""
EVERY_S = 3600.0
_STEP = 5000

# In steps of their own, so that no lock is held long.
_INBOX = text(
    """WITH gone AS (DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM inbox
           WHERE handled_at < clock_timestamp() - make_interval(secs => :age_s) ORDER BY handled_at LIMIT :step)
           RETURNING true)
       SELECT count(*) FROM gone"""
)
_SENT = text(
    """WITH gone AS (DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent AS old
           WHERE sent_at < clock_timestamp() - make_interval(secs => :age_s)
             AND (topic NOT LIKE '%.state' OR octet_length(payload) = 0 OR EXISTS (SELECT FROM outbox_sent AS newer
                  WHERE newer.topic LIKE '%.state' AND (newer.topic, newer.key) = (old.topic, old.key)
                    AND newer.id > old.id))
           ORDER BY sent_at LIMIT :step) RETURNING true)
       SELECT count(*) FROM gone"""
)
"""Like Kafka's compaction: the newest state of each key stays, and a tombstone is deleted after its time."""
# By the function that may: the service's role may not delete audit lines by itself.
_AUDIT = text("SELECT audit_prune(CAST(:days AS integer), CAST(:step AS integer))")


async def keep_house(db: Database, keep_sent_s: int | None, audit_keep_days: int | None) -> None:
    """Every hour until cancelled, delete what is older than it need be; an outage waits for the next hour.

    ``audit_keep_days`` is None where the service has no audit trail.
    """
    while True:
        try:
            deleted = await prune(db, keep_sent_s)
            if audit_keep_days is not None:
                deleted += await prune_audit(db, audit_keep_days)
            log.info("rows.pruned", rows=deleted)
        except (SQLAlchemyError, OSError) as error:
            stop_if_cancelled()
            if not is_outage(error):
                raise
            log.warning("pruning.postponed", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def prune(db: Database, keep_sent_s: int | None) -> int:
    """Delete inbox rows and sent events that are older than they need be. Returns how many."""
    ages = [(_INBOX, INBOX_KEEP_S), (_SENT, keep_sent_s or 0)]
    return sum([await _in_steps(db, statement, {"age_s": float(age_s)}) for statement, age_s in ages])


async def prune_audit(db: Database, keep_days: int) -> int:
    """Delete audit lines older than ``keep_days``. Returns how many."""
    return await _in_steps(db, _AUDIT, {"days": keep_days})


async def _in_steps(db: Database, statement: TextClause, values: dict[str, Any]) -> int:
    total = 0
    while deleted := int((await db.at_once(statement, {**values, "step": _STEP}))[0][0]):
        total += deleted
    return total
