"""The simulator on loopback ports, http and https, and an address that takes notifications, for tests."""

import asyncio
import contextlib
import itertools
import secrets
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from . import create_simulator
from .core import Simulator
from .serving import Protocol, QuietServer, serve
from .settings import SimulatorSettings

_ports = itertools.count(secrets.randbelow(10_000))


def free_port() -> int:
    """Another one each time, below the ports that outgoing connections are given: one of these could take it first."""
    while True:
        port = 10_000 + next(_ports) % 10_000
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def until_open(port: int, tls: ssl.SSLContext | None = None) -> None:
    """Return when something accepts connections there; ``TimeoutError`` after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


def loopback_settings(folder: Path, **more: Any) -> SimulatorSettings:
    """Settings of a simulator of its own, on two free ports."""
    http, https = free_port(), free_port()
    return SimulatorSettings(
        state_dir=folder,
        http_port=http,
        https_port=https,
        http_base_url=f"http://localhost:{http}",
        https_base_url=f"https://localhost:{https}",
        **more,
    )


@contextlib.asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[Simulator]:
    """Background work and both listeners, until the end of the block."""
    settings = simulator.settings
    await simulator.start()
    serving = asyncio.create_task(serve(simulator, settings))
    await until_open(settings.http_port)
    await until_open(settings.https_port, ssl.create_default_context(cafile=settings.state_dir / "ca.pem"))
    try:
        yield simulator
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await simulator.stop()


class Hosting:
    """Two listeners, http and https, for all tests of a process, and behind them a new simulator for each test.

    Keys, certificates, and what ``seeding`` added, are made once; each simulator starts with a copy.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = loopback_settings(folder)
        self._simulator: Simulator | None = None
        self._servers: list[uvicorn.Server] = []
        self._serving: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        first = create_simulator(self.settings.model_copy(update={"state_dir": self._folder / "new"}))
        await first.stop()
        for tls in (False, True):
            files = {"ssl_certfile": first.certificate, "ssl_keyfile": first.key} if tls else {}
            port = self.settings.https_port if tls else self.settings.http_port
            config = uvicorn.Config(
                self._answer, host="127.0.0.1", port=port, interface="asgi3", http=Protocol, lifespan="off",
                log_level="warning", timeout_graceful_shutdown=1, **files,  # type: ignore[arg-type]
            )  # fmt: skip
            self._servers.append(QuietServer(config))
        self._serving = [asyncio.create_task(server.serve(), name="listener") for server in self._servers]
        for server in self._servers:
            await until_open(server.config.port)

    async def aclose(self) -> None:
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._simulator.app if self._simulator else PlainTextResponse("No test is running.", 503)
        await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def simulator(self, folder: Path, seed: str = "new", **more: Any) -> AsyncIterator[Simulator]:
        """A new one behind the listeners, its background work running, until the end of the block."""
        shutil.copytree(self._folder / seed, folder)
        simulator = create_simulator(self.settings.model_copy(update={"state_dir": folder, **more}))
        await simulator.start()
        self._simulator = simulator
        try:
            yield simulator
        finally:
            self._simulator = None
            await simulator.stop()

    @contextlib.asynccontextmanager
    async def seeding(self, name: str) -> AsyncIterator[Simulator]:
        """What is done in the block is there in every simulator with this ``seed``; not while another one is used."""
        async with self.simulator(self._folder / name) as simulator:
            yield simulator


@contextlib.asynccontextmanager
async def held(simulator: Simulator, path: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Requests with ``path`` in theirs wait for their answer until the end of the block; the function: until one does.

    ``TimeoutError`` when none comes within thirty seconds.
    """
    behind, asked, answered = simulator.app, asyncio.Event(), asyncio.Event()

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if path in scope.get("path", ""):
            asked.set()
            await answered.wait()
        await behind(scope, receive, send)

    async def until_asked() -> None:
        async with asyncio.timeout(30):
            await asked.wait()

    simulator.app = door
    try:
        yield until_asked
    finally:
        answered.set()


class Address:
    """Takes notifications over ASGI: echoes validation tokens and answers ``status``, unless ``answers`` does it.

    ``received`` are the JSON bodies of notifications, ``asked`` the requests of handshakes; ``urls`` of both.
    """

    def __init__(self) -> None:
        self.status = 202
        self.received: list[Any] = []
        self.asked: list[Request] = []
        self.urls: list[str] = []
        self.answers: Callable[[Request], Awaitable[Response | None]] | None = None

    @property
    def items(self) -> list[Any]:
        return [item for body in self.received for item in body["value"]]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.urls.append(str(request.url))
        answer = await self.answers(request) if self.answers else None
        await (answer or await self._usual(request))(scope, receive, send)

    async def _usual(self, request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            self.asked.append(request)
            return PlainTextResponse(token)
        self.received.append(await request.json())
        return Response(status_code=self.status)
