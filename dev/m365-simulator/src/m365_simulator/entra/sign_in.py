"""The authorize endpoint: account picker, consent, and the code."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from m365_simulator.directory import policy
from m365_simulator.faults import fault
from m365_simulator.steering import pages
from m365_simulator.store import Row

from .applications import applications
from .consents import check_enabled, consent_for_person, granted
from .errors import FIELDS_OF_FAULT, TokenError, scripted
from .permissions import BadScope, Scopes, not_by_a_person
from .tokens import now_of
from .visits import COOKIE, Fields, Visit, form_of, visit_of

AUTHORIZE_ERROR = fault(
    "authorize_error", "the authorize endpoint sends AADSTS `number` back to the application", *FIELDS_OF_FAULT
)
router = APIRouter()
MODES = {"", "query", "fragment", "form_post"}
PROMPTS = {"", "none", "login", "consent", "select_account"}
KEPT = ("redirect_uri", "scope", "nonce", "code_challenge", "claims")


@router.get("/{tenant}/oauth2/v2.0/authorize")
async def authorize_start(request: Request, tenant: str) -> Response:
    visit = visit_of(request, tenant, dict(request.query_params))
    stopped = visit.stopped()
    if stopped is not None:
        return stopped
    try:
        _check(visit)
        return _begin(visit)
    except TokenError as error:
        return visit.refused(error)


@router.post("/{tenant}/oauth2/v2.0/authorize")
async def authorize(request: Request, tenant: str) -> Response:
    visit = visit_of(request, tenant, await form_of(request))
    stopped = visit.stopped()
    if stopped is not None:
        return stopped
    decision = visit.fields.pop("decision", None)
    try:
        _check(visit)
    except TokenError as error:
        return visit.refused(error)
    try:
        account = visit.account()
        user = visit.person(account)
        _check_standing(visit, account, user)
    except TokenError as error:
        return visit.failure(error)
    try:
        return _go_on(visit, account, user, decision)
    except TokenError as error:
        return visit.refused(error)


@router.get("/{tenant}/oauth2/v2.0/logout")
async def logout(request: Request, tenant: str) -> Response:
    """Ends the browser's session; tokens live on."""
    visit = visit_of(request, tenant, dict(request.query_params))
    visit.simulator.store.delete("sessions", request.cookies.get(COOKIE, ""))
    back = visit.fields.get("post_logout_redirect_uri", "")
    known = [uri for app in applications(visit.simulator) for uri in app.redirect_uris]
    if back in known:
        return RedirectResponse(back, 302)
    return pages.signed_out(visit.simulator)


def _check_standing(visit: Visit, account: Row, user: Row) -> None:
    check_enabled(visit.simulator, visit.app, user["tenant"])
    if not (account.get("enabled", True) and user.get("enabled", True)):
        raise TokenError(50057)


def _check(visit: Visit) -> None:
    """What is told to the application. Raises ``TokenError``."""
    fields = visit.fields
    if not fields.get("response_type"):
        raise TokenError(900144, "The request body must contain the following parameter: 'response_type'.")
    if fields["response_type"] != "code":
        text = f"response_type '{fields['response_type']}' is not enabled for the application."
        raise TokenError(700054, text)
    if fields.get("response_mode", "") not in MODES:
        raise TokenError(70007, f"'{fields['response_mode']}' is not a supported value for 'response_mode'.")
    if fields.get("prompt", "") not in PROMPTS:
        raise TokenError(90023, f"Unsupported 'prompt' value '{fields['prompt']}'.")
    if not fields.get("scope"):
        raise TokenError(900144, "The request body must contain the following parameter: 'scope'.")
    try:
        Scopes(fields["scope"])
    except BadScope as error:
        raise TokenError(error.number, str(error)) from error
    _check_pkce(visit)


def _check_pkce(visit: Visit) -> None:
    """S256 or plain, which is what a challenge without a method is; both weaker ways are noticed."""
    fields, calls = visit.fields, visit.simulator.calls
    challenge, method = fields.get("code_challenge", ""), fields.get("code_challenge_method") or "plain"
    if challenge and method not in ("plain", "S256"):
        raise TokenError(90023, f"Unsupported 'code_challenge_method' value '{method}'.")
    if challenge and not 43 <= len(challenge) <= 128:
        raise TokenError(501491)
    if visit.request.method == "GET" and (not challenge or method == "plain"):
        row = {"method": "GET", "path": visit.request.url.path, "app": visit.app.client_id}
        calls.find("weak_pkce", "The sign-in is not bound to its browser by PKCE with S256.", row)


