"""HTTP servers: uvicorn, which alone waits for a request's headers for ever."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn

from shared.database.loops import is_set_within

TICKS_PER_S = 10
"""Uvicorn's own."""


class Server(uvicorn.Server):
    """A connection on which no request was under way for ``headers_s`` is closed: its headers do not end.

    One that is idle between two requests is closed earlier, by uvicorn's ``timeout_keep_alive``.
    """

    def __init__(self, config: uvicorn.Config, headers_s: float = 30) -> None:
        self._exit = asyncio.Event()
        super().__init__(config)
        self._headers_ticks = headers_s * TICKS_PER_S
        self._waiting: dict[Any, tuple[Any, int]] = {}

    @property
    def should_exit(self) -> bool:
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, wanted: bool) -> None:
        if wanted:
            self._exit.set()

    async def main_loop(self) -> None:
        """Look once a second whether to stop. uvicorn looks ten times, a third of what a process at rest takes."""
        counter = 0
        while not await self.on_tick(counter):
            counter += TICKS_PER_S
            await is_set_within(self._exit, 1)

    async def on_tick(self, counter: int) -> bool:
        """``_waiting`` has each connection without a request, the one that it answered last, and since which tick."""
        waiting = {}
        for connection in self.server_state.connections:
            last = getattr(connection, "cycle", None)
            if last is not None and not last.response_complete:
                continue
            before, since = self._waiting.get(connection, (last, counter))
            waiting[connection] = (last, since if before is last else counter)
            if before is last and counter - since >= self._headers_ticks:
                connection.transport.close()
        self._waiting = waiting
        return await super().on_tick(counter)


class Listener(Server):
    """A server that leaves signals alone: uvicorn's handling ends the process before the service has stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
