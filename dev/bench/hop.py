"""B1: from a commit with an event to the commit of its handler, at 200 events a second; against raw aiokafka."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from dev.bench.measuring import Outcome, difference, rounds
from dev.bench.stage import ORG, Stage
from shared.bus.kafka import KafkaBus
from shared.eventing.handlers import Handlers
from shared.eventing.lanes import LaneRunner
from shared.eventing.relay import Relay
from shared.events import Event

RATE = 200
COUNT = 400
KEYS = 50


def hop_event(name: str) -> type[Event]:
    """An event of its own topic, so that nothing of an earlier run is read."""

    class Hop(Event):
        topic: ClassVar[str] = name
        number: int

        @property
        def key(self) -> str:
            return f"k{self.number % KEYS}"

    return Hop


class Clock:
    """When each event left and arrived."""

    def __init__(self) -> None:
        self.left: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        self.all_there = asyncio.Event()

    def arrive(self, number: int) -> None:
        self.arrived.setdefault(number, time.perf_counter())
        if len(self.arrived) == COUNT:
            self.all_there.set()

    async def paced(self, send: Callable[[int], Awaitable[None]]) -> float:
        """Send at the rate, wait for the last; the median latency in ms."""
        self.left.clear()
        self.arrived.clear()
        self.all_there.clear()
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(COUNT):
                await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
                group.create_task(_stamped(send, number, self.left))
        async with asyncio.timeout(30):
            await self.all_there.wait()
        return median(self.arrived[n] - self.left[n] for n in range(COUNT)) * 1000


async def _stamped(send: Callable[[int], Awaitable[None]], number: int, left: dict[int, float]) -> None:
    left[number] = time.perf_counter()
    await send(number)


async def measure(stage: Stage, count: int) -> Outcome:
    outcome = Outcome("B1 commit to handled, p50", "ms", "ours - peer, ms", 1.5, difference, lower_is_better=True)
    async with _ours(stage) as ours, _raw(stage) as raw:
        return await rounds(outcome, ours, raw, count)


@asynccontextmanager
async def _ours(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    db, bus, clock, on = stage.database(), KafkaBus(stage.kafka), Clock(), Handlers()
    kind = hop_event(await stage.topic("hop"))

    @on(kind)
    async def stamp(event: Any, *, work: Any) -> None:
        work.after_commit(lambda: clock.arrive(event.number))

    async def commit(number: int) -> None:
        async with db.unit_of_work(ORG) as work:
            work.outbox.add(kind(org_id=ORG, number=number, aggregate_version=1))
        clock.left[number] = time.perf_counter()

    runners = [Relay(db, bus).run(), LaneRunner(kind.topic, db, bus, on, {}).run()]
    tasks = [asyncio.create_task(runner) for runner in runners]
    yield lambda: clock.paced(commit)
    await _stop(tasks)
    await bus.stop()
    await db.close()


@asynccontextmanager
async def _raw(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    topic, clock = await stage.topic("raw"), Clock()
    producer = AIOKafkaProducer(bootstrap_servers=stage.kafka, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=stage.kafka, group_id=topic, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()

    async def consume() -> None:
        async for message in consumer:
            clock.arrive(int(message.value))

    async def send(number: int) -> None:
        await producer.send_and_wait(topic, str(number).encode(), key=f"k{number % KEYS}".encode())

    task = asyncio.create_task(consume())
    yield lambda: clock.paced(send)
    await _stop([task])
    await producer.stop()
    await consumer.stop()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
