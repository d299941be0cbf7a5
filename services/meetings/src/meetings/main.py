"""The meetings service put together."""

from meetings import attended_api, availability_api, series_api
from meetings.api import router
from meetings.erasing import HOLDINGS
from meetings.handlers import on
from meetings.jobs import does
from meetings.settings import Settings
from shared.bus import Bus
from shared.hosting.service import Service


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("meetings", "meetings", settings, bus=bus)
    service.hold(HOLDINGS)
    service.include(series_api.router)
    service.include(availability_api.router)
    service.include(attended_api.router)
    service.include(router)
    service.hear_graph()
    service.consume(on)
    service.work(does)
    return service
