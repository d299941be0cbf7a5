"""A strict stand-in for Entra and Microsoft Graph, for development and tests."""

import functools

import httpx
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from . import batch, people, prospo
from .core import Simulator
from .entra import browser, principals
from .files import rooms as files
from .hosts import REFUSED, is_known
from .notifying import log, subscriptions
from .notifying.delivery import Delivery
from .notifying.forging import Recent
from .outlook import calendar_routes, events
from .outlook import rooms as outlook
from .paths import OnePath, words_of
from .settings import SimulatorSettings
from .steering import control
from .teams import artefact_routes, by_organizer, content, happenings, meetings
from .unknown import router as unknown


def create_simulator(settings: SimulatorSettings, *, outbound: httpx.AsyncClient | None = None) -> Simulator:
    """``outbound`` makes handshakes and deliveries; an own client (10 s timeout) unless given."""
    simulator = Simulator(settings, outbound)
    Delivery(simulator)
    simulator.recent_changes = Recent(simulator)
    simulator.app = ForOne(simulator)
    return simulator


class ForOne:
    """The routes, for one simulator: it travels in the scope, so the routes are made once for all of a process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_known(scope["headers"], self._simulator.settings.hosts):
            await PlainTextResponse(REFUSED, 421)(scope, receive, send)
            return
        await _routes()({**scope, "simulator": self._simulator}, receive, send)


@functools.cache
def _routes() -> FastAPI:
    app = FastAPI(title="Microsoft 365 simulator", docs_url=None, redoc_url=None, openapi_url=None)
    graph = [people.router, principals.router, batch.router, calendar_routes.router, events.router]
    graph += [meetings.router, artefact_routes.router, content.router, subscriptions.router, subscriptions.beta]
    graph += [*outlook.ROUTERS, *files.ROUTERS]
    other_host = [content.downloads, *outlook.OTHER_HOST, *files.OTHER_HOST]
    for router in (control.router, log.router, prospo.router, *graph, *other_host, unknown, browser.router):
        app.router.routes += router.routes  # an included router is matched twice, with all that is in it
    paths = [route.path for router in graph for route in router.routes if hasattr(route, "path")]
    app.add_middleware(OnePath, words=words_of(paths))
    return app


VERBS_BESIDE_ROUTES = (happenings, by_organizer)
"""Modules that only register verbs."""

__all__ = ["Simulator", "SimulatorSettings", "create_simulator"]
