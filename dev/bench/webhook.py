"""B5: a batch of Graph's notifications, durable before the 202; against one bare insert of the same batch, same stack.

Both are processes of their own on the same database server; eight connections send one batch after the other. An answer
that is no 202 ends the benchmark: nothing is broken, so nothing may be refused.
"""

import asyncio
import itertools
import json
import time
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import Stage
from dev.bench.town import raise_town, script
from shared.subscriptions.notifications import state_hash

STATE = "bench-client-state"
CONNECTIONS = 8
BATCHES = {1: 800, 100: 160}
"""Notifications in a batch → batches of a round."""
BARS = {1: 0.4, 100: 0.25}
BURST = 64
_SUBSCRIBE = """INSERT INTO graph_subscription (org_id, user_id, resource, client_state_hash, subscription_id)
    VALUES ('acme', 'anna', 'r', $1, 's1')"""
_numbers = itertools.count()


async def measure(stage: Stage, count: int) -> list[Outcome]:
    async with raise_town(stage) as town:
        database = await town.migrated("recording-ingest")
        await _subscribe(stage, database.url)
        dsn = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
        async with (
            town.process("recording-ingest", "api") as api,
            script("dev.bench.peers", "webhook", dsn) as peer,
        ):
            return [await _of(size, api.url, peer.url, count) for size in BATCHES]


async def _of(size: int, ours: str, peer: str, count: int) -> Outcome:
    outcome = Outcome(f"B5 webhook, {size} in a batch", "batches/s", "ours / one insert", BARS[size], ratio)
    await rounds(outcome, lambda: _send(ours, size, CONNECTIONS), lambda: _send(peer, size, CONNECTIONS), count)
    if size > 1:
        outcome.note = f"{await _send(ours, size, BURST):,.0f} batches/s over {BURST} connections, none refused"
    return outcome


async def _subscribe(stage: Stage, url: str) -> None:
    connection = await stage.connect(url)
    await connection.execute(_SUBSCRIBE, state_hash(STATE))
    await connection.close()


async def _send(url: str, size: int, connections: int) -> float:
    batches = [_batch(size) for _ in range(BATCHES[size])]
    begun = time.perf_counter()
    await asyncio.gather(*(_connection(url, batches[number::connections]) for number in range(connections)))
    return len(batches) / (time.perf_counter() - begun)


def _batch(size: int) -> bytes:
    news: list[dict[str, Any]] = [
        {
            "id": f"n{next(_numbers)}",
            "subscriptionId": "s1",
            "clientState": STATE,
            "changeType": "created",
            "resource": "communications/onlineMeetings('MSo1N2Y5ZGFjYy03MWJmLTQ3NDMtYjQxMy01M2EdFGkdRWHJl')/recordings",
            "resourceData": {"@odata.type": "#Microsoft.Graph.callRecording", "id": "r1"},
            "tenantId": "72f988bf-86f1-41af-91ab-2d7cd011db47",
        }
        for _ in range(size)
    ]
    body = json.dumps({"value": news}).encode()
    head = "POST /webhooks/graph HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _connection(url: str, batches: list[bytes]) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for batch in batches:
        writer.write(batch)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or b"0"))
    writer.close()
    await writer.wait_closed()
