"""Apache Kafka through aiokafka: idempotent producer, manual commits, cooperative with rebalances."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAlreadyExistsError,
)

from shared.bus.port import BusConsumer, BusUnavailable, Partition, Record, Revoked

PARTITIONS = 12

log = structlog.get_logger(__name__)


class KafkaBus:
    """A Kafka cluster by its bootstrap servers (``host:port,…``)."""

    def __init__(self, bootstrap_servers: str, client_id: str = "prospo") -> None:
        self.bootstrap_servers = bootstrap_servers
        self.client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap_servers,
            client_id=self.client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=128 * 1024,
        )
        with _unavailable():
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
        self._producer = producer

    async def stop(self) -> None:
        if self._producer:
            await self._producer.stop()
            self._producer = None

    async def publish(self, records: Sequence[Record]) -> None:
        if self._producer is None:
            await self.start()
        assert self._producer is not None  # noqa: S101 - start() sets it or raises
        with _unavailable():
            sent = [
                await self._producer.send(
                    record.topic,
                    record.value,
                    key=record.key.encode(),
                    headers=[(name, value.encode()) for name, value in record.headers.items()],
                )
                for record in records
            ]
            await asyncio.gather(*sent)

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        """The embedded mock has no admin API and makes topics by itself; everywhere else they are made here."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, client_id=self.client_id)
        with _unavailable():
            await admin.start()
            try:
                cluster = await admin.describe_cluster()
                if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
                    return  # the embedded mock: no controller, topics make themselves
                replicas = min(3, len(cluster["brokers"]))
                for topic in topics:
                    await _make_topic(admin, topic, replicas)
            except IncompatibleBrokerVersion:
                log.info("the broker makes topics by itself")
            finally:
                await admin.close()

    def consumer(self, group: str, topics: Iterable[str]) -> BusConsumer:
        return _KafkaConsumer(self, group, sorted(topics))


async def _make_topic(admin: AIOKafkaAdminClient, topic: str, replicas: int) -> None:
    compacted = {"cleanup.policy": "compact"} if topic.endswith(".state") else {}
    new = NewTopic(topic, num_partitions=PARTITIONS, replication_factor=replicas, topic_configs=compacted)
    with contextlib.suppress(TopicAlreadyExistsError):
        await admin.create_topics([new])


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, on_revoke: Revoked) -> None:
        self._on_revoke = on_revoke

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._on_revoke([(tp.topic, tp.partition) for tp in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        log.info("partitions assigned", count=len(list(assigned)))


class _KafkaConsumer:
    def __init__(self, bus: KafkaBus, group: str, topics: list[str]) -> None:
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bus.bootstrap_servers,
            client_id=bus.client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=30_000,
            max_poll_interval_ms=600_000,
            metadata_max_age_ms=30_000,
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
        await self._consumer.stop()


def _record(message: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in message.headers}
    key = (message.key or b"").decode("utf-8", "replace")
    return Record(message.topic, key, message.value or b"", headers, message.partition, message.offset)


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (CommitFailedError, IllegalStateError, TopicAlreadyExistsError, IncompatibleBrokerVersion):
        raise
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"Kafka: {type(error).__name__}") from error
