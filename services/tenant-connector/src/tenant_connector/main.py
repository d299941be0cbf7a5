"""The tenant-connector put together."""

from fastapi import FastAPI

from shared.bus import Bus
from shared.entra import Entra
from shared.service import Service, run
from tenant_connector import board_api
from tenant_connector.api import router
from tenant_connector.erasing import HOLDINGS
from tenant_connector.handlers import on
from tenant_connector.readiness_jobs import jobs
from tenant_connector.settings import Settings
from tenant_connector.tokens import AppTokens


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("tenant-connector", "tenant_connector", settings, bus=bus)
    service.hold(HOLDINGS)
    entra = Entra(settings)
    service.provide(entra=entra, app_tokens=AppTokens(entra))
    service.include(router)
    service.include(board_api.router)
    service.consume(on)
    service.work(jobs)
    return service


def create_app(settings: Settings) -> FastAPI:
    return create_service(settings).app


def main() -> None:
    run(create_service, Settings)
