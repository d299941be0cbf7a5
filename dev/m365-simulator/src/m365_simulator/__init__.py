"""A strict stand-in for Entra and Microsoft Graph, for development and tests."""

import httpx
from fastapi import FastAPI

from . import control, entra, events, meetings, prospo, subscriptions
from .core import Simulator
from .graph import install
from .settings import SimulatorSettings


def create_simulator(settings: SimulatorSettings, *, outbound: httpx.AsyncClient | None = None) -> Simulator:
    """``outbound`` makes handshakes and deliveries; an own client (10 s timeout) unless given."""
    simulator = Simulator(settings, outbound)
    app = FastAPI(title="Microsoft 365 simulator", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.simulator = simulator
    for module in (control, prospo, events, meetings, subscriptions):
        app.include_router(module.router)
    install(app)
    app.include_router(entra.router)
    simulator.app = app
    return simulator


__all__ = ["Simulator", "SimulatorSettings", "create_simulator"]
