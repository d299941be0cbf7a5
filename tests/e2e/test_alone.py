"""Every service is a process of its own: ``python -m <package> migrate | api | worker``."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from unittest.mock import ANY

import httpx
import pytest

from dev.embedded.engines import EmbeddedKafka
from shared.testing.databases import TestDatabase
from shared.testing.engines import free_port
from shared.testing.fixtures import ISSUER, PlatformKeys
from shared.testing.serving import NO_TLS

from .operating import command

REACTS_TO_NOTHING = {"storage"}  # its worker has no group to join
SERVICES = ["tenant_connector", "user_auth", "meetings", "contacts", "storage", "mail", "recording_ingest"]
WRONG = {
    "PROSPO_KEY_RING_DIR": "/nowhere",
    "PROSPO_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
    "PROSPO_JWT_ISSUER": None,
    "PROSPO_SERVICE_KEY_PATH": "/nowhere.pem",
}
PATIENCE_S = 200
"""A start takes a second, and on a machine that does twenty other things a minute."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def kafka() -> EmbeddedKafka:
    return EmbeddedKafka()


@pytest.fixture
def environment(
    database: TestDatabase, platform_keys: PlatformKeys, kafka: EmbeddedKafka, tmp_path: Path
) -> dict[str, str]:
    platform_keys.add_service("any")
    return {
        "PATH": os.environ["PATH"],
        "PROSPO_DATABASE_URL": database.url,
        "PROSPO_REQUEST_DATABASE_URL": database.request_url,
        "PROSPO_MIGRATION_DATABASE_URL": database.owner_url,
        "PROSPO_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PROSPO_KEY_RING_DIR": str(platform_keys.key_ring_dir),
        "PROSPO_SERVICE_KEY_PATH": str(platform_keys.private / "any.pem"),
        "PROSPO_SERVICE_PUBLIC_KEYS_DIR": str(platform_keys.public),
        "PROSPO_JWT_ISSUER": ISSUER,
        "PROSPO_JWT_JWKS_URL": f"{ISSUER}/jwks",
        "PROSPO_HTTP_HOST": "127.0.0.1",
        "PROSPO_HTTP_PORT": str(free_port()),
        "PROSPO_METRICS_PORT": str(free_port()),
        "PROSPO_OBJECT_STORE_DIR": str(tmp_path / "files"),
    }


Start = Callable[[str, str, dict[str, str]], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """``await start("meetings", "api", environment)``; what a failed test leaves running is ended."""
    started: list[asyncio.subprocess.Process] = []

    async def run(package: str, command: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", package, command, env=environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return out.decode()


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    words = await said(process)
    assert process.returncode == 0, words


async def healthy(url: str, process: asyncio.subprocess.Process) -> AsyncIterator[int]:
    async with httpx.AsyncClient(verify=NO_TLS, trust_env=False) as http:
        while process.returncode is None:
            try:
                yield (await http.get(url)).status_code
            except httpx.TransportError:
                await asyncio.sleep(0.02)


async def until_working(worker: asyncio.subprocess.Process, ready: bytes) -> None:
    assert worker.stdout is not None
    seen: list[bytes] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while line := await worker.stdout.readline():
                seen.append(line)
                if ready in line:
                    return
    pytest.fail(b"".join(seen).decode())


async def until_measured(port: str, line: str) -> None:
    measured = ""
    with contextlib.suppress(TimeoutError):
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False) as http, asyncio.timeout(PATIENCE_S):
            while line not in measured:
                measured = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                await asyncio.sleep(0.02)
    assert line in measured


def loaded(process: asyncio.subprocess.Process, library: str) -> bool:
    """Whether the process has a compiled module of it in memory."""
    return f"/{library}/" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("package", SERVICES)
async def test_a_service_serves_and_works_alone(package: str, environment: dict[str, str], start: Start) -> None:
    for _ in range(2):  # migrating again changes nothing
        assert await command(environment, package, "migrate") == (0, "", ANY)
    unmeasured = {name: value for name, value in environment.items() if name != "PROSPO_METRICS_PORT"}
    api, worker = await start(package, "api", unmeasured), await start(package, "worker", environment)
    url = f"http://127.0.0.1:{environment['PROSPO_HTTP_PORT']}/health/ready"
    async with asyncio.timeout(PATIENCE_S):
        async for status in healthy(url, api):
            assert status == 200
            break
        else:
            pytest.fail(await said(api))
    await until_working(worker, b"worker.started" if package in REACTS_TO_NOTHING else b"partitions.assigned")
    await until_measured(environment["PROSPO_METRICS_PORT"], "outbox_oldest_age_seconds 0.0")
    assert [loaded(process, "aiokafka") for process in (api, worker)] == [False, True]
    await stop(api)
    await stop(worker)


async def test_a_process_says_what_is_missing_and_exits_non_zero(environment: dict[str, str], start: Start) -> None:
    with socket.create_server(("", 0)) as taken:
        busy = environment | {"PROSPO_METRICS_PORT": str(taken.getsockname()[1])}
        starts = {"PROSPO_METRICS_PORT": ("worker", busy)}
        unmeasured = {name: value for name, value in environment.items() if name != "PROSPO_METRICS_PORT"}
        # The others are read before the command is: the test of each service has them, in this process.
        starts["PROSPO_SERVICE_KEY_PATH"] = ("api", without(unmeasured, "PROSPO_SERVICE_KEY_PATH"))
        processes = {name: await start("mail", *given) for name, given in starts.items()}
        for name, process in processes.items():
            words = await said(process)
            assert process.returncode == 2, words
            assert name in words
            assert "Traceback" not in words


async def test_a_process_migrates(environment: dict[str, str], start: Start) -> None:
    process = await start("meetings", "migrate", environment)
    words = await said(process)
    assert process.returncode == 0, words


@pytest.mark.parametrize("package", SERVICES)
async def test_a_service_says_what_is_missing_and_exits_non_zero(package: str, environment: dict[str, str]) -> None:
    for name in WRONG:
        if name == "PROSPO_SERVICE_KEY_PATH":  # only a service that starts needs it
            continue
        status, out, err = await command(without(environment, name), package, "migrate")
        assert (status, out) == (2, "")
        assert name in err
        assert "Traceback" not in err


def without(environment: dict[str, str], name: str) -> dict[str, str]:
    """It is not set, or to what is not there."""
    value = WRONG[name]
    left = {known: given for known, given in environment.items() if known != name}
    return left if value is None else left | {name: value}
