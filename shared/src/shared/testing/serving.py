"""An app on a loopback port, for tests.

Listeners are kept and used again: starting and stopping a server takes longer than most tests.
"""

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.hosting.serving import Listener

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""``verify`` of a client that asks plain http only; without it each httpx client reads the machine's authorities."""
LISTENER = "listener"
"""The name of the tasks that outlive a test."""


def listening_socket() -> socket.socket:
    """A listening socket on a free loopback port.

    asyncio sends without delay only on sockets that it has made. On others the body of an answer waits for the
    client to acknowledge its headers, which takes 40 ms.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Place:
    """A running server whose app is replaced from test to test."""

    def __init__(self, tls: dict[str, Any]) -> None:
        self.app: Any = _gone
        listening = listening_socket()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            log_level="critical",
            log_config=None,  # uvicorn's own writes a line for each request to every server of the process
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
            **tls,
        )
        self._server = Listener(config)
        self._serving = asyncio.create_task(self._server.serve([listening]), name=LISTENER)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    async def aclose(self) -> None:
        self._server.should_exit = True
        await self._serving


_idle: dict[tuple[asyncio.AbstractEventLoop, str], list[_Place]] = defaultdict(list)


@asynccontextmanager
async def serving(app: Any, **tls: Any) -> AsyncIterator[str]:
    """Its address, ``http://127.0.0.1:<port>``, until the end of the block; https with uvicorn's ``ssl_…`` options."""
    idle = _idle[asyncio.get_running_loop(), repr(sorted(tls.items()))]
    place = idle.pop() if idle else _Place(tls)
    place.app = app
    try:
        yield place.url
    finally:
        place.app = _gone
        idle.append(place)


async def close_listeners() -> None:
    """Stop the servers of this loop."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _idle if key[0] is loop]:
        for place in _idle.pop(key):
            await place.aclose()


async def _gone(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers who still asks after the block has ended."""
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})
