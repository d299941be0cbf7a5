"""Bounded tables: what the engines keep only for a while is deleted in small steps."""

from typing import Any

INBOX_KEEP_S = 14 * 24 * 3600
"""Longer than Kafka keeps records (7 days by default), so that a late second delivery is still known."""
PRUNE_EVERY_S = 3600.0
_STEP = 5000

_INBOX = """DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM inbox
    WHERE handled_at < clock_timestamp() - make_interval(secs => $1) ORDER BY handled_at LIMIT $2)"""
_SENT = """DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent
    WHERE sent_at < clock_timestamp() - make_interval(secs => $1) ORDER BY sent_at LIMIT $2)"""


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
