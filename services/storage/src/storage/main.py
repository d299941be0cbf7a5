"""The storage service put together."""

from fastapi import FastAPI

from shared.bus import Bus
from shared.hosting.service import Service, run
from storage.api import router
from storage.deliveries import Deliveries
from storage.erasing import HOLDINGS
from storage.handlers import on
from storage.jobs import does
from storage.locations_api import router as locations_router
from storage.objects import Objects
from storage.parts import Parts
from storage.settings import Settings


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; uploads have a limit of their own, per range."""
    service = Service("storage", "storage", settings, bus=bus, unlimited_bodies=("/v1/uploads/",))
    service.hold(HOLDINGS)
    service.consume(on)
    deliveries = Deliveries(service.db, service.envelope, service.graph)
    service.provide(parts=Parts(Objects(settings)), deliveries=deliveries)
    service.include(router)
    service.include(locations_router)
    service.work(does)
    return service


def create_app(settings: Settings) -> FastAPI:
    return create_service(settings).app


def main() -> None:
    run(create_service, Settings)
