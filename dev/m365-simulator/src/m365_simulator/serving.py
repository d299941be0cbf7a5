"""The two listeners, inside whatever event loop hosts them."""

import asyncio

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .core import Simulator
from .settings import SimulatorSettings


class QuietServer(uvicorn.Server):
    """Leaves signals to the host."""

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await self._serve(None)


class Protocol(HttpToolsProtocol):
    """Hands the connection to the application, so that a scripted fault can reset it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["simulator.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


def _server(simulator: Simulator, settings: SimulatorSettings, *, tls: bool) -> QuietServer:
    files = {"ssl_certfile": simulator.certificate, "ssl_keyfile": simulator.key} if tls else {}
    port = settings.https_port if tls else settings.http_port
    config = uvicorn.Config(
        simulator.app,
        host=settings.host,
        port=port,
        http=Protocol,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=2,
        **files,  # type: ignore[arg-type]
    )
    return QuietServer(config)


async def serve(simulator: Simulator, settings: SimulatorSettings) -> None:
    """Serve http and https until cancelled. ``simulator.start()`` and ``stop()`` are the caller's."""
    servers = [_server(simulator, settings, tls=tls) for tls in (False, True)]
    running = [asyncio.create_task(server.serve()) for server in servers]
    try:
        await asyncio.gather(*(asyncio.shield(task) for task in running))
    except asyncio.CancelledError:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*running, return_exceptions=True)
        raise
