"""The contacts service put together."""

from fastapi import FastAPI

from contacts.erasing import HOLDINGS
from contacts.handlers import on
from contacts.settings import Settings
from shared.bus import Bus
from shared.hosting.service import Service, run


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("contacts", "contacts", settings, bus=bus)
    service.hold(HOLDINGS)
    service.consume(on)
    return service


def create_app(settings: Settings) -> FastAPI:
    return create_service(settings).app


def main() -> None:
    run(create_service, Settings)
