"""Consent of an administrator for the whole organisation, in the newer and the older form."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.steering import pages
from m365_simulator.store import Row

from .consents import consent_for_tenant
from .errors import TokenError
from .permissions import BadScope, Scopes
from .visits import Visit, form_of, visit_of

router = APIRouter()
DEFAULT = "https://graph.microsoft.com/.default"


def _is_newer(request: Request) -> bool:
    return request.url.path.endswith("/v2.0/adminconsent")


def _scopes(visit: Visit) -> Scopes:
    """The older form has no scope: it is always everything registered. Raises ``TokenError``."""
    text = visit.fields.get("scope", "") if _is_newer(visit.request) else DEFAULT
    if not text:
        raise TokenError(900144, "The request body must contain the following parameter: 'scope'.")
    try:
        return Scopes(text)
    except BadScope as error:
        raise TokenError(error.number, str(error)) from error


@router.get("/{tenant}/v2.0/adminconsent")
@router.get("/{tenant}/adminconsent")
async def admin_consent_start(request: Request, tenant: str) -> Response:
    visit = visit_of(request, tenant, dict(request.query_params))
    stopped = visit.stopped(nested_paths=not _is_newer(request))
    if stopped is not None:
        return stopped
    try:
        _scopes(visit)
    except TokenError as error:
        return visit.failure(error)
    why = f"An administrator adds {visit.app.name} to the whole organisation."
    return pages.accounts(request, visit.fields, why=why)


@router.post("/{tenant}/v2.0/adminconsent")
@router.post("/{tenant}/adminconsent")
async def admin_consent(request: Request, tenant: str) -> Response:
    visit = visit_of(request, tenant, await form_of(request))
    stopped = visit.stopped(nested_paths=not _is_newer(request))
    if stopped is not None:
        return stopped
    decision = visit.fields.pop("decision", None)
    try:
        account = visit.account()
        user = visit.person(account)
        scopes = _scopes(visit)
    except TokenError as error:
        return visit.failure(error)
    return visit.remember(_decided(visit, user, scopes, decision), account)


def _decided(visit: Visit, user: Row, scopes: Scopes, decision: str | None) -> Response:
    roles = visit.app.roles if scopes.default else []
    if not user["admin"]:
        return visit.refused(TokenError(90094), admin_consent="True")
    delegated = visit.app.delegated if scopes.default else scopes.permissions
    if decision is None:
        asked = {"For each person who signs in": delegated, "By itself, without a person": roles}
        title = "Review permissions for your organization"
        return pages.consent(visit.request, visit.fields, asked, title=title, app=visit.app.name)
    if decision != "accept":
        return _declined(visit)
    tenant = visit.simulator.store.get("tenants", user["tenant"]) or {}
    consent_for_tenant(visit.simulator, visit.app, tenant, delegated, roles=scopes.default)
    answer = {"admin_consent": "True", "tenant": user["tenant"]}
    return visit.back(answer | ({"scope": visit.fields["scope"]} if _is_newer(visit.request) else {}))


def _declined(visit: Visit) -> Response:
    """Published with ``admin_consent=True`` beside the error in the newer form, and in other words in the older."""
    if _is_newer(visit.request):
        return visit.refused(TokenError(65004, error="consent_required"), admin_consent="True")
    return visit.back({"error": "permission_denied", "error_description": "The admin canceled the request"})
