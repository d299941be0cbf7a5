"""``python -m dev.bench.peers <port> webhook <dsn> | source | target <folder> | graph <ms> <size>``: peers, stand-ins.

``webhook`` stores a batch by one bare insert before it answers, on the same stack. ``source`` gives as many bytes as
its path says, from the range on that is asked for. ``target`` puts what is sent to it into an object store of a folder.
``graph`` has every recording, each of this size, and takes so long for an answer.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import obstore
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from obstore.store import LocalStore

POOL = 8
PIECE = bytes(range(256)) * 4096
_STORE = """INSERT INTO graph_notification (dedupe, org_id, user_id, resource, change_types, body)
    SELECT dedupe, 'acme', 'anna', 'r', 'created', CAST(body AS jsonb)
    FROM unnest($1::text[], $2::text[]) AS g(dedupe, body)"""


def webhook(dsn: str) -> FastAPI:
    pools: list[Any] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        scope = {"app.scope": "system"}  # of the session: what the pool resets comes back to it
        async with asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL, server_settings=scope) as pool:
            pools.append(pool)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks/graph")
    async def receive(request: Request) -> Response:
        items = json.loads(await request.body())["value"]
        await pools[0].execute(_STORE, [item["id"] for item in items], [json.dumps(item) for item in items])
        return Response(status_code=202)

    return app


def source() -> FastAPI:
    app = FastAPI()

    @app.get("/{path:path}")
    async def give(path: str, request: Request) -> Response:
        size = int(path.rpartition("/")[2])
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"content-length": str(size - start), "content-range": f"bytes {start}-{size - 1}/{size}"}
        return StreamingResponse(_bytes(size - start), 206 if start else 200, headers)

    return app


async def _bytes(left: int) -> AsyncIterator[bytes]:
    while left > 0:
        yield PIECE[:left]
        left -= len(PIECE)


def target(folder: str) -> FastAPI:
    app, store = FastAPI(), LocalStore(folder)

    @app.put("/{name}")
    async def take(name: str, request: Request) -> Response:
        await obstore.put_async(store, name, request.stream())
        return Response(status_code=201)

    return app


def graph(latency_ms: str, size: str) -> FastAPI:
    app = FastAPI()

    @app.get("/v1.0/me/onlineMeetings/{meeting}/recordings/{name}")
    async def describe(name: str) -> dict[str, str]:
        await asyncio.sleep(int(latency_ms) / 1000)
        return {"id": name, "createdDateTime": "2026-01-01T00:00:00Z"}

    @app.get("/v1.0/me/onlineMeetings/{meeting}/recordings/{name}/content")
    async def give(name: str) -> Response:
        await asyncio.sleep(int(latency_ms) / 1000)
        headers = {"content-length": size, "x-recording": name}
        return StreamingResponse(_bytes(int(size)), 200, headers)

    return app


def main() -> None:
    port, kind, *arguments = sys.argv[1:]
    makers: dict[str, Callable[..., FastAPI]] = {"webhook": webhook, "source": source, "target": target, "graph": graph}
    app = makers[kind](*arguments)
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
