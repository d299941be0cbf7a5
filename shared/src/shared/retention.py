"""Bounded tables: what the engines keep only for a while is deleted in small steps."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.db import Database, is_outage
from shared.loops import stop_if_cancelled

log = structlog.get_logger(__name__)

INBOX_KEEP_S = 14 * 24 * 3600
"""Longer than Kafka keeps records (7 days by default), so that a late second delivery is still known."""
PRUNE_EVERY_S = 3600.0
_STEP = 5000

_INBOX = """DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM inbox
    WHERE handled_at < clock_timestamp() - make_interval(secs => $1) ORDER BY handled_at LIMIT $2)"""
_SENT = """DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent
    WHERE sent_at < clock_timestamp() - make_interval(secs => $1) ORDER BY sent_at LIMIT $2)"""
_AUDIT = text("SELECT audit_prune(CAST(:days AS integer), CAST(:step AS integer))")


async def keep_audit(db: Database, keep_days: int) -> None:
    """Delete audit lines older than ``keep_days`` every hour until cancelled; an outage waits for the next hour."""
    while True:
        try:
            await prune_audit(db, keep_days)
        except (SQLAlchemyError, OSError) as error:
            stop_if_cancelled()
            if not is_outage(error):
                raise
            log.warning("the audit trail is pruned later", error=type(error).__name__)
        await asyncio.sleep(PRUNE_EVERY_S)


async def prune_audit(db: Database, keep_days: int) -> int:
    """In steps of their own transactions, by the function that may: the service's role may not delete by itself."""
    total = 0
    while deleted := await _prune_audit_step(db, keep_days):
        total += deleted
    return total


async def _prune_audit_step(db: Database, keep_days: int) -> int:
    async with db.system_work() as work:
        return int((await work.session.execute(_AUDIT, {"days": keep_days, "step": _STEP})).scalar_one())


async def prune(connection: Any, keep_sent_s: int | None) -> int:
    """Delete inbox rows and sent events that are older than they need be. Returns how many."""
    ages = [(_INBOX, INBOX_KEEP_S), (_SENT, keep_sent_s or 0)]
    return sum([await _delete(connection, statement, float(age_s)) for statement, age_s in ages])


async def _delete(connection: Any, statement: str, age_s: float) -> int:
    """In steps of their own transactions, so that no lock is held long."""
    total = 0
    while deleted := int((await connection.execute(statement, age_s, _STEP)).split()[1]):
        total += deleted
    return total
