"""The lane runner: records of one key in order, keys side by side, an inbox row beside every effect.

Guarantee: at least once from Kafka, once in effect, in order per key within a topic. Offsets are committed only up to
the first record that is not yet handled (the watermark). An infrastructure error waits and is never counted against the
record; a handler's own error is tried five times, then the key is parked (``shared.deadletters``).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import structlog
from opentelemetry import trace
from opentelemetry.propagate import extract
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from shared import deadletters
from shared.bus import Bus, BusConsumer, BusUnavailable, Record
from shared.bus.codec import Undecodable, decode
from shared.db import Database, UnitOfWork
from shared.handlers import Handlers
from shared.inbox import first_time

log = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

LANES = 8
LANE_DEPTH = 64
COMMIT_S = 0.5
FETCH = 256
QUICK_TRIES = 5
QUICK_WAIT_S = 0.05
MAX_OUTAGE_WAIT_S = 5.0

Partition = tuple[str, int]


class Watermark:
    """Per partition, the first offset not yet handled; everything below it is done."""

    def __init__(self) -> None:
        self._open: dict[Partition, list[int]] = defaultdict(list)
        self._done: dict[Partition, set[int]] = defaultdict(set)
        self._next: dict[Partition, int] = {}

    def begin(self, record: Record) -> None:
        self._open[record.topic, record.partition].append(record.offset)

    def end(self, record: Record) -> None:
        place = record.topic, record.partition
        waiting, done = self._open[place], self._done[place]
        done.add(record.offset)
        count = 0
        while count < len(waiting) and waiting[count] in done:
            done.discard(waiting[count])
            self._next[place] = waiting[count] + 1
            count += 1
        del waiting[:count]

    def take(self) -> dict[Partition, int]:
        """Offsets to commit since the last call."""
        taken, self._next = self._next, {}
        return taken

    def forget(self, places: Iterable[Partition]) -> None:
        for place in places:
            for kept in (self._open, self._done, self._next):
                kept.pop(place, None)


class LaneRunner:
    """One group member of a service: reads its handlers' topics and runs the handlers."""

    def __init__(self, service: str, db: Database, bus: Bus, handlers: Handlers, provided: dict[str, Any]) -> None:
        self.group = service
        self._db = db
        self._bus = bus
        self._handlers = handlers
        self._handlers.bind(provided)
        self._watermark = Watermark()
        self._parked: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Consume until cancelled; the member leaves its group and rejoins after an outage of the broker."""
        wait_s = 0.2
        while self._handlers.topics:
            try:
                await self._consume()
            except (BusUnavailable, OSError, DBAPIError) as error:
                log.warning("consuming waits", error=type(error).__name__, reason=str(error)[:200])
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, MAX_OUTAGE_WAIT_S)

    async def drain(self) -> None:
        """Handle everything published so far, one record at a time; for tests."""
        self._parked = await deadletters.parked_keys(self._db)
        consumer = self._bus.consumer(self.group, self._handlers.topics)
        await consumer.start(self._nothing)
        while records := await consumer.fetch(FETCH, 0):
            for record in records:
                await self.handle(record)
                await consumer.commit({(record.topic, record.partition): record.offset + 1})
        await consumer.stop()

    async def redrive(self, key: str | None = None) -> int:
        """Handle parked records again, in order; stops a key at its first failure. Returns how many went through."""
        failed: set[tuple[str, str]] = set()
        done = 0
        for parked_id, record in await deadletters.parked_records(self._db, key):
            place = record.topic, record.key
            if place in failed:
                continue
            try:
                await self._effect(record, parked_id)
                done += 1
            except Exception as error:  # noqa: BLE001 - around one message
                log.warning("still cannot be handled", topic=record.topic, key=record.key, reason=str(error)[:300])
                failed.add(place)
        self._parked = await deadletters.parked_keys(self._db)
        return done

    async def _consume(self) -> None:
        self._parked = await deadletters.parked_keys(self._db)
        await self._bus.ensure_topics(self._handlers.topics)
        consumer = self._bus.consumer(self.group, self._handlers.topics)
        lanes: list[asyncio.Queue[Record]] = [asyncio.Queue(LANE_DEPTH) for _ in range(LANES)]
        self._watermark = Watermark()

        async def before_revoke(places: Iterable[Partition]) -> None:
            await self._commit(consumer)
            self._watermark.forget(places)

        try:
            await consumer.start(before_revoke)
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(self._work_lane(lane))
                group.create_task(self._commit_regularly(consumer))
                group.create_task(self._feed(consumer, lanes))
        except* (BusUnavailable, OSError, DBAPIError) as errors:
            raise errors.exceptions[0] from None
        finally:
            with contextlib.suppress(BusUnavailable):
                await self._commit(consumer)
            await consumer.stop()

    async def _feed(self, consumer: BusConsumer, lanes: list["asyncio.Queue[Record]"]) -> None:
        while True:
            for record in await consumer.fetch(FETCH, 0.5):
                self._watermark.begin(record)
                await lanes[crc32(record.key.encode()) % LANES].put(record)

    async def _work_lane(self, lane: "asyncio.Queue[Record]") -> None:
        while True:
            record = await lane.get()
            await self.handle(record)
            self._watermark.end(record)

    async def _commit_regularly(self, consumer: BusConsumer) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            await self._commit(consumer)

    async def _commit(self, consumer: BusConsumer) -> None:
        if offsets := self._watermark.take():
            await consumer.commit(offsets)

    async def handle(self, record: Record) -> None:
        """Bring the record's effect about, or park it. Returns only when one of the two is durable."""
        tries = 0
        outage_s = QUICK_WAIT_S
        while True:
            try:
                if (record.topic, record.key) in self._parked:
                    return await self._park(record, "an earlier record of this key is parked")
                return await self._effect(record)
            except Undecodable as error:
                reason, tries = str(error), QUICK_TRIES
            except (InterfaceError, OperationalError, OSError, BusUnavailable) as error:
                log.warning("handling waits for the infrastructure", topic=record.topic, error=type(error).__name__)
                await asyncio.sleep(outage_s)
                outage_s = min(outage_s * 2, MAX_OUTAGE_WAIT_S)
                continue
            except Exception as error:
                reason, tries = f"{type(error).__name__}: {error}", tries + 1
                log.warning("handler failed", topic=record.topic, key=record.key, attempt=tries, exc_info=error)
            if tries >= QUICK_TRIES:
                self._parked.add((record.topic, record.key))
                return await self._park_for_sure(record, reason)
            await asyncio.sleep(QUICK_WAIT_S * tries)

    async def _park_for_sure(self, record: Record, reason: str) -> None:
        while True:
            try:
                return await self._park(record, reason)
            except (DBAPIError, OSError) as error:
                log.warning("parking waits for the database", topic=record.topic, error=type(error).__name__)
                await asyncio.sleep(QUICK_WAIT_S * QUICK_TRIES)

    async def _park(self, record: Record, reason: str) -> None:
        log.error("record parked", topic=record.topic, key=record.key, offset=record.offset, reason=reason[:300])
        async with self._db.system_work() as work:
            await deadletters.park(work.session, self.group, record, reason)
        self._db.on_commit_wake["outbox"].set()

    async def _effect(self, record: Record, parked_id: int | None = None) -> None:
        handlers = self._handlers.of(record.topic)
        if not handlers:
            return
        event, meta = decode(record, handlers[0].event)
        context = extract(record.headers)
        with tracer.start_as_current_span(f"handle {record.topic}", context, kind=trace.SpanKind.CONSUMER):
            async with self._db.unit_of_work(event.org_id, cause=meta) as work:
                await self._run_handlers(work, event, meta)
                if parked_id is not None:
                    await deadletters.release(work.session, parked_id)

    async def _run_handlers(self, work: UnitOfWork, event: Any, meta: Any) -> None:
        if not await first_time(work.session, meta.id, meta.topic):
            return
        for handler in self._handlers.of(meta.topic):
            await self._handlers.call(handler, event, work, meta)

    @staticmethod
    async def _nothing(_places: Iterable[Partition]) -> None:
        return None
