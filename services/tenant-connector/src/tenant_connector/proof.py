"""Is the consent in force? A token of the claimed tenant with our roles, and Graph naming the same tenant."""

import asyncio

from shared.entra.aadsts import EntraError, EntraMisconfigured, EntraRetry, EntraTenantGone, EntraTenantUnknown
from shared.entra.client import Entra
from shared.entra.tokens import AccessToken
from shared.graph.errors import GraphError, GraphGiveUp, GraphRetry
from tenant_connector import graph
from tenant_connector.settings import Settings
from tenant_connector.tenant import Problem, as_problem
from tenant_connector.tokens import acquire, roles_of


class NotProven(Exception):
    """Not now; ``problem`` is what to tell people, with what Microsoft's refusal (``said``) is found by there."""

    def __init__(self, code: str, detail: str, said: EntraError | GraphError | None = None) -> None:
        super().__init__(detail)
        number = said.number if isinstance(said, EntraError) else 0
        trace_id = said.trace_id if isinstance(said, EntraError) else said.request_id if said else ""
        self.problem: Problem = as_problem(code, detail, number=number, trace_id=trace_id)


class NotYet(NotProven):
    """Asking again may help: a consent takes a while until all of Microsoft knows it."""


class NotAnswered(NotYet):
    """Microsoft is busy or away, for ``after_s`` as it says; this says nothing about the consent."""

    def __init__(self, said: EntraRetry | GraphRetry) -> None:
        super().__init__(
            "microsoft_unavailable", "Microsoft does not answer right now. It is asked again by itself.", said
        )
        self.after_s = said.after_s or 0.0


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
            error,
        ) from error
    except EntraRetry as error:
        raise NotAnswered(error) from error
    except EntraTenantUnknown as error:  # so it was never Microsoft who named it
        raise Disproven("tenant_unknown", _unknown(), error) from error
    except EntraMisconfigured as error:
        raise Disproven("prospo_misconfigured", error.message, error) from error
    except EntraError as error:
        raise Disproven("microsoft_refused", error.message, error) from error


async def _organisation(settings: Settings, org_id: str, token: AccessToken) -> graph.Organisation | None:
    try:
        async with graph.as_application(settings, org_id, token) as caller:
            return await graph.organisation(caller)
    except GraphRetry as error:
        raise NotAnswered(error) from error
    except GraphGiveUp as error:
        raise Disproven("microsoft_refused", f"Microsoft did not describe the tenant: {error}", error) from error
    except GraphError as error:
        # 401 and 403: Graph is often the last to learn of a consent.
        detail = f"Graph does not accept Prospo yet: {error} Connect again."
        raise NotYet("consent_not_in_force", detail, error) from error


def _unknown() -> str:
    return "Microsoft does not know the tenant that came back from the consent. Connect again."
