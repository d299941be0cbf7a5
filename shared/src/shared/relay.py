"""From the outbox to Kafka: one active relay per database, batches, delete after the broker's acknowledgement.

Guarantee: every committed row is published at least once. Rows are read without a cursor, oldest first, so a row that
commits late is found by the next pass. A relay that dies between acknowledgement and delete publishes a batch again.
"""

import asyncio
import contextlib
import json
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from shared.bus import Bus, BusUnavailable, Record
from shared.db import Database

log = structlog.get_logger(__name__)

BATCH = 500
POLL_S = 0.5
_LOCK = 0x6F7574626F78
_READ = "SELECT id, topic, key, headers, payload FROM outbox ORDER BY id LIMIT $1"
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_KEEP = """WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
    INSERT INTO outbox_sent (id, event_id, topic, key, headers, payload)
    SELECT id, event_id, topic, key, headers, payload FROM sent ON CONFLICT (id) DO NOTHING"""
_PRUNE = "DELETE FROM outbox_sent WHERE sent_at < clock_timestamp() - make_interval(secs => $1)"
_REPLAY = """WITH again AS (DELETE FROM outbox_sent RETURNING *)
    INSERT INTO outbox (id, event_id, topic, key, headers, payload) OVERRIDING SYSTEM VALUE
    SELECT id, event_id, topic, key, headers, payload FROM again ORDER BY id ON CONFLICT (id) DO NOTHING"""


class Relay:
    """Publishes a service's outbox. ``keep_sent_s`` keeps what was sent for a replay (the embedded run only)."""

    def __init__(self, db: Database, bus: Bus, *, keep_sent_s: int | None = None) -> None:
        self._db = db
        self._bus = bus
        self._keep_sent_s = keep_sent_s
        self._connection: Any = None

    async def run(self) -> None:
        """Publish until cancelled; wait out database and broker outages."""
        wait_s = POLL_S
        try:
            while True:
                try:
                    sent = await self._pass()
                    wait_s = POLL_S
                except (BusUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    log.warning("the outbox waits", error=type(error).__name__, reason=str(error)[:200])
                    await self._disconnect()
                    sent, wait_s = 0, min(wait_s * 2, 10.0)
                if not sent:
                    await self._wait(wait_s)
        finally:
            await self._disconnect()

    async def drain(self) -> None:
        """Publish all there is; for tests. Needs the lock, so no other relay may run."""
        try:
            while await self._pass():
                pass
        finally:
            await self._disconnect()

    async def replay_sent(self) -> None:
        """Queue everything kept for publishing again; consumers know what they have handled."""
        connection = await self._connect()
        try:
            async with connection.transaction():
                if self._keep_sent_s is not None:
                    await connection.execute(_PRUNE, float(self._keep_sent_s))
                await connection.execute(_REPLAY)
        finally:
            await connection.close()
        self._db.on_commit_wake["outbox"].set()

    async def _pass(self) -> int:
        if self._connection is None:
            self._connection = await self._connect()
        if not await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return 0
        try:
            return await self._publish_batch(self._connection)
        finally:
            if not self._connection.is_closed():
                await self._connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)

    async def _publish_batch(self, connection: Any) -> int:
        rows = await connection.fetch(_READ, BATCH)
        if rows:
            await self._bus.publish(
                [Record(row["topic"], row["key"], row["payload"], json.loads(row["headers"])) for row in rows]
            )
            ids = [row["id"] for row in rows]
            await connection.execute(_DELETE if self._keep_sent_s is None else _KEEP, ids)
        return len(rows)

    async def _connect(self) -> Any:
        url = make_url(self._db.url).set(drivername="postgresql")
        return await asyncpg.connect(url.render_as_string(hide_password=False), timeout=10)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    async def _wait(self, wait_s: float) -> None:
        wake = self._db.on_commit_wake["outbox"]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), wait_s)
        wake.clear()
