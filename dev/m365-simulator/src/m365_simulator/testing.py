"""The simulator on free loopback ports, http and https, and an address that takes notifications, for tests."""

import asyncio
import contextlib
import itertools
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .core import Simulator
from .serving import serve
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
