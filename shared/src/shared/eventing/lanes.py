"""The lane runner: records of one key in order, keys side by side, offsets committed up to what is done.

Guarantee: at least once from Kafka, once in effect (``shared.eventing.inbox``), in order per key within a topic.
Offsets are committed only up to the first record that is not yet handled (the watermark). Before partitions are given
away, what is in hand is finished, for ``SETTLE_S`` at most; what is not is handled again elsewhere and has one effect
all the same.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared import metrics
from shared.bus import Bus, BusConsumer, BusUnavailable, Record
from shared.database.loops import stop_if_cancelled
from shared.database.unit_of_work import Database
from shared.eventing.handlers import Handlers
from shared.eventing.inbox import TOGETHER, Inbox, TooManyFailures
from shared.eventing.watermark import Assignment, Partition

log = structlog.get_logger(__name__)

LANES = 8
LANE_DEPTH = 64
COMMIT_S = 0.5
FETCH = 256
FETCH_WAIT_S = 2.0
"""Seconds that a fetch waits for a record; one that comes ends it, and so does a stop."""
SETTLE_S = 5.0
MAX_OUTAGE_WAIT_S = 5.0

Lane = asyncio.Queue[tuple[Assignment, Record]]


class LaneRunner:
    """One group member of a service: reads its handlers' topics and runs the handlers."""

    def __init__(self, service: str, db: Database, bus: Bus, handlers: Handlers, provided: dict[str, Any]) -> None:
        self.group = service
        self._bus = bus
        self.topics = handlers.topics
        self.stopped = ""
        """The reason why it reads no more until the process starts again; empty while it reads."""
        self._inbox = Inbox(service, db, handlers.bind(provided))
        self._assignment = Assignment()

    async def run(self) -> None:
        """Consume until cancelled; the member leaves its group and rejoins after an outage of the broker."""
        wait_s = 0.2
        metrics.consumer_stopped.set(0)
        while self.topics:
            started = asyncio.get_running_loop().time()
            try:
                await self._consume()
            except TooManyFailures as error:
                await self._halt(str(error))
            except (BusUnavailable, OSError, SQLAlchemyError) as error:
                log.warning("consumer.waits", error=type(error).__name__, reason=str(error)[:200])
            except Exception as error:
                # A bug in a client must not end consuming for good without a word; what was in hand comes again.
                log.exception("consumer.restarts", error=type(error).__name__)
            stop_if_cancelled()
            quick = asyncio.get_running_loop().time() - started < MAX_OUTAGE_WAIT_S
            wait_s = min(wait_s * 2, MAX_OUTAGE_WAIT_S) if quick else 0.2
            await asyncio.sleep(wait_s)

    async def _halt(self, reason: str) -> None:
        """Wait for the restart. The group's other members take over the partitions and decide for themselves."""
        self.stopped = reason
        metrics.consumer_stopped.set(1)
        log.critical("consumer.stopped", group=self.group, reason=reason)
        await asyncio.Event().wait()

    @property
    def in_hand(self) -> int:
        """Records fetched and not yet handled or parked."""
        return self._assignment.watermark.open

    async def redrive(self, key: str | None = None) -> int:
        """Handle parked records again, in order; stops a key at its first failure. Returns how many went through."""
        return await self._inbox.redrive(key)

    async def _consume(self) -> None:
        await self._bus.ensure_topics(self.topics)
        consumer = self._bus.consumer(self.group, self.topics)
        lanes: list[Lane] = [asyncio.Queue(LANE_DEPTH) for _ in range(LANES)]
        self._assignment = Assignment()

        async def before_revoke(_places: Iterable[Partition]) -> None:
            if not await self._assignment.revoke(SETTLE_S):
                log.warning("partitions.revoked_unsettled")
            await self._commit(consumer)
            self._assignment = Assignment()

        try:
            await consumer.start(before_revoke)
            # In a task of its own: CPython counts the end of a group as a request to cancel the task that waits for it.
            await asyncio.create_task(self._all_loops(consumer, lanes))
        except ExceptionGroup as errors:
            raise (errors.subgroup(TooManyFailures) or errors).exceptions[0] from None
        finally:
            with contextlib.suppress(BusUnavailable):
                await self._commit(consumer)
            await consumer.stop()

    async def _all_loops(self, consumer: BusConsumer, lanes: list[Lane]) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._work_lane(lane))
            group.create_task(self._commit_regularly(consumer))
            group.create_task(self._feed(consumer, lanes))

    async def _feed(self, consumer: BusConsumer, lanes: list[Lane]) -> None:
        while True:
            records = await consumer.fetch(FETCH, FETCH_WAIT_S)
            assignment = self._assignment  # nothing is fetched while partitions change hands, so these are of this one
            for record in records:
                if assignment.revoked:
                    break
                assignment.watermark.begin(record)
                await lanes[crc32(record.key.encode()) % LANES].put((assignment, record))

    async def _work_lane(self, lane: Lane) -> None:
        while True:
            assignment, records = await _waiting(lane)
            if assignment.revoked:
                continue
            assignment.take_up(len(records))
            await self._inbox.handle_all(records)
            assignment.put_down(records)

    async def _commit_regularly(self, consumer: BusConsumer) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            await self._commit(consumer)

    async def _commit(self, consumer: BusConsumer) -> None:
        if offsets := self._assignment.watermark.take():
            await consumer.commit(offsets)


async def _waiting(lane: Lane) -> tuple[Assignment, list[Record]]:
    """The next record of the lane and those already behind it, of one assignment, a few at most."""
    assignment, record = await lane.get()
    records = [record]
    while len(records) < TOGETHER and not lane.empty():
        other, record = lane.get_nowait()
        if other is not assignment:
            # A rebalance lies between: drop the records of the revoked assignment.
            assignment, records = other, []
        records.append(record)
    return assignment, records
