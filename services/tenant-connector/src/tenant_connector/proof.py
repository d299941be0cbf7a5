"""Is the consent in force? A token of the claimed tenant with our roles, and Graph naming the same tenant."""

import asyncio

from shared.entra import Entra, EntraError, EntraMisconfigured, EntraRetry, EntraTenantGone, EntraTenantUnknown
from shared.graph.errors import GraphError, GraphGiveUp, GraphRetry
from shared.tokens import AccessToken
from tenant_connector import graph
from tenant_connector.settings import Settings
from tenant_connector.tenant import Problem
from tenant_connector.tokens import acquire, roles_of


class NotProven(Exception):
    """Not now; ``problem`` is what to tell people when there is no more patience, or none helps (``Disproven``)."""

    def __init__(self, code: str, detail: str, *, after_s: float = 0) -> None:
        super().__init__(detail)
        self.problem: Problem = {"code": code, "detail": detail}
        self.after_s = after_s


class NotYet(NotProven):
    """Asking again may help: a consent takes a while until all of Microsoft knows it."""


class Disproven(NotProven):
    """Asking again cannot help."""


async def prove(settings: Settings, entra: Entra, org_id: str, tid: str) -> str:
    """The tenant's display name, when everything holds. Raises ``NotYet`` or ``Disproven``."""
    token = await _token(entra, tid)
    missing = settings.required_roles_there - roles_of(token)
    if missing:
        raise NotYet(
            "permissions_missing",
            f"Microsoft does not give Prospo these permissions: {', '.join(sorted(missing))}. Connect again and accept "
            "all of them; if they are not asked for, tell the operator that the registration lacks them.",
        )
    found = await _organisation(settings, org_id, token)
    if found is None or found.tid != tid:
        raise Disproven(
            "tenant_mismatch",
            "Microsoft names another tenant than the one that came back from the consent. Connect again.",
        )
    return found.display_name


async def _token(entra: Entra, tid: str) -> AccessToken:
    try:
        return await asyncio.to_thread(acquire, entra, tid)
    except EntraTenantGone as error:
        raise NotYet(
            "consent_not_in_force",
            "Your Microsoft 365 does not know Prospo, though consent was reported. Connect again as a Global "
            "Administrator or a Privileged Role Administrator.",
        ) from error
    except EntraRetry as error:
        raise NotYet("microsoft_unavailable", _unavailable(), after_s=error.after_s) from error
    except EntraTenantUnknown as error:  # so it was never Microsoft who named it
        raise Disproven("tenant_unknown", _unknown()) from error
    except EntraMisconfigured as error:
        raise Disproven("prospo_misconfigured", error.message) from error
    except EntraError as error:
        raise Disproven("microsoft_refused", error.message) from error


async def _organisation(settings: Settings, org_id: str, token: AccessToken) -> graph.Organisation | None:
    try:
        async with graph.as_application(settings, org_id, token) as caller:
            return await graph.organisation(caller)
    except GraphRetry as error:
        raise NotYet("microsoft_unavailable", _unavailable(), after_s=error.after_s) from error
    except GraphGiveUp as error:
        raise Disproven("microsoft_refused", f"Microsoft did not describe the tenant: {error}") from error
    except GraphError as error:
        # 401 and 403: Graph is often the last to learn of a consent.
        raise NotYet("consent_not_in_force", f"Graph does not accept Prospo yet: {error} Connect again.") from error


def _unavailable() -> str:
    return "Microsoft did not answer, though asked for a while. Connect again later."


def _unknown() -> str:
    return "Microsoft does not know the tenant that came back from the consent. Connect again."
