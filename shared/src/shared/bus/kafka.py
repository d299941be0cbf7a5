"""Apache Kafka through aiokafka: idempotent producer, manual commits, cooperative with rebalances."""

import asyncio
import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    IncompatibleBrokerVersion,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.partitioner import murmur2

from shared.bus.port import BusConsumer, BusUnavailable, Partition, Record, Refusals, Revoked, refusal
from shared.bus.topics import settings_of

PARTITIONS = 12
FETCH_WAIT_MS = 1000
"""How long the broker holds a fetch without records; a new record ends it. Each fetch costs an idle worker more than a
millisecond."""
MOCK_WAIT_MS = 250
"""The same for the embedded mock, which holds a fetch to the end even when a record comes."""
_STOP_S = 5
_REFUSED = (InvalidTopicError, MessageSizeTooLargeError, TopicAuthorizationFailedError)

log = structlog.get_logger(__name__)


class KafkaBus:
    """A Kafka cluster by its bootstrap servers (``host:port,…``); ``security`` is of ``hosting.engine_security``."""

    def __init__(
        self, bootstrap_servers: str, client_id: str = "prospo", security: Mapping[str, Any] | None = None
    ) -> None:
        self.reached = {"bootstrap_servers": bootstrap_servers, "client_id": client_id, **(security or {})}
        self._producer: AIOKafkaProducer | None = None
        self._known: set[str] = set()
        self._fetch_wait_ms = FETCH_WAIT_MS

    async def start(self) -> None:
        producer = AIOKafkaProducer(
            **self.reached,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,  # the relay hands over whole batches; waiting for more would only be latency
            max_batch_size=128 * 1024,
            request_timeout_ms=15_000,
        )
        with _unavailable():
            try:
                await producer.start()
            except BaseException:
                await _stop_quietly(producer)
                raise
        self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer:
            await _stop_quietly(producer)

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        """Publish the batch at once. When the cluster refuses part of it, publish the rest one by one, in order."""
        refusals = Refusals()
        reasons = [refusal(record) for record in records]
        topics = {record.topic for record, reason in zip(records, reasons, strict=True) if reason is None}
        closed = await self._closed_topics(topics)
        wanted = []
        for place, record in enumerate(records):
            if refusals.holds_back(place, record):
                continue
            if reason := reasons[place] or closed.get(record.topic):
                refusals.add(place, record, reason)
            else:
                wanted.append(place)
        for place in await self._refused(records, wanted):
            if not refusals.holds_back(place, records[place]) and await self._refused(records, [place]):
                refusals.add(place, records[place], "the cluster refused the record by itself")
        return refusals.reasons

    async def _refused(self, records: Sequence[Record], places: list[int]) -> list[int]:
        """Send. Returns the positions to send again one by one, or refused for good when it was only one."""
        if not places:
            return []
        if self._producer is None:
            await self.start()
        try:
            with _unavailable():
                sent = await _send(self._producer, [(place, records[place]) for place in places])
                answers = await asyncio.gather(*(answer for answer, _ in sent), return_exceptions=True)
        except BusUnavailable:
            await self.stop()  # a producer that failed for good would refuse everything for ever
            raise
        outcomes = zip(answers, (inside for _, inside in sent), strict=True)
        failed = [place for answer, inside in outcomes if isinstance(answer, BaseException) for place in inside]
        if not failed:
            return []
        # A batch that failed leaves a gap in the producer's sequence: it would never get through again.
        await self.stop()
        if not any(isinstance(answer, _REFUSED) for answer in answers):
            raise BusUnavailable(f"Kafka: {type(next(a for a in answers if isinstance(a, BaseException))).__name__}")
        return sorted(failed)

    async def _closed_topics(self, topics: set[str]) -> dict[str, str]:
        """Topics that are forbidden, or missing and cannot be made → reason. Known topics are not checked again."""
        closed = {}
        if unknown := topics - self._known:
            answers = await self._make_topics(unknown)
            closed = {topic: reason for topic, reason in answers.items() if reason is not None}
            self._known |= {topic for topic, reason in answers.items() if reason is None}
        return closed

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        """The embedded mock has no admin API and makes topics by itself; everywhere else they are made here."""
        for topic, reason in (await self._make_topics(topics)).items():
            if reason is not None:
                log.error("topic.not_made", topic=topic, reason=reason, mend="make it, or allow us to")

    async def _make_topics(self, topics: Iterable[str]) -> dict[str, str | None]:
        """Topic → why it is neither there nor could be made, or None."""
        admin = AIOKafkaAdminClient(**self.reached, request_timeout_ms=15_000)
        with _unavailable():
            await admin.start()
            try:
                cluster = await admin.describe_cluster()
                if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
                    self._fetch_wait_ms = MOCK_WAIT_MS
                    return dict.fromkeys(topics)  # the embedded mock: no controller, topics make themselves
                there = set(await admin.list_topics())
                replicas = min(3, len(cluster["brokers"]))
                return {name: None if name in there else await _make(admin, name, replicas) for name in topics}
            except IncompatibleBrokerVersion:
                log.info("topics.made_by_broker")
                return dict.fromkeys(topics)
            finally:
                await admin.close()

    def consumer(self, group: str, topics: Iterable[str]) -> BusConsumer:
        return _KafkaConsumer(self, group, sorted(topics), self._fetch_wait_ms)


