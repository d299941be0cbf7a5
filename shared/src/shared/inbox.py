"""The inbox: which records this group has handled, in the same transaction as their effect.

Guarantee: the effect of a record is in the database once, however often it is delivered.
"""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

DDL = [
    """CREATE TABLE IF NOT EXISTS inbox (
        event_id text PRIMARY KEY, topic text NOT NULL, handled_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX IF NOT EXISTS inbox_age ON inbox (handled_at)",
]

_TAKE = text("INSERT INTO inbox (event_id, topic) VALUES (:event_id, :topic) ON CONFLICT DO NOTHING RETURNING event_id")


async def first_time(session: AsyncSession, event_id: str, topic: str) -> bool:
    """Note the event as handled by this transaction; False when an earlier one has."""
    return (await session.execute(_TAKE, {"event_id": event_id, "topic": topic})).first() is not None
