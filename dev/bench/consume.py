"""B4: records handled with an inbox row and one update each, on eight lanes; against the same SQL by bare asyncpg."""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy import text

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import LANES, ORG, Stage
from shared.bus import Record
from shared.bus.kafka import KafkaBus
from shared.eventing.handlers import Handlers
from shared.eventing.lanes import LaneRunner
from shared.events import Event

RECORDS = 5000
KEYS = 400
_UPDATE = "UPDATE thing SET n = n + 1 WHERE org_id = {0} AND id = {1}"
_HANDLE = text(_UPDATE.format(":org_id", ":id"))
_TAKE = """WITH taken AS (INSERT INTO inbox (event_id, topic) VALUES ($2, $3) ON CONFLICT DO NOTHING RETURNING 1)
    SELECT set_config('app.org_id', $1, true), EXISTS (SELECT FROM taken)"""
_THINGS = "INSERT INTO thing (org_id, id) SELECT $1, 'k' || n FROM generate_series(0, $2::integer - 1) n"


class Finished:
    """Counts what was committed, from the first to the last."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0
        self.all = asyncio.Event()

    def one(self) -> None:
        self.count += 1
        if self.count == 1:
            self.first = time.perf_counter()
        if self.count == RECORDS:
            self.all.set()


async def measure(stage: Stage, count: int) -> Outcome:
    connection = await stage.connect()
    await connection.execute(_THINGS, ORG, KEYS)
    await connection.close()
    name = f"B4 handle {RECORDS:,}, inbox and update"
    outcome = Outcome(name, "records/s", "ours / peer", 1.1, ratio)
    return await rounds(outcome, lambda: _ours(stage), lambda: _bare(stage), count)


def _records(topic: str) -> list[Record]:
    return [
        Record(
            topic,
            f"k{n % KEYS}",
            json.dumps({"org_id": ORG, "thing": f"k{n % KEYS}", "aggregate_version": n}).encode(),
            {"ce_id": str(uuid.uuid4()), "ce_time": "2026-01-01T00:00:00+00:00", "content-type": "application/json"},
        )
        for n in range(RECORDS)
    ]


async def _ours(stage: Stage) -> float:
    """From Kafka through decoding, lanes and the watermark, as a service does it; the join is not timed."""
    topic_name = await stage.topic("consume")
    db, bus, finished, on = stage.database(), KafkaBus(stage.kafka), Finished(), Handlers()

    class Happened(Event):
        topic: ClassVar[str] = topic_name
        thing: str

    @on(Happened)
    async def count(event: Happened, *, session: Any, work: Any) -> None:
        await session.execute(_HANDLE, {"org_id": event.org_id, "id": event.thing})
        work.after_commit(finished.one)

    await bus.publish(_records(topic_name))
    lanes = asyncio.create_task(LaneRunner(topic_name, db, bus, on, {}).run())
    async with asyncio.timeout(60):
        await finished.all.wait()
    spent = time.perf_counter() - finished.first
    lanes.cancel()
    await asyncio.gather(lanes, return_exceptions=True)
    await bus.stop()
    await db.close()
    return (RECORDS - 1) / spent


async def _bare(stage: Stage) -> float:
    """The same keys on eight connections, one transaction a record; nothing is decoded or consumed."""
    records = _records("peer")
    connections = [await stage.connect() for _ in range(LANES)]
    start = time.perf_counter()
    await asyncio.gather(*(_lane(connections[n], records, n) for n in range(LANES)))
    spent = time.perf_counter() - start
    for connection in connections:
        await connection.close()
    return RECORDS / spent


async def _lane(connection: Any, records: Sequence[Record], lane: int) -> None:
    for record in records:
        if int(record.key[1:]) % LANES == lane:
            async with connection.transaction():
                await connection.fetchrow(_TAKE, ORG, record.headers["ce_id"], record.topic)
                await connection.execute(_UPDATE.format("$1", "$2"), ORG, record.key)
