"""Parked keys: a record that cannot be handled stops its key, not its neighbours, until someone re-drives it.

Guarantee: nothing is dropped. The record and all later ones of its key wait in ``parked_record``, in order, and each
also goes to ``dlq.<group>`` for people to see.
"""

import json

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record
from shared.db import Database

DDL = [
    """CREATE TABLE IF NOT EXISTS parked_record (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
        "partition" integer NOT NULL, "offset" bigint NOT NULL, headers jsonb NOT NULL, value bytea NOT NULL,
        reason text NOT NULL, parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (topic, "partition", "offset"))""",
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
_KEYS = text("SELECT DISTINCT topic, key FROM parked_record")
_NEXT = text(
    """SELECT id, topic, key, "partition", "offset", headers, value FROM parked_record
       WHERE CAST(:key AS text) IS NULL OR key = :key ORDER BY id"""
)
_RELEASE = text("DELETE FROM parked_record WHERE id = :id")


async def park(session: AsyncSession, group: str, record: Record, reason: str) -> None:
    """Keep the record and announce it on ``dlq.<group>``, both in this transaction."""
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


async def parked_keys(db: Database) -> set[tuple[str, str]]:
    """(topic, key) of everything that waits for a re-drive."""
    async with db.system_work() as work:
        return {(row.topic, row.key) for row in await work.session.execute(_KEYS)}


async def parked_records(db: Database, key: str | None = None) -> list[tuple[int, Record]]:
    """The parked records in order, of one key or of all."""
    async with db.system_work() as work:
        rows = await work.session.execute(_NEXT, {"key": key})
        return [
            (row.id, Record(row.topic, row.key, bytes(row.value), dict(row.headers), row.partition, row.offset))
            for row in rows
        ]


async def release(session: AsyncSession, parked_id: int) -> None:
    """Forget a parked record in the transaction that handled it."""
    await session.execute(_RELEASE, {"id": parked_id})
