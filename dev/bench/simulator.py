"""S1: start of the simulator until it answers, against importing what it is made of. S2: simple requests a second on
one core, against a bare FastAPI route on the same server. Both in processes of their own, loaded over loopback.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

from dev.bench.measuring import Outcome, difference, ratio, rounds
from m365_simulator.clock import Clock
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import Signer, access_token
from m365_simulator.store import Store
from m365_simulator.testing import free_port, until_open

REQUESTS, CONNECTIONS = 3000, 8
IMPORTS = "import cryptography.x509, fastapi, httpx, jinja2, jwt, pydantic_settings, sqlite3, uvicorn, yaml"
BARE = """
import sys, fastapi, uvicorn
app = fastapi.FastAPI()
@app.get("/v1.0/me")
async def me() -> dict:
    return {"id": "1", "displayName": "Anna Andersson", "mail": "anna@contoso.example"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


async def starts(count: int) -> Outcome:
    outcome = Outcome("S1 simulator started", "s", "ours - imports", 1.0, difference, lower_is_better=True)
    return await rounds(outcome, _start, _import, count)


async def serves(count: int) -> Outcome:
    outcome = Outcome("S2 GET /me", "req/s", "ours / bare route", 0.2, ratio)
    async with _simulator() as (port, token), _bare() as bare:
        return await rounds(outcome, lambda: _load(port, token), lambda: _load(bare, "none"), count)


async def _import() -> float:
    begun = time.perf_counter()
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", IMPORTS)
    await made.wait()
    return time.perf_counter() - begun


async def _start() -> float:
    begun = time.perf_counter()
    async with _simulator():
        return time.perf_counter() - begun


@contextlib.asynccontextmanager
async def _process(port: int, *command: str, **environment: str) -> AsyncIterator[None]:
    """On the first core only, so that the figure is for one."""
    pinned = ("taskset", "-c", "0", sys.executable, *command)
    made = await asyncio.create_subprocess_exec(*pinned, env={**os.environ, **environment})
    try:
        await until_open(port)
        yield
    finally:
        made.terminate()
        await made.wait()


@contextlib.asynccontextmanager
async def _simulator() -> AsyncIterator[tuple[int, str]]:
    with tempfile.TemporaryDirectory() as folder:
        http, https = free_port(), free_port()
        environment = {"SIMULATOR_STATE_DIR": folder, "SIMULATOR_HTTP_PORT": str(http)}
        async with _process(http, "-m", "m365_simulator", SIMULATOR_HTTPS_PORT=str(https), **environment):
            yield http, _token(Path(folder))


def _token(folder: Path) -> str:
    """Anna's, signed with the key that the simulator keeps in its folder."""
    store = Store(folder)
    anna = find_user(store, "anna@contoso.example") or {}
    claims = {"tid": CONTOSO, "oid": anna["id"], "scp": "User.Read", "idtyp": "user", "appid": "bench"}
    try:
        return access_token(Signer(store, "entra", Clock(store, None)), "https://sts.windows.net/", claims)
    finally:
        store.close()


@contextlib.asynccontextmanager
async def _bare() -> AsyncIterator[int]:
    port = free_port()
    async with _process(port, "-c", dedent(BARE), str(port)):
        yield port


async def _load(port: int, token: str) -> float:
    asked = f"GET /v1.0/me HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    begun = time.perf_counter()
    await asyncio.gather(*(_connection(port, asked, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
    return REQUESTS / (time.perf_counter() - begun)


async def _connection(port: int, asked: bytes, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()
