"""Several ASGI listeners in one event loop; the program around them has the signals."""

import asyncio
from typing import Any

import uvicorn

from shared.hosting.serving import Listener


class Listeners:
    """Start and stop a set of listeners together."""

    def __init__(self) -> None:
        self._servers: list[tuple[Listener, asyncio.Task[None]]] = []

    async def open(self, app: Any, port: int) -> None:
        """Listen on loopback; returns when the socket accepts. Raises ``OSError`` when the port is taken."""
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        server = Listener(config)
        task = asyncio.create_task(server.serve(), name=f"listener {port}")
        while not server.started:
            if task.done():
                raise OSError(f"Port {port} on 127.0.0.1 is taken. Stop what listens there or choose another --port.")
            await asyncio.sleep(0.01)
        self._servers.append((server, task))

    async def close(self) -> None:
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._servers), return_exceptions=True)
