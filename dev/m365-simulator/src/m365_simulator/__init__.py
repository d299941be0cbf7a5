"""A strict stand-in for Entra and Microsoft Graph, for development and tests."""

import httpx
from fastapi import FastAPI

from . import batch, people, prospo
from .core import Simulator
from .entra import browser, principals
from .notifying import subscriptions
from .notifying.delivery import Delivery
from .outlook import events
from .paths import OnePath, words_of
from .settings import SimulatorSettings
from .steering import control
from .teams import meetings
from .unknown import router as unknown


def create_simulator(settings: SimulatorSettings, *, outbound: httpx.AsyncClient | None = None) -> Simulator:
    """``outbound`` makes handshakes and deliveries; an own client (10 s timeout) unless given."""
    simulator = Simulator(settings, outbound)
    Delivery(simulator)
    app = FastAPI(title="Microsoft 365 simulator", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.simulator = simulator
    graph = [people.router, principals.router, batch.router, events.router, meetings.router, subscriptions.router]
    for router in (control.router, prospo.router, *graph, unknown, browser.router):
        app.include_router(router)
    paths = [route.path for router in graph for route in router.routes if hasattr(route, "path")]
    app.add_middleware(OnePath, words=words_of(paths))
    simulator.app = app
    return simulator


__all__ = ["Simulator", "SimulatorSettings", "create_simulator"]
