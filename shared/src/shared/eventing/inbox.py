"""The inbox: a record's effect, and the note that it is there, in one transaction.

Guarantee: the effect of a record is in the database once, however often it is delivered, and only after that of the
earlier records of its key. An outage waits and is never counted against the record; a handler's own error is tried
five times, then the key is parked (``shared.eventing.deadletters``). When most records fail, the fault is ours: no
more are parked and ``TooManyFailures`` ends consuming. Several records of one organisation share a transaction when
they wait together; if anything is wrong with one of them, each is handled by itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import structlog
from opentelemetry import trace
from opentelemetry.propagate import extract
from sqlalchemy.exc import SQLAlchemyError

from shared import metrics
from shared.bus import BusUnavailable, Record
from shared.bus.codec import Undecodable, decode
from shared.database.loops import stop_if_cancelled
from shared.database.outbox import EventMeta
from shared.database.unit_of_work import AS_SERVICE, Database, Transaction, is_outage
from shared.eventing import deadletters
from shared.eventing.handlers import Handlers

log = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

QUICK_TRIES = 5
QUICK_WAIT_S = 0.05
MAX_OUTAGE_WAIT_S = 5.0
TOGETHER = 32

DDL = [
    """CREATE TABLE IF NOT EXISTS inbox (
        event_id text PRIMARY KEY, topic text NOT NULL, handled_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX IF NOT EXISTS inbox_age ON inbox (handled_at)",
]

# Opens the transaction: whose rows it sees, which events it is the first to handle, whether one is behind a parked one.
# What follows runs as the request role: the rights of this statement were looked at before it changed the role.
_TAKE = """WITH taken AS (
        INSERT INTO inbox (event_id, topic)
        SELECT event_id, topic FROM unnest($1::text[], $2::text[]) AS given(event_id, topic) ORDER BY event_id
        ON CONFLICT DO NOTHING RETURNING event_id)
    SELECT set_config('app.org_id', $5, true), set_config('role', $6, true),
           EXISTS (SELECT FROM parked_record p, unnest($2::text[], $3::text[]) AS given(topic, key)
                   WHERE NOT $4::boolean AND p.topic = given.topic AND p.key = given.key) AS behind,
           ARRAY(SELECT event_id FROM taken) AS taken"""


class TooManyFailures(Exception):
    """Most of the last records failed. The current record is not parked, and consuming has to stop."""


class Brake:
    """Decides by the outcome of the last ``LAST`` records whether to go on parking."""

    LAST = 100
    AT_LEAST = 20

    def __init__(self) -> None:
        self._failed: deque[bool] = deque(maxlen=self.LAST)

    def handled(self, count: int) -> None:
        self._failed.extend([False] * count)

    def failed(self, reason: str) -> None:
        """Raises ``TooManyFailures`` with the newest ``reason``."""
        self._failed.append(True)
        failures = sum(self._failed)
        if failures >= self.AT_LEAST and failures * 2 > len(self._failed):
            raise TooManyFailures(f"{failures} of {len(self._failed)} records failed, the last with {reason[:300]}")


class Delivery(NamedTuple):
    """A record with its decoded event."""

    record: Record
    event: Any
    meta: EventMeta

    @property
    def org_id(self) -> str:
        return str(self.event.org_id)


class _Behind(Exception):
    """An earlier record of a key is parked."""


