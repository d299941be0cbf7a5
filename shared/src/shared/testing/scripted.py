"""A scripted HTTP server on a loopback port, for what no well-behaved Microsoft does on demand."""

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import httpx
import uvicorn

from shared.graph import GraphCaller
from shared.graph.limits import PER_MAILBOX
from shared.settings import ServiceSettings
from shared.testing.fixtures import ISSUER, PlatformKeys
from shared.testing.serving import listening_socket


@dataclass(slots=True)
class Reply:
    """One answer. ``cut`` breaks the connection after so many bytes of the body; ``hold`` is waited for first.

    ``reset`` breaks it instead of an answer, before the request's body was read or after; ``slices``: it dribbles.
    """

    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hold: asyncio.Event | None = None
    hold_s: float = 0.0
    reset: Literal["before", "after"] | None = None
    slices: int = 1

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
    """Answers from ``script`` in turn, then as ``respond`` says, else with ``otherwise``.

    Remembers what it saw, and how much at a time: of all, and of each who asks by the token sent.
    """

    def __init__(self) -> None:
        self.port = 0
        self.clear()

    def clear(self) -> None:
        self.script: deque[Reply] = deque()
        self.otherwise = Reply(json={})
        self.respond: Callable[[Seen], Reply] | None = None
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.of_token: Counter[str] = Counter()
        self.most_of_token: Counter[str] = Counter()
        self.changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until_in_flight(self, count: int) -> None:
        while self.in_flight != count:
            self.changed.clear()
            await self.changed.wait()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.script and self.script[0].reset == "before":
            self.script.popleft()
            self.seen.append(Seen(scope["method"], _target(scope), httpx.Headers(scope["headers"]), b""))
            _abort(send)
            return
        seen = Seen(scope["method"], _target(scope), httpx.Headers(scope["headers"]), await _body(receive))
        self.seen.append(seen)
        reply = self._reply(seen)
        token = seen.headers.get("authorization", "")
        self._count(1, token)
        try:
            if reply.hold is not None:
                await reply.hold.wait()
            await asyncio.sleep(reply.hold_s)
            await (_answer(reply, send) if reply.reset is None else _aborted(send))
        finally:
            self._count(-1, token)

    def _reply(self, seen: Seen) -> Reply:
        if self.script:
            return self.script.popleft()
        return self.respond(seen) if self.respond is not None else self.otherwise

    def _count(self, change: int, token: str) -> None:
        self.in_flight += change
        self.of_token[token] += change
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.most_of_token[token] = max(self.most_of_token[token], self.of_token[token])
        self.changed.set()


def _abort(send: Any) -> None:
    """Reset the connection: uvicorn's own ``send`` knows it."""
    send.__self__.transport.abort()


