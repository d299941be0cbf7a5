"""A scripted HTTP server on a loopback port, for what no well-behaved Microsoft does on demand."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn

from shared.settings import ServiceSettings
from shared.testing.fixtures import ISSUER, PlatformKeys


@dataclass(slots=True)
class Reply:
    """One answer. ``cut`` breaks the connection after so many bytes of the body; ``hold`` is waited for first."""

    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hold: asyncio.Event | None = None
    hold_s: float = 0.0

    def bytes(self) -> bytes:
        return json.dumps(self.json).encode() if self.json is not None else self.body


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Answers from ``script`` in turn, then with ``otherwise``; remembers what it saw and how much at a time."""

    def __init__(self) -> None:
        self.port = 0
        self.clear()

    def clear(self) -> None:
        self.script: deque[Reply] = deque()
        self.otherwise = Reply(json={})
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until_in_flight(self, count: int) -> None:
        while self.in_flight != count:
            self.changed.clear()
            await self.changed.wait()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen = Seen(scope["method"], _target(scope), httpx.Headers(scope["headers"]), await _body(receive))
        self.seen.append(seen)
        reply = self.script.popleft() if self.script else self.otherwise
        self._count(1)
        try:
            if reply.hold is not None:
                await reply.hold.wait()
            await asyncio.sleep(reply.hold_s)
            await _answer(reply, send)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.in_flight += change
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.changed.set()


def _target(scope: Any) -> str:
    query = scope["query_string"].decode()
    return f"{scope['path']}?{query}" if query else str(scope["path"])


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _answer(reply: Reply, send: Any) -> None:
    body = reply.bytes()
    headers = {"content-length": str(len(body)), "request-id": "graph-request-1"} | reply.headers
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
    if reply.cut is None:
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.body", "body": body[: reply.cut], "more_body": True})
    raise ConnectionAbortedError("the script cuts here")


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """A running server on a free port."""
    app = ScriptedServer()
    listening = socket.create_server(("127.0.0.1", 0))
    app.port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, log_level=100))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield app
    finally:
        server.should_exit = server.force_exit = True
        await serving
        listening.close()


def client_settings(keys: PlatformKeys, **more: Any) -> ServiceSettings:
    """Settings for what calls others and needs no database."""
    values: dict[str, Any] = {
        "database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
        "kafka_bootstrap_servers": "memory:",
        "key_ring_dir": keys.key_ring_dir,
        "service_key_path": keys.private / "meetings.pem",
        "service_public_keys_dir": keys.public,
        "jwt_issuer": ISSUER,
        "jwt_jwks_url": f"{ISSUER}/jwks",
    }
    return ServiceSettings(**(values | more))


class CountedTokens:
    """Stands where ``shared.tokens.TokenClient`` stands: a new token after each refusal, and what it was asked."""

    def __init__(self) -> None:
        self.number = 1
        self.claims: list[str] = []
        self.forgotten = 0

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> Any:
        if claims is not None:
            self.claims.append(claims)
        return SimpleNamespace(value=f"secret-{org_id}-{user_id}-{self.number}")

    async def app_token(self, org_id: str) -> Any:
        return SimpleNamespace(value=f"secret-{org_id}-app-{self.number}")

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        self.forgotten += 1
        self.number += 1


class Naps:
    """Instead of ``asyncio.sleep``: how long was waited, and what was true at that moment."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)
