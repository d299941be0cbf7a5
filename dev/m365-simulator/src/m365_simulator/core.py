"""The simulator itself: its state, clocks, ids, faults, timeline, and the background work that goes on by itself."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp

from .calls import Calls
from .changes import Changes
from .clock import Clock, ClockName
from .directory import seed_directory
from .faults import Faults
from .ids import Ids
from .limits import Limits
from .settings import SimulatorSettings
from .signing import Signer
from .store import Store
from .timeline import Timeline
from .tls import ensure_certificates, usual_trust

if TYPE_CHECKING:
    from .notifying.forging import Recent

TICK_S = 0.2
CLOCKS: tuple[ClockName, ...] = ("world", "service")


class Simulator:
    """``app`` is the ASGI application; ``start`` and ``stop`` frame the background work.

    ``rounds`` are asked again and again in the background, such as the deliveries that are due.
    """

    def __init__(self, settings: SimulatorSettings, outbound: httpx.AsyncClient | None) -> None:
        self.settings = settings
        self.store = Store(settings.state_dir)
        self.clock = Clock(self.store, settings.frozen_at)
        self.ids = Ids(self.store, settings.seed)
        self.faults = Faults(self.store, settings.seed)
        self.timeline = Timeline(self.store, self.clock)
        self.calls = Calls()
        self.limits = Limits(self)
        self.changes = Changes()
        seed_directory(self.store)
        host = urlsplit(settings.https_base_url).hostname or "localhost"
        self.certificate, self.key = ensure_certificates(settings.state_dir, host)
        self.entra = Signer(self.store, "entra", self.clock)
        self.prospo = Signer(self.store, "prospo", self.clock)
        self.outbound = outbound or httpx.AsyncClient(timeout=10, verify=usual_trust())
        self.rounds: list[Callable[[], Awaitable[None]]] = []
        self.app: ASGIApp
        self.recent_changes: Recent
        self._background: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._background = asyncio.create_task(self._run(), name="simulator-background")

    async def stop(self) -> None:
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        await self.outbound.aclose()
        self.store.close()

    async def _run(self) -> None:
        while True:
            await self.settle()
            await asyncio.sleep(TICK_S)

    async def settle(self) -> None:
        """Do what is due now, on both clocks, and one round of everything that waits on others."""
        self.tick()
        for one in self.rounds:
            await one()

    def now(self) -> datetime.datetime:
        """The world's time."""
        return self.clock.world()

    def tick(self) -> None:
        for name in CLOCKS:
            self.timeline.run_due(self, name)

    def advance(self, seconds: float, clock: ClockName = "world") -> None:
        """Push a clock; what falls due on the way happens at its own moment."""
        end = self.clock.now(clock) + datetime.timedelta(seconds=seconds)
        while (due := self.timeline.next_due(clock)) is not None and due <= end:
            self.clock.push(clock, max(0.0, (due - self.clock.now(clock)).total_seconds()))
            self.timeline.run_due(self, clock)
        self.clock.push(clock, max(0.0, (end - self.clock.now(clock)).total_seconds()))
        self.timeline.run_due(self, clock)