async def _aborted(send: Any) -> None:
    _abort(send)


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
        size = -(-len(body) // reply.slices) or 1
        for at in range(0, len(body), size) if reply.slices > 1 else ():
            await send({"type": "http.response.body", "body": body[at : at + size], "more_body": True})
            await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": body if reply.slices == 1 else b""})
        return
    await send({"type": "http.response.body", "body": body[: reply.cut], "more_body": True})
    raise ConnectionAbortedError("the script cuts here")


class UploadHost:
    """Where upload sessions lead, as strict as Microsoft's; ``faults`` befall the ranges in turn.

    A fault is a status, ``lost`` and ``stored`` (503 before and after the range was kept), ``reset``, ``silent`` (kept,
    and the connection reset), ``rewound`` (the last range is gone again), or an odd way to say what is wanted next.
    """

    FAULTS = ("lost", "stored", "reset", "silent", "rewound", "429", "416", "413", "dashless", "bounded", "pascal")
    _MULTIPLE = 320 * 1024
    _RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")

    def __init__(self, size: int, *faults: str) -> None:
        self.size = size
        self.faults = deque(faults)
        self.received = bytearray()
        self.done = False
        self.broken_rules: list[str] = []

    def __call__(self, seen: Seen) -> Reply:
        if "authorization" in seen.headers:
            return self._wrong("a token was sent", 401)
        if self.done:
            return Reply(404, json={"error": {"code": "itemNotFound"}})
        match seen.method:
            case "PUT":
                return self._put(seen)
            case "DELETE":
                self.done = True
                return Reply(204)
        return self._wanted(200)

    def _put(self, seen: Seen) -> Reply:
        said = self._RANGE.fullmatch(seen.headers.get("content-range", ""))
        if said is None:
            return self._wrong("no readable Content-Range")
        first, last, total = map(int, said.groups())
        length = last + 1 - first
        if total != self.size or length != len(seen.body) or length >= 60 * 1024 * 1024:
            return self._wrong("a range that does not fit")
        if length % self._MULTIPLE and last + 1 != self.size:
            return self._wrong("a range that is no multiple")
        if first != len(self.received):
            return Reply(416, json={"error": {"code": "invalidRange"}})
        return self._befall(self.faults.popleft() if self.faults else "", seen.body)

    def _befall(self, fault: str, body: bytes) -> Reply:
        if fault.isdigit():
            return Reply(int(fault), json={"error": {"code": "x"}}, headers={"retry-after": "1"})
        if fault in {"lost", "reset"}:
            return Reply(503, reset="after" if fault == "reset" else None)
        if fault == "rewound":
            del self.received[-self._MULTIPLE :]
            return self._wanted(202)
        self.received += body
        whole = len(self.received) == self.size
        answer = self._finish() if whole else self._wanted(202, fault)
        if fault in {"stored", "silent"}:
            return Reply(503, reset="after" if fault == "silent" else None)
        return answer

    def _wanted(self, status: int, way: str = "") -> Reply:
        at = len(self.received)
        if at == self.size:
            return Reply(status, json={"nextExpectedRanges": []})
        if way == "pascal":
            return Reply(200, json={"NextExpectedRanges": [str(at)]})
        said = {"dashless": str(at), "bounded": f"{at}-{self.size - 1}"}.get(way, f"{at}-")
        return Reply(status, json={"expirationDateTime": "2030-01-29T09:21:55.5230000Z", "nextExpectedRanges": [said]})

    def _finish(self) -> Reply:
        self.done = True
        return Reply(201, json={"id": "item-1", "size": self.size})

    def _wrong(self, rule: str, status: int = 400) -> Reply:
        self.broken_rules.append(rule)
        return Reply(status, json={"error": {"code": "invalidRequest", "message": rule}})


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """A running server on a free port."""
    app = ScriptedServer()
    listening = listening_socket()
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
        "request_database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
        "kafka_bootstrap_servers": "nowhere:9092",
        "key_ring_dir": keys.key_ring_dir,
        "service_key_path": keys.private / "meetings.pem",
        "service_public_keys_dir": keys.public,
        "jwt_issuer": ISSUER,
        "jwt_jwks_url": f"{ISSUER}/jwks",
        "graph_mailbox_share": PER_MAILBOX,
    }
    return ServiceSettings(**(values | more))


class CountedTokens:
    """Stands in for ``shared.entra.tokens.TokenClient``: a new token after each refusal, and what it was asked."""

    def __init__(self) -> None:
        self.number = 1
        self.claims: list[str] = []
        self.forgotten = 0

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None, leaving: bool = False) -> Any:
        if claims is not None:
            self.claims.append(claims)
        return SimpleNamespace(value=f"secret-{org_id}-{user_id}-{self.number}")

    async def app_token(self, org_id: str, *, leaving: bool = False) -> Any:
        return SimpleNamespace(value=f"secret-{org_id}-app-{self.number}")

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        self.forgotten += 1
        self.number += 1


async def whole(caller: GraphCaller, path: str, start: int = 0, **more: Any) -> bytes:
    """What a download brings."""
    async with caller.download(path, start, **more) as download:
        return b"".join([chunk async for chunk in download.chunks])


class Naps:
    """Instead of ``asyncio.sleep``: how long was waited, and what was true at that moment."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)
