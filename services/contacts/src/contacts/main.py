"""The contacts service put together."""

from contacts import access_api, api, contacts_api, joining_api, telling_api
from contacts.erasing import HOLDINGS
from contacts.handlers import on
from contacts.jobs import does
from contacts.settings import Settings
from shared.bus import Bus
from shared.hosting.service import Service


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("contacts", "contacts", settings, bus=bus)
    service.hold(HOLDINGS)
    service.include(api.router)
    service.include(joining_api.router)
    service.include(contacts_api.router)
    service.include(telling_api.router)
    service.include(access_api.router)
    service.hear_graph()
    service.consume(on)
    service.work(does)
    return service
