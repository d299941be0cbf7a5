"""The embedded Kafka at its fixed address, as ordinary clients find it; no platform is needed for that."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer

from dev.embedded.address import FixedAddress
from dev.embedded.engines import EmbeddedKafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
READ_S = 60


class Kafka:
    """The mock cluster behind the address, from ``start`` to ``stop``; nothing of it is left then."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kafka-port"
        self._running: tuple[FixedAddress, EmbeddedKafka] | None = None

    async def start(self, port: int | None) -> str:
        """Its ``host:port``."""
        mock = EmbeddedKafka()
        address = FixedAddress(mock.bootstrap_servers, self._kept)
        await address.open(port)
        self._running = address, mock
        return address.bootstrap_servers

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running[0].close()


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[Kafka]:
    made = Kafka(tmp_path)
    yield made
    await made.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def publish(at: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=at)
    await producer.start()
    try:
        for place, value in enumerate(values):
            await producer.send_and_wait("meeting.ended", value, partition=place % 4)
    finally:
        await producer.stop()


class Reader:
    """Somebody else's program, in a group, that goes on whatever happens; ``seen`` is what it read."""

    def __init__(self, at: str, group: str) -> None:
        self.seen: set[bytes] = set()
        self.partitions: set[int] = set()
        self._open(at, group)

    def _open(self, at: str, group: str) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError


class OfAiokafka(Reader):
    def _open(self, at: str, group: str) -> None:
        self._consumer = AIOKafkaConsumer(
            "meeting.ended",
            bootstrap_servers=at,
            group_id=group,
            auto_offset_reset="earliest",
            metadata_max_age_ms=1000,
        )
        self._stopping = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        await self._consumer.start()
        try:
            while not self._stopping:
                for messages in (await self._consumer.getmany(timeout_ms=100)).values():
                    self.seen |= {message.value for message in messages}
                self.partitions = {place.partition for place in self._consumer.assignment()}
        finally:
            await self._consumer.stop()

    async def stop(self) -> None:
        self._stopping = True
        await self._reading


class OfConfluent(Reader):
    def _open(self, at: str, group: str) -> None:
        settings = {"bootstrap.servers": at, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0}
        settings |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}  # it hears soon of another member
        self._consumer = Consumer(settings)
        self._consumer.subscribe(["meeting.ended"])
        self._stopping = False
        self._reading = asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> None:
        while not self._stopping:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.seen.add(message.value())
            self.partitions = {place.partition for place in self._consumer.assignment()}
        self._consumer.close()

    async def stop(self) -> None:
        self._stopping = True
        await self._reading


Join = Callable[[type[Reader], str, str], Reader]


@pytest.fixture
async def join(kafka: Kafka) -> AsyncIterator[Join]:
    """Start a reader: its kind, the address, its group. All are stopped at the end, before Kafka is."""
    assert kafka
    made: list[Reader] = []

    def start(kind: type[Reader], at: str, group: str) -> Reader:
        made.append(kind(at, group))
        return made[-1]

    yield start
    await asyncio.gather(*(reader.stop() for reader in made))


async def come_true(look: Callable[[], bool], readers: list[Reader]) -> None:
    deadline = time.monotonic() + READ_S
    while not look():
        assert time.monotonic() < deadline, [(reader.seen, reader.partitions) for reader in readers]
        await asyncio.sleep(0.05)


async def test_clients_that_run_go_on_after_a_restart(kafka: Kafka, join: Join) -> None:
    """The mock has another port then; whoever was told it would ask there for ever. Positions are the clients' own."""
    port = free_port()
    at = await kafka.start(port)
    brokers = await asyncio.to_thread(lambda: Producer({"bootstrap.servers": at}).list_topics(timeout=30).brokers)
    assert [(broker.host, broker.port) for broker in brokers.values()] == [("127.0.0.1", port)]
    await publish(at, b"before")
    readers = [join(OfAiokafka, at, "aiokafka"), join(OfConfluent, at, "confluent")]
    await come_true(lambda: [reader.seen for reader in readers] == [{b"before"}] * 2, readers)
    await kafka.stop()
    await kafka.start(port)
    await publish(at, *(str(number).encode() for number in range(8)))
    # Each partition has two records now, and a client that had read one of the first partition goes on with its second.
    everything = {b"before", b"1", b"2", b"3", b"4", b"5", b"6", b"7"}
    await come_true(lambda: all(everything <= reader.seen for reader in readers), readers)


@pytest.mark.parametrize("kind", [OfAiokafka, OfConfluent])
async def test_members_of_a_group_share_its_partitions(kind: type[Reader], kafka: Kafka, join: Join) -> None:
    at = await kafka.start(free_port())
    await publish(at, b"0", b"1", b"2", b"3")
    readers: list[Reader] = []
    for _ in range(3):
        readers.append(join(kind, at, "theirs"))
        await come_true(lambda: shared_out(readers), readers)
    await publish(at, b"4", b"5", b"6", b"7")
    everything = {str(number).encode() for number in range(8)}
    await come_true(lambda: set().union(*(reader.seen for reader in readers)) == everything, readers)


def shared_out(readers: list[Reader]) -> bool:
    """Each partition is one member's, and each member has one at least."""
    held = [reader.partitions for reader in readers]
    return all(held) and sorted(place for places in held for place in places) == [0, 1, 2, 3]


async def test_the_port_is_the_last_runs_or_the_next_free_one(kafka: Kafka, tmp_path: Path) -> None:
    first = int((await kafka.start(None)).split(":")[1])
    (tmp_path / "other").mkdir()
    other = Kafka(tmp_path / "other")
    second = int((await other.start(None)).split(":")[1])
    assert 9092 <= first < second
    with pytest.raises(OSError, match="choose a --kafka-port"):
        await Kafka(tmp_path).start(second)
    await other.stop()
    await kafka.stop()
    assert await other.start(None) == f"127.0.0.1:{second}"  # though an earlier one is free by now
    await other.stop()
