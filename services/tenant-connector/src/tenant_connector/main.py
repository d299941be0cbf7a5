"""The tenant-connector put together."""

from shared import metrics
from shared.bus import Bus
from shared.database.watch import by_status
from shared.entra.client import Entra
from shared.entra.id_tokens import IdTokens
from shared.hosting.service import Service
from tenant_connector import api, links_api, picks_api
from tenant_connector.administrators import Administrators
from tenant_connector.consent import Consents
from tenant_connector.erasing import HOLDINGS
from tenant_connector.handlers import on
from tenant_connector.picks import Picks
from tenant_connector.readiness import api as board_api
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness.contacts import ContactsClient
from tenant_connector.readiness.jobs import does
from tenant_connector.settings import Settings
from tenant_connector.tokens import AppTokens


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("tenant-connector", "tenant_connector", settings, bus=bus)
    service.hold(HOLDINGS)
    entra = Entra(settings)
    id_tokens = IdTokens(settings, entra)
    consents = Consents(settings, service.db, service.envelope, entra, Administrators(settings, entra, id_tokens))
    contacts = ContactsClient(settings, service.service_tokens)
    picks = Picks(settings, service.db, service.envelope, entra, id_tokens)
    service.provide(picks=picks)
    service.provide(entra=entra, app_tokens=AppTokens(entra), consents=consents, contacts=contacts)
    service.include(api.router)
    service.include(links_api.router)
    service.include(picks_api.router)
    service.include(board_api.router)
    service.consume(on)
    service.work(does)
    service.gauge(readiness.gauge_verdicts)
    service.gauge(by_status("tenant", metrics.organisations))
    return service
