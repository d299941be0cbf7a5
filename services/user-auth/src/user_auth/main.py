"""User-auth put together."""

from shared import metrics
from shared.bus import Bus
from shared.database.watch import by_status
from shared.entra.client import Entra
from shared.entra.id_tokens import IdTokens
from shared.hosting.service import Service
from user_auth.api import router
from user_auth.checking import AccountChecks
from user_auth.erasing import HOLDINGS
from user_auth.handlers import on
from user_auth.jobs import does
from user_auth.microsoft import Microsoft
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings
from user_auth.signing_in import SignIns


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service("user-auth", "user_auth", settings, bus=bus)
    service.hold(HOLDINGS)
    entra = Entra(settings)
    microsoft = Microsoft(settings, entra)
    id_tokens = IdTokens(settings, entra)
    access_tokens = AccessTokens(settings, service.db, service.envelope, microsoft)
    checks = AccountChecks(settings, service.db, access_tokens)
    sign_ins = SignIns(settings, service.db, service.envelope, microsoft, id_tokens, access_tokens, checks)
    service.provide(checks=checks, sign_ins=sign_ins)
    # Closed in this order: the refreshes under way still need MSAL's threads.
    service.provide(access_tokens=access_tokens, microsoft=microsoft)
    service.gauge(by_status("connection", metrics.connections))
    service.include(router)
    service.consume(on)
    service.work(does)
    return service
