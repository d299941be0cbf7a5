"""An app on a loopback port of its own, for tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serving(app: Any, **tls: Any) -> AsyncIterator[str]:
    """Its address, ``http://127.0.0.1:<port>``, until the end of the block; https with uvicorn's ``ssl_…`` options."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app, lifespan="off", log_level="critical", ws="none", timeout_graceful_shutdown=1, **tls
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
