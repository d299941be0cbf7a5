"""From the outbox to Kafka: one active relay per database, batches, delete after the broker's acknowledgement.

Each worker has a relay. The active one holds a lock of its session and says something to the database at least every
few seconds; the server ends a session that says nothing for ``IDLE_S``, so a process that hangs loses the lock. The
others ask for it now and then, and at once when the active one stops.

Guarantee: every committed row is published at least once. Every pass reads from the oldest row, without a cursor, so a
row that commits late is found. A relay that dies between acknowledgement and delete publishes a batch again.
A row that the cluster refuses is parked after ``TRIES`` with all later rows of its key; the other keys go on.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import asyncpg
import structlog
from pydantic_core import from_json
from sqlalchemy import text

from shared import metrics
from shared.bus import Bus, BusUnavailable, Record
from shared.database.housekeeping import prune
from shared.database.loops import is_set_within, stop_if_cancelled
from shared.database.unit_of_work import BY_INDEX, Database
from shared.database.wakes import POLL_S

log = structlog.get_logger(__name__)

BATCH = 500
OUTAGE_S = 0.5
MAX_OUTAGE_WAIT_S = 10.0
STANDBY_S = (0.1, 5.0)
"""The first and the longest pause between two tries to get the lock."""
IDLE_S = 15
BEAT_S = 5.0
"""Seconds between two statements that keep the session alive while the broker takes a batch."""
ANSWER_S = 15.0
"""A database that does not answer in this time counts as gone; the server ends the session of a silent relay."""
PAUSE_S = 0.002
"""Seconds between the broker's acknowledgement and the delete, unless a commit comes meanwhile: whoever waits for the
events goes first, and the delete of one batch is the read of the next."""
TRIES = 5

_LOCK = 0x6F7574626F78
_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
_ROWS = """SELECT id, topic, key, headers, payload, extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_s,
        (topic, key) IN (SELECT topic, key FROM outbox WHERE parked_at IS NOT NULL) AS behind
    FROM outbox WHERE parked_at IS NULL AND id > $1 ORDER BY id LIMIT $2"""
_GONE = "WITH gone AS (DELETE FROM outbox WHERE id = ANY($3::bigint[]))"
_KEPT = """WITH gone AS (DELETE FROM outbox WHERE id = ANY($3::bigint[]) RETURNING *),
    kept AS (INSERT INTO outbox_sent (id, event_id, topic, key, headers, payload, sent_at)
             SELECT id, event_id, topic, key, headers, payload, created_at FROM gone ON CONFLICT (id) DO NOTHING)"""
"""A sent event ages from when it was written, so a replay does not make it young again."""
_REFUSED = """UPDATE outbox o SET attempts = attempts + 1, last_error = r.reason,
        parked_at = CASE WHEN attempts + 1 >= $3 THEN clock_timestamp() END
    FROM unnest($1::bigint[], $2::text[]) AS r(id, reason) WHERE o.id = r.id
    RETURNING o.id, o.topic, o.key, o.parked_at, o.last_error"""
_REPLAY = text(
    """WITH again AS (DELETE FROM outbox_sent RETURNING *)
    INSERT INTO outbox (id, event_id, topic, key, headers, payload, created_at) OVERRIDING SYSTEM VALUE
    SELECT id, event_id, topic, key, headers, payload, sent_at FROM again ORDER BY id ON CONFLICT (id) DO NOTHING"""
)
_REDRIVE = text(
    """UPDATE outbox SET parked_at = NULL, attempts = 0
       WHERE parked_at IS NOT NULL AND (CAST(:key AS text) IS NULL OR key = :key) RETURNING id"""
)
_OUTAGES = (BusUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_SERVER_SETTINGS = {
    "application_name": "relay",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": str(IDLE_S * 1000),
    # A delete that a crash of the server takes back is published again, as after a crash of the relay. So it does not
    # wait for the disk, and neither do the events that come meanwhile.
    "synchronous_commit": "off",
    **BY_INDEX,
}
_FREE = "relay"
"""The name of the wake that the lock is free."""


class Relay:
    """Publishes a service's outbox. ``keep_sent_s`` keeps what was sent for a replay (the embedded run only)."""

    def __init__(self, db: Database, bus: Bus, *, keep_sent_s: int | None = None) -> None:
        self._db = db
        self._bus = bus
        self._keep_sent_s = keep_sent_s
        self._connection: Any = None
        self._active = False

    async def run(self) -> None:
        """Publish until cancelled; wait out database and broker outages, and another relay's time."""
        outage_s, standby_s = OUTAGE_S, STANDBY_S[0]
        try:
            while True:
                try:
                    if await self._publish_all():
                        standby_s = STANDBY_S[0]
                        await self._woken(POLL_S)
                    else:
                        await self._stand_by(standby_s)
                        standby_s = min(standby_s * 2, STANDBY_S[1])
                    outage_s = OUTAGE_S
                except Exception as error:
                    # Whatever it is, an outbox that is not published for ever is worse: begin again with a connection.
                    bug = None if isinstance(error, _OUTAGES) else error
                    log.warning("outbox.waits", error=type(error).__name__, reason=str(error)[:200], exc_info=bug)
                    stop_if_cancelled()
                    await self._disconnect()
                    await asyncio.sleep(outage_s)
                    outage_s = min(outage_s * 2, MAX_OUTAGE_WAIT_S)
        finally:
            await self._disconnect()

    async def drain(self) -> None:
        """Publish all there is; for tests. Needs the lock, so no other relay may run."""
        try:
            await self._publish_all()
        finally:
            await self._disconnect()

    async def replay_sent(self) -> None:
        """Queue everything kept for publishing again; consumers know what they have handled."""
        await prune(self._db, self._keep_sent_s)
        await self._db.at_once(_REPLAY, {})
        self._db.wakes.tell("outbox")

    async def redrive(self, key: str | None = None) -> int:
        """Let parked rows, of one key or all, be published again in their order. Returns how many."""
        rows = await self._db.at_once(_REDRIVE, {"key": key})
        self._db.wakes.tell("outbox")
        return len(rows)

    async def _publish_all(self) -> bool:
        """Publish until nothing is left. False when another relay holds the lock."""
        if self._connection is None:
            self._connection = await self._connect()
        connection = self._connection
        self._active = self._active or await connection.fetchval(_TRY_LOCK, _LOCK)
        if self._active:
            rows = await connection.fetch(_ROWS, 0, BATCH)
            while rows or await self._woken(0):
                rows = await (self._publish(connection, rows) if rows else connection.fetch(_ROWS, 0, BATCH))
        return self._active

    async def _publish(self, connection: Any, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Publish a batch and delete it; what is behind it, but nothing after a refusal."""
        began, free = time.monotonic(), [row for row in rows if not row["behind"]]
        refused, ahead = await self._publish_and_read_ahead(connection, free, rows[-1]["id"], len(rows) == BATCH)
        if refused:
            await self._refuse(connection, {free[place]["id"]: reason for place, reason in refused.items()}, TRIES)
        if behind := {row["id"]: "an earlier event of this key is parked" for row in rows if row["behind"]}:
            await self._refuse(connection, behind, tries=1)
        sent = [row for place, row in enumerate(free) if place not in refused]
        took_s = time.monotonic() - began
        if not ahead:
            # The wake stays set: the statement below reads what is behind this batch only, not what is older.
            await is_set_within(self._db.on_commit_wake["outbox"], PAUSE_S)
        statement = f"{_GONE if self._keep_sent_s is None else _KEPT} {_ROWS}"
        more = await connection.fetch(statement, rows[-1]["id"], 0 if ahead else BATCH, [row["id"] for row in sent])
        _count(sent, took_s)
        return [] if refused else ahead or list(more)

    async def _publish_and_read_ahead(
        self, connection: Any, rows: list[Mapping[str, Any]], last: int, full: bool
    ) -> tuple[dict[int, str], list[Mapping[str, Any]]]:
        """Publish a batch. With a backlog, read the next one from the database meanwhile."""
        reading = asyncio.create_task(connection.fetch(_ROWS, last, BATCH)) if full else None
        try:
            refused = await self._publish_batch(connection, [_record(row) for row in rows], reading) if rows else {}
        finally:
            if reading is not None:
                await asyncio.wait([reading])
        return refused, list(reading.result()) if reading is not None else []

    async def _publish_batch(
        self, connection: Any, records: list[Record], reading: "asyncio.Task[Any] | None"
    ) -> dict[int, str]:
        publishing = asyncio.create_task(self._bus.publish(records))
        try:
            while not (await asyncio.wait([publishing], timeout=BEAT_S))[0]:
                if reading is None or reading.done():
                    await connection.execute("SELECT 1")
            return publishing.result()
        finally:
            if publishing.cancel():
                await asyncio.wait([publishing])

    async def _refuse(self, connection: Any, reasons: dict[int, str], tries: int) -> None:
        for row in await connection.fetch(_REFUSED, list(reasons), list(reasons.values()), tries):
            if row["parked_at"]:
                log.error("event.parked", topic=row["topic"], key=row["key"], id=row["id"], reason=row["last_error"])

    async def _connect(self) -> Any:
        return await self._db.connect(timeout=10, command_timeout=ANSWER_S, server_settings=_SERVER_SETTINGS)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        was_active, self._active = self._active, False
        if connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)
        if was_active:
            self._db.wakes.tell(_FREE)

    async def _stand_by(self, wait_s: float) -> None:
        with self._db.wakes.waiting(_FREE) as free:
            await is_set_within(free, wait_s)

    async def _woken(self, wait_s: float) -> bool:
        """Wait for a commit; False after ``wait_s``. Clearing before the next read loses no wake: it sees it."""
        wake = self._db.on_commit_wake["outbox"]
        woken = wake.is_set() or (wait_s > 0 and await is_set_within(wake, wait_s))
        wake.clear()
        return woken


def _count(rows: list[Mapping[str, Any]], took_s: float) -> None:
    """Record the delay of published rows: their age when they were read plus ``took_s``."""
    for topic, count in Counter(row["topic"] for row in rows).items():
        metrics.events_published.add(count, {"topic": topic})
    for row in rows:
        metrics.event_publishing_delay.record(row["age_s"] + took_s, {"topic": row["topic"]})


def _record(row: Mapping[str, Any]) -> Record:
    return Record(row["topic"], row["key"], row["payload"], from_json(row["headers"], cache_strings="keys"))
