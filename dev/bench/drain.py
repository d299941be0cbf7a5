"""B2: the relay publishes a backlog; against an idempotent aiokafka producer with the same records at hand."""

import asyncio
import json
import time

from aiokafka import AIOKafkaProducer

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import ORG, Stage
from shared.bus.kafka import KafkaBus
from shared.database.outbox import uuid7
from shared.eventing.relay import Relay

BACKLOG = 20_000
PAYLOAD = json.dumps({"org_id": ORG, "words": "x" * 560}).encode()
_FILL = """INSERT INTO outbox (event_id, topic, key, headers, payload)
    SELECT gen_random_uuid(), $1, 'k' || n % 500, $2::jsonb, $3 FROM generate_series(1, $4::integer) n"""


def headers(topic: str) -> dict[str, str]:
    """The headers that ``shared.database.outbox`` writes, with a trace."""
    names = ("specversion", "id", "type", "source", "time", "subject", "orgid", "partitionkey", "aggregateversion")
    told = {f"ce_{name}": uuid7() for name in (*names, "correlationid")}
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    return told | {"content-type": "application/json", "ce_type": topic} | trace


async def measure(stage: Stage, count: int) -> Outcome:
    topic = await stage.topic("drain")
    outcome = Outcome(f"B2 relay drains {BACKLOG:,}", "events/s", "ours / peer", 0.6, ratio)
    return await rounds(outcome, lambda: _ours(stage, topic), lambda: _raw(stage, topic), count)


async def _ours(stage: Stage, topic: str) -> float:
    connection = await stage.connect()
    await connection.execute(_FILL, topic, json.dumps(headers(topic)), PAYLOAD, BACKLOG)
    db, bus = stage.database(), KafkaBus(stage.kafka)
    await bus.start()
    relay = Relay(db, bus)
    start = time.perf_counter()
    await relay.drain()
    spent = time.perf_counter() - start
    left = await connection.fetchval("SELECT count(*) FROM outbox")
    assert left == 0, f"{left} rows were not published"
    await bus.stop()
    await db.close()
    await connection.close()
    return BACKLOG / spent


async def _raw(stage: Stage, topic: str) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.kafka, acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=128 * 1024
    )
    await producer.start()
    told = [(name, value.encode()) for name, value in headers(topic).items()]
    start = time.perf_counter()
    sent = [await producer.send(topic, PAYLOAD, key=b"k%d" % (n % 500), headers=told) for n in range(BACKLOG)]
    await asyncio.gather(*sent)
    spent = time.perf_counter() - start
    await producer.stop()
    return BACKLOG / spent
