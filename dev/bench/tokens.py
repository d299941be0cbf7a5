"""T1: a person's token from user-auth's memory at 500 requests a second, against a bare FastAPI route.

Open loop: requests are due at fixed times, and a late answer counts from when its request was due. Each side is a
process of its own on the first core. 99th percentile in milliseconds.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from dev.bench.measuring import Outcome, difference, rounds
from dev.bench.simulator import _bare, _process
from dev.embedded.keys import make_key_ring, make_service_keys
from m365_simulator.testing import free_port
from shared.testing.memory_bus import MemoryBus
from shared.web.identity import ServiceTokens
from user_auth.main import create_service
from user_auth.refreshing import UserToken
from user_auth.settings import Settings

PER_S, SECONDS, CONNECTIONS = 500, 5, 64  # five pairs fit into what a benchmark may take


async def answers(count: int) -> Outcome:
    outcome = Outcome(
        "T1 token from memory, p99 at 500/s", "ms", "ours - bare route", 10, difference, lower_is_better=True
    )
    port = free_port()
    with _settings() as (written, caller):
        async with _process(port, "-m", "dev.bench.tokens", str(written), str(port)), _bare() as bare:
            return await rounds(outcome, lambda: _load(port, _ours(caller)), lambda: _load(bare, _plain()), count)


@contextmanager
def _settings() -> Iterator[tuple[Path, ServiceTokens]]:
    """Settings of user-auth in a file, and who calls it. No database answers there: memory is all it needs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        private, public = make_service_keys(folder / "keys", ["user-auth", "meetings"])
        values: dict[str, Any] = {
            "database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
            "request_database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
            "kafka_bootstrap_servers": "nowhere:9092",
            "key_ring_dir": str(make_key_ring(folder / "ring")),
            "service_key_path": str(private / "user-auth.pem"),
            "service_public_keys_dir": str(public),
            "jwt_issuer": "https://issuer.example",
            "jwt_jwks_url": "https://issuer.example/jwks",
            "token_recheck_s": 3600,
        }
        written = folder / "settings.json"
        written.write_text(json.dumps(values))
        caller = Settings(**values | {"service_key_path": str(private / "meetings.pem")})
        yield written, ServiceTokens(caller, "meetings")


def _serve(written: Path, port: int) -> None:
    service = create_service(Settings(**json.loads(written.read_text())), bus=MemoryBus())
    token = UserToken("t" * 2000, datetime.now(UTC) + timedelta(hours=1), "tid", "oid", 1)
    service.provided["access_tokens"]._keep(("acme", "anna"), token)  # noqa: SLF001 - as if asked for a moment ago
    uvicorn.run(service.app, port=port, lifespan="off", log_level="warning", access_log=False)


def _ours(caller: ServiceTokens) -> bytes:
    body = b'{"org_id":"acme","user_id":"anna","known_version":1}'
    bearer = caller.issue("user-auth")
    head = f"POST /internal/tokens HTTP/1.1\r\nHost: u\r\nAuthorization: Bearer {bearer}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _plain() -> bytes:
    return b"GET /v1.0/me HTTP/1.1\r\nHost: u\r\n\r\n"


async def _load(port: int, asked: bytes) -> float:
    due: asyncio.Queue[float | None] = asyncio.Queue()
    took: list[float] = []
    asking = [asyncio.create_task(_connection(port, asked, due, took)) for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for number in range(PER_S * SECONDS):
        moment = begun + number / PER_S
        await asyncio.sleep(max(0, moment - time.perf_counter()))
        due.put_nowait(moment)
    for _ in asking:
        due.put_nowait(None)
    await asyncio.gather(*asking)
    return sorted(took)[int(len(took) * 0.99)] * 1000


async def _connection(port: int, asked: bytes, due: "asyncio.Queue[float | None]", took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (moment := await due.get()) is not None:
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        took.append(time.perf_counter() - moment)
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
