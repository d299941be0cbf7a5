"""The mail service put together."""

from mail import api, conversations_api, mailbox_api
from mail.addressing import ContactsClient
from mail.erasing import HOLDINGS
from mail.handlers import on
from mail.jobs import does
from mail.settings import Settings
from shared.bus import Bus
from shared.hosting.service import Service


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; files that are uploaded have a limit of their own."""
    service = Service("mail", "mail", settings, bus=bus, unlimited_bodies=("/v1/mail/files",))
    service.hold(HOLDINGS)
    service.provide(contacts=ContactsClient(settings, service.service_tokens))
    service.include(conversations_api.router)
    service.include(mailbox_api.router)
    service.include(api.router)
    service.hear_graph()
    service.consume(on)
    service.work(does)
    return service