class Inbox:
    """Brings about the effects of records, or parks them, for one consumer group."""

    def __init__(self, group: str, db: Database, handlers: Handlers) -> None:
        self._group = group
        self._db = db
        self._handlers = handlers
        self._brake = Brake()

    async def handle_all(self, records: Sequence[Record]) -> None:
        """Bring about the effects of a lane's waiting records, in order. Returns when each is durable or parked."""
        for run in self._runs(records):
            if len(run) == 1 or not await self._together([item for item in run if isinstance(item, Delivery)]):
                for item in run:
                    await (self.handle(item) if isinstance(item, Record) else self.handle(item.record, item))

    def _runs(self, records: Sequence[Record]) -> list[list[Delivery | Record]]:
        """Group neighbours of one organisation. A record that cannot be decoded stands alone."""
        items = [self._delivery(record) for record in records if self._concerns(record)]
        places = enumerate(items)
        grouped = groupby(places, lambda p: p[1].org_id if isinstance(p[1], Delivery) else p[0])
        return [[item for _, item in group] for _, group in grouped]

    def _concerns(self, record: Record) -> bool:
        """Whether to handle the record. A tombstone is skipped: an operator erases in each service."""
        return bool(self._handlers.of(record.topic)) and not record.is_tombstone

    def _delivery(self, record: Record) -> Delivery | Record:
        try:
            return self._decoded(record)
        except Undecodable:
            return record

    async def _together(self, deliveries: Sequence[Delivery]) -> bool:
        """Handle all in one transaction; False when that did not work and nothing of it has happened."""
        try:
            await self._effect(deliveries)
        except Exception as error:  # noqa: BLE001 - around messages: each is tried by itself next
            stop_if_cancelled()
            log.info("records.handled_singly", count=len(deliveries), error=type(error).__name__)
            return False
        return True

    async def handle(self, record: Record, delivery: Delivery | None = None) -> None:
        """Bring the record's effect about, or park it. Returns only when one of the two is durable.

        ``delivery`` is the record decoded, when it is already.
        """
        tries, outage_s = 0, QUICK_WAIT_S
        while self._concerns(record):
            try:
                return await self._effect([delivery or self._decoded(record)])
            except _Behind:
                if await self._parked(record, "an earlier record of this key is parked", behind=True):
                    return None
                continue
            except Undecodable as error:
                self._brake.failed(str(error))
                await self._parked(record, str(error))
                return None
            except Exception as error:
                stop_if_cancelled()
                if isinstance(error, BusUnavailable) or is_outage(error):
                    log.warning("record.waits", topic=record.topic, error=type(error).__name__)
                    await asyncio.sleep(outage_s)
                    outage_s = min(outage_s * 2, MAX_OUTAGE_WAIT_S)
                    continue
                tries += 1
                log.warning("handler.failed", topic=record.topic, key=record.key, attempt=tries, exc_info=error)
                if tries >= QUICK_TRIES:
                    self._brake.failed(f"{type(error).__name__}: {error}")
                    await self._parked(record, f"{type(error).__name__}: {error}")
                    return None
            await asyncio.sleep(QUICK_WAIT_S * tries)
        return None

    async def redrive(self, key: str | None = None) -> int:
        """Handle parked records again, in order; stops a key at its first failure. Returns how many went through."""
        failed: set[tuple[str, str]] = set()
        done = after = 0
        while found := await deadletters.next_parked(self._db, after, key):
            after, record = found
            if (record.topic, record.key) in failed:
                continue
            try:
                await self._effect([self._decoded(record)], redriven=after)
                done += 1
            except Exception as error:  # noqa: BLE001 - around one message
                stop_if_cancelled()
                log.warning("redrive.failed", topic=record.topic, key=record.key, reason=str(error)[:300])
                failed.add((record.topic, record.key))
        return done

    def _decoded(self, record: Record) -> Delivery:
        return Delivery(record, *decode(record, self._handlers.of(record.topic)[0].event))

    async def _effect(self, deliveries: Sequence[Delivery], redriven: int | None = None) -> None:
        values = (
            [delivery.meta.id for delivery in deliveries],
            [delivery.record.topic for delivery in deliveries],
            [delivery.record.key for delivery in deliveries],
            redriven is not None,
            deliveries[0].org_id,
            self._db.request_role,
        )
        started = time.perf_counter()
        async with self._db.transaction(_TAKE, values, self._db.service_engine) as transaction:
            if transaction.answer["behind"]:
                raise _Behind
            new = set(transaction.answer["taken"])
            for delivery in deliveries:
                if delivery.meta.id in new:
                    new.discard(delivery.meta.id)
                    await self._run_handlers(transaction, delivery)
            if redriven is not None:
                await transaction.session.execute(AS_SERVICE)
                await deadletters.release(transaction.session, redriven)
        if redriven is None:
            self._brake.handled(len(deliveries))
        _count(deliveries, set(transaction.answer["taken"]), time.perf_counter() - started)

    async def _run_handlers(self, transaction: Transaction, delivery: Delivery) -> None:
        record, event, meta = delivery
        context = extract(record.headers)
        with tracer.start_as_current_span(f"handle {record.topic}", context, kind=trace.SpanKind.CONSUMER):
            work = transaction.work(delivery.org_id, meta)
            for handler in self._handlers.of(record.topic):
                await self._handlers.call(handler, event, work, meta)

    async def _parked(self, record: Record, reason: str, *, behind: bool = False) -> bool:
        """Park the record, through outages. With ``behind`` only behind a parked record of its key, else False."""
        while True:
            try:
                async with self._db.system_work() as work:
                    if behind and not await deadletters.hold(work.session, record):
                        return False
                    await deadletters.park(work.session, self._group, record, reason)
            except (SQLAlchemyError, OSError) as error:
                stop_if_cancelled()
                log.warning("parking.waits", topic=record.topic, reason=str(error)[:300])
                await asyncio.sleep(QUICK_WAIT_S * QUICK_TRIES)
            else:
                log.error(
                    "record.parked", topic=record.topic, key=record.key, offset=record.offset, reason=reason[:300]
                )
                metrics.events_handled.add(1, {"topic": record.topic, "outcome": "parked"})
                self._db.wakes.tell("outbox")
                return True


def _count(deliveries: Sequence[Delivery], taken: set[str], took_s: float) -> None:
    for delivery in deliveries:
        topic = delivery.record.topic
        outcome = "handled" if delivery.meta.id in taken else "duplicate"
        metrics.events_handled.add(1, {"topic": topic, "outcome": outcome})
        metrics.event_handling_duration.record(took_s, {"topic": topic})
