"""Parked keys: a record that cannot be handled stops its key, not its neighbours, until someone re-drives it.

Guarantee: nothing is dropped. The record and all later ones of its key wait in ``parked_record``, in order, and each
also goes to ``dlq.<group>`` for people to see. Whether a key is parked is asked in the transaction that handles a
record (``shared.eventing.inbox``), so a re-drive by another process is known at once.
"""

import json

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record
from shared.database.unit_of_work import Database

# Offsets begin again when a topic is made again, so the content belongs to what makes a record the same.
DDL = [
    """CREATE TABLE IF NOT EXISTS parked_record (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
        "partition" integer NOT NULL, "offset" bigint NOT NULL, headers jsonb NOT NULL, value bytea NOT NULL,
        reason text NOT NULL, parked_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    'CREATE UNIQUE INDEX IF NOT EXISTS parked_once ON parked_record (topic, "partition", "offset", md5(value))',
    "CREATE INDEX IF NOT EXISTS parked_key ON parked_record (topic, key, id)",
]

_PARK = text(
    """INSERT INTO parked_record (topic, key, "partition", "offset", headers, value, reason)
       VALUES (:topic, :key, :partition, :offset, CAST(:headers AS jsonb), :value, :reason)
       ON CONFLICT DO NOTHING RETURNING id"""
)
_DLQ = text(
    """INSERT INTO outbox (event_id, topic, key, headers, payload)
       VALUES (gen_random_uuid(), :dlq, :key, CAST(:headers AS jsonb), :value)"""
)
_HOLD = text("SELECT id FROM parked_record WHERE topic = :topic AND key = :key ORDER BY id LIMIT 1 FOR SHARE")
_NEXT = text(
    """SELECT id, topic, key, "partition", "offset", headers, value FROM parked_record
       WHERE id > :after AND (CAST(:key AS text) IS NULL OR key = :key) ORDER BY id LIMIT 1"""
)
_RELEASE = text("DELETE FROM parked_record WHERE id = :id")


async def park(session: AsyncSession, group: str, record: Record, reason: str) -> None:
    """Keep the record and announce it on ``dlq.<group>``, both in this transaction."""
    reason = reason.replace("\0", "\N{REPLACEMENT CHARACTER}")
    values = {
        "topic": record.topic,
        "key": record.key,
        "partition": record.partition,
        "offset": record.offset,
        "headers": json.dumps(record.headers),
        "value": record.value,
        "reason": reason[:2000],
    }
    if (await session.execute(_PARK, values)).first() is None:
        return
    headers = record.headers | {"dlq_topic": record.topic, "dlq_reason": reason[:500]}
    dlq = {"dlq": f"dlq.{group}", "key": record.key, "headers": json.dumps(headers), "value": record.value}
    await session.execute(_DLQ, dlq)


async def hold(session: AsyncSession, record: Record) -> bool:
    """Keep a re-drive from finishing the record's key in this transaction; False when nothing of it is parked."""
    return (await session.execute(_HOLD, {"topic": record.topic, "key": record.key})).first() is not None


async def next_parked(db: Database, after: int, key: str | None = None) -> tuple[int, Record] | None:
    """The first parked record behind ``after``, of one key or of all."""
    for row in await db.at_once(_NEXT, {"after": after, "key": key}):
        headers = dict(row.headers)
        return row.id, Record(row.topic, row.key, bytes(row.value), headers, row.partition, row.offset)
    return None


async def release(session: AsyncSession, parked_id: int) -> None:
    """Forget a parked record in the transaction that handled it."""
    await session.execute(_RELEASE, {"id": parked_id})