async def _send(producer: Any, records: Sequence[tuple[int, Record]]) -> list[tuple[Any, list[int]]]:
    """Batches, each of one partition and in order: the future of each batch, and the positions of its records.

    aiokafka's ``send`` makes a future and two coroutines for every record, which was most of the relay's work.
    """
    topics = {record.topic for _, record in records}
    partitions = {topic: sorted(await producer.partitions_for(topic)) for topic in topics}
    last: dict[tuple[str, int], tuple[Any, list[int]]] = {}
    batches = []
    for place, record in records:
        key, known = record.key.encode(), partitions[record.topic]
        goal = record.topic, known[_number_of(key) % len(known)]
        if goal not in last or not append(last[goal][0], key, record):
            last[goal] = producer.create_batch(), []
            append(last[goal][0], key, record)  # a batch takes one record, however large
            batches.append((goal, *last[goal]))
        last[goal][1].append(place)
    sent = []
    for (topic, partition), batch, inside in batches:
        batch.close()
        sent.append((await producer.send_batch(batch, topic, partition=partition), inside))
    return sent


@functools.lru_cache(maxsize=10_000)
def _number_of(key: bytes) -> int:
    """Hash a key as every Kafka client does, so that its records stay in order whoever publishes them.

    Cached, because aiokafka computes it in Python, and an aggregate's events and its state have the same key.
    """
    return int(murmur2(key)) & 0x7FFFFFFF


def append(batch: Any, key: bytes, record: Record) -> bool:
    """False when the batch has no room for it."""
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    return batch.append(timestamp=None, key=key, value=record.value or None, headers=headers) is not None


async def _make(admin: AIOKafkaAdminClient, topic: str, replicas: int) -> str | None:
    kept = {name: str(value) for name, value in settings_of(topic).items()}
    new = NewTopic(topic, num_partitions=PARTITIONS, replication_factor=replicas, topic_configs=kept)
    try:
        answer = await admin.create_topics([new])
    except TopicAlreadyExistsError:
        return None
    error = for_code(answer.topic_errors[0][1])
    if error in {NoError, TopicAlreadyExistsError}:
        return None
    if error.retriable:
        raise error
    return f"the topic is not there and cannot be made: {error.__name__}"


async def _stop_quietly(client: Any) -> None:
    """Leave the cluster. Do not wait for a broker that is gone: unsent records are still in the outbox."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await client.stop()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, on_revoke: Revoked) -> None:
        self._on_revoke = on_revoke

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._on_revoke([(tp.topic, tp.partition) for tp in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        log.info("partitions.assigned", count=len(list(assigned)))


class _KafkaConsumer:
    def __init__(self, bus: KafkaBus, group: str, topics: list[str], fetch_wait_ms: int) -> None:
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            **bus.reached,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=30_000,
            max_poll_interval_ms=600_000,
            rebalance_timeout_ms=30_000,
            metadata_max_age_ms=30_000,
            fetch_max_wait_ms=fetch_wait_ms,
            consumer_timeout_ms=FETCH_WAIT_MS,  # each answer and each rebalance wakes aiokafka's loop before
            fetch_max_bytes=8 * 1024 * 1024,
        )

    async def start(self, on_revoke: Revoked) -> None:
        self._consumer.subscribe(self._topics, listener=_Listener(on_revoke))
        with _unavailable():
            await self._consumer.start()

    async def fetch(self, limit: int, wait_s: float) -> list[Record]:
        with _unavailable():
            batches = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit)
        return [_record(message) for messages in batches.values() for message in messages]

    async def commit(self, offsets: dict[Partition, int]) -> None:
        mine = self._consumer.assignment()
        wanted = {TopicPartition(*place): offset for place, offset in offsets.items() if TopicPartition(*place) in mine}
        if wanted:
            # A rebalance in between is no fault: the records come again and the inbox knows them.
            with contextlib.suppress(CommitFailedError, IllegalStateError), _unavailable():
                await self._consumer.commit(wanted)

    async def stop(self) -> None:
        await _stop_quietly(self._consumer)


def _record(message: Any) -> Record:
    headers = {_text(name): _text(value or b"") for name, value in message.headers}
    key = _text(message.key or b"")
    return Record(message.topic, key, message.value or b"", headers, message.partition, message.offset)


def _text(value: bytes | str) -> str:
    """Decode for PostgreSQL, without NUL: anyone may write to a topic, and a NUL must not stop a lane."""
    read = value if isinstance(value, str) else value.decode("utf-8", "replace")
    return read.replace("\0", "\N{REPLACEMENT CHARACTER}")


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (CommitFailedError, IllegalStateError, TopicAlreadyExistsError, IncompatibleBrokerVersion):
        raise
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"Kafka: {type(error).__name__}") from error