def _begin(visit: Visit) -> Response:
    fields = visit.fields
    _strike(visit, None)
    accounts, hint = visit.signed_in(), fields.get("login_hint", "").lower()
    chosen = [row for row in accounts if hint in ("", row["address"], row["id"])]
    if fields.get("prompt") == "none":
        return _silently(visit, accounts, chosen)
    if len(chosen) == 1 and not fields.get("prompt"):
        fields["account"] = chosen[0]["address"]  # a consent page sends it back
        try:
            return _go_on(visit, chosen[0], visit.person(chosen[0]), None)
        except TokenError as error:
            return visit.failure(error) if error.number == 50020 else visit.refused(error)
    return pages.accounts(
        visit.request,
        fields,
        why=f"Sign in to {visit.app.name}'s connection with your work or school account.",
        hint=hint,
        domain=fields.get("domain_hint", "").lower(),
    )


def _silently(visit: Visit, accounts: list[Row], chosen: list[Row]) -> Response:
    """With the browser's session alone, or an error that says what is missing."""
    if not chosen:
        raise TokenError(50058)
    if len(chosen) > 1:
        raise TokenError(16000)
    account = chosen[0]
    user = visit.person(account)
    _check_standing(visit, account, user)
    _strike(visit, account)
    wanted = _wanted(visit)
    if set(wanted) - granted(visit.simulator, visit.app, user):
        raise TokenError(65001, error="consent_required")
    return visit.remember(visit.back(_code(visit, account, user)), account)


def _strike(visit: Visit, account: Row | None) -> None:
    tenant = visit.simulator.store.get("tenants", account["tenant"]) if account else None
    about = {
        "path": visit.request.url.path,
        "method": visit.request.method,
        "app": visit.app.client_id,
        "user": f"{account['id']}\n{account['address']}" if account else "",
        "tenant": f"{tenant['id']}\n{tenant['domain']}" if tenant else visit.segment,
        "grant": "authorize",
    }
    found = visit.simulator.faults.due(AUTHORIZE_ERROR, **about)
    if found is not None:
        raise scripted(found)


def _wanted(visit: Visit) -> list[str]:
    scopes = Scopes(visit.fields["scope"])
    return list(visit.app.delegated) if scopes.default else scopes.permissions


def _go_on(visit: Visit, account: Row, user: Row, decision: str | None) -> Response:
    """Consent where it is missing, else the code. Raises ``TokenError`` for what is told to the application."""
    _strike(visit, account)
    wanted = _wanted(visit)
    missing = sorted(set(wanted) - granted(visit.simulator, visit.app, user))
    tenant = visit.simulator.store.get("tenants", user["tenant"]) or {}
    blocked = not_by_a_person(missing, policy(tenant, "user_consent")) if not user["admin"] else []
    if decision == "cancel":
        return visit.refused(TokenError(65004), error_subcode="cancel")
    if blocked:
        return _needs_admin(visit, user, tenant, missing, blocked, decision)
    if decision != "accept" and (missing or visit.fields.get("prompt") == "consent"):
        return pages.consent(
            visit.request,
            visit.fields,
            {"This app would like to, for you": missing or wanted},
            title="Permissions requested",
            app=visit.app.name,
        )
    if missing or decision == "accept":
        consent_for_person(visit.simulator, visit.app, user, wanted)
    return visit.remember(visit.back(_code(visit, account, user)), account)


def _needs_admin(
    visit: Visit, user: Row, tenant: Row, missing: list[str], blocked: list[str], decision: str | None
) -> Response:
    """The approval page. Where the workflow is on, going on asks the administrators."""
    workflow = bool(policy(tenant, "approval_workflow"))
    if decision is None:
        return pages.approval(visit.request, visit.fields, blocked, app=visit.app.name, workflow=workflow)
    if workflow:
        key = visit.simulator.ids.guid("consent-request")
        row = {"id": key, "tenant": user["tenant"], "user": user["id"], "app": visit.app.client_id}
        row |= {"permissions": missing, "reason": visit.fields.get("reason", ""), "status": "pending"}
        visit.simulator.store.put("consent_requests", key, row)
    raise TokenError(90095 if workflow else 90094)


def _code(visit: Visit, account: Row, user: Row) -> Fields:
    simulator = visit.simulator
    code = f"1.{simulator.ids.text('code', 64)}"
    row: Row = {name: visit.fields.get(name, "") for name in KEPT}
    row["code_challenge_method"] = visit.fields.get("code_challenge_method") or "plain"
    row |= {"account": account["id"], "tenant": user["tenant"], "client": visit.app.client_id}
    row |= {"used": False, "made": now_of(simulator), "epoch": account.get("epoch", 0)}
    simulator.store.put("codes", code, row)
    return {"code": code, "session_state": simulator.ids.guid("session-state")}
