"""Entra's pages and discovery: sign-in, user consent, admin consent."""

import time
import uuid
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.directory import (
    DELEGATED,
    PERSONAL,
    ROLES,
    find_tenant,
    find_user,
    granted_delegated,
    wanted_permissions,
)
from m365_simulator.steering import pages
from m365_simulator.store import Row

from . import tokens

router = APIRouter()
router.include_router(tokens.router)
ANY_TENANT = {"organizations", "common"}
Fields = dict[str, str]


def _simulator(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


@router.get("/common/discovery/instance")
async def instance_discovery(request: Request) -> JSONResponse:
    settings = _simulator(request).settings
    return JSONResponse(
        {
            "tenant_discovery_endpoint": f"{settings.https_base_url}/common/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [],
        }
    )


@router.get("/{tenant}/v2.0/.well-known/openid-configuration")
async def discovery(request: Request, tenant: str) -> JSONResponse:
    simulator = _simulator(request)
    found = find_tenant(simulator.store, tenant)
    if found is None and tenant not in ANY_TENANT:
        return tokens.error_answer(90002, "invalid_request", f"Tenant '{tenant}' not found.")
    http, secure = simulator.settings.http_base_url, simulator.settings.https_base_url
    tid = found["id"] if found else "{tenantid}"
    segment = found["id"] if found else tenant
    return JSONResponse(
        {
            "issuer": f"{secure}/{tid}/v2.0",
            "authorization_endpoint": f"{http}/{segment}/oauth2/v2.0/authorize",
            "token_endpoint": f"{secure}/{segment}/oauth2/v2.0/token",
            "jwks_uri": f"{secure}/{segment}/discovery/v2.0/keys",
            "end_session_endpoint": f"{http}/{segment}/oauth2/v2.0/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
    )


@router.get("/{tenant}/discovery/v2.0/keys")
async def keys(request: Request, tenant: str) -> JSONResponse:
    return JSONResponse(_simulator(request).entra.jwks())


def _back(fields: Fields, answer: Fields) -> RedirectResponse:
    state = {"state": fields["state"]} if fields.get("state") else {}
    join = "&" if "?" in fields["redirect_uri"] else "?"
    return RedirectResponse(f"{fields['redirect_uri']}{join}{urlencode({**answer, **state})}", 302)


def _refused_start(simulator: Simulator, fields: Fields) -> HTMLResponse | None:
    """Faults that may not redirect: an unknown application or redirect URI."""
    if fields.get("client_id") != simulator.settings.client_id:
        return pages.failure(
            simulator, 700016, f"Application '{fields.get('client_id')}' was not found in the directory."
        )
    if fields.get("redirect_uri") not in simulator.settings.redirect_uris:
        return pages.failure(
            simulator, 50011, f"The redirect URI '{fields.get('redirect_uri')}' is not one of the application's."
        )
    return None


@router.get("/{tenant}/oauth2/v2.0/authorize")
async def authorize_start(request: Request, tenant: str) -> Response:
    fields = dict(request.query_params)
    refused = _refused_start(_simulator(request), fields)
    if refused is not None:
        return refused
    if fields.get("response_type") != "code":
        return _back(fields, {"error": "unsupported_response_type", "error_description": "AADSTS70005: use code."})
    if fields.get("prompt") == "none":
        return _back(fields, {"error": "login_required", "error_description": "AADSTS50058: no session."})
    if not fields.get("code_challenge") or fields.get("code_challenge_method") != "S256":
        return _back(fields, {"error": "invalid_request", "error_description": "AADSTS9002325: PKCE S256 is required."})
    return pages.accounts(request, fields, why="Sign in to Prospo's connection with your work or school account.")


@router.post("/{tenant}/oauth2/v2.0/authorize")
async def authorize(request: Request, tenant: str) -> Response:
    simulator = _simulator(request)
    fields = {name: str(value) for name, value in (await request.form()).items()}
    refused = _refused_start(simulator, fields) or _wrong_account(simulator, tenant, fields)
    if refused is not None:
        return refused
    decision = fields.pop("decision", None)
    user = find_user(simulator.store, fields["account"]) or {}
    wanted = wanted_permissions(fields.get("scope", "").split())
    missing = sorted(set(wanted) - granted_delegated(simulator.store, user))
    if decision == "cancel":
        text = "AADSTS65004: User declined to consent to access the app."
        return _back(fields, {"error": "access_denied", "error_subcode": "cancel", "error_description": text})
    if missing and decision != "accept":
        return pages.consent(
            request, fields, {"This app would like to, for you": missing}, title="Permissions requested"
        )
    if missing:
        granted = sorted({*granted_delegated(simulator.store, user), *wanted})
        simulator.store.put("user_consents", user["id"], {"tenant": user["tenant"], "delegated": granted})
    return _back(fields, {"code": _new_code(simulator, fields, user), "session_state": str(uuid.uuid4())})


def _wrong_account(simulator: Simulator, tenant: str, fields: Fields) -> HTMLResponse | None:
    user = find_user(simulator.store, fields.get("account", ""))
    if user is None:
        return pages.failure(simulator, 50034, f"The user account {fields.get('account')} does not exist.")
    found = find_tenant(simulator.store, tenant)
    allowed = tenant == "common" or (tenant == "organizations" and user["tenant"] != PERSONAL)
    if not allowed and (found is None or found["id"] != user["tenant"]):
        return pages.failure(simulator, 50020, f"User account '{user['address']}' does not exist in tenant '{tenant}'.")
    return None


def _new_code(simulator: Simulator, fields: Fields, user: Row) -> str:
    code = f"1.{uuid.uuid4().hex}{uuid.uuid4().hex}"
    row: Row = {name: fields.get(name, "") for name in ("redirect_uri", "scope", "nonce", "code_challenge")}
    row |= {"user": user["id"], "tenant": user["tenant"], "used": False, "made": time.time()}
    simulator.store.put("codes", code, row)
    return code


@router.get("/{tenant}/v2.0/adminconsent")
@router.get("/{tenant}/adminconsent")
async def admin_consent_start(request: Request, tenant: str) -> Response:
    fields = dict(request.query_params)
    refused = _refused_start(_simulator(request), fields)
    if refused is not None:
        return refused
    if request.url.path.endswith("/v2.0/adminconsent") and not fields.get("scope"):
        return pages.failure(_simulator(request), 900144, "The request must contain the parameter 'scope'.")
    return pages.accounts(request, fields, why="An administrator adds Prospo to the whole organisation.")


@router.post("/{tenant}/v2.0/adminconsent")
@router.post("/{tenant}/adminconsent")
async def admin_consent(request: Request, tenant: str) -> Response:
    simulator = _simulator(request)
    fields = {name: str(value) for name, value in (await request.form()).items()}
    refused = _refused_start(simulator, fields) or _wrong_account(simulator, tenant, fields)
    if refused is not None:
        return refused
    decision = fields.pop("decision", None)
    user = find_user(simulator.store, fields["account"]) or {}
    if not user["admin"]:
        text = "AADSTS90094: The grant requires admin permission."
        return _back(fields, {"error": "access_denied", "error_description": text, "admin_consent": "True"})
    scopes = fields.get("scope", "https://graph.microsoft.com/.default").split()
    everything = any(scope.endswith(".default") for scope in scopes)
    permissions = wanted_permissions(scopes)
    if decision is None:
        asked = {
            "For each person who signs in": permissions,
            "By itself, without a person": ROLES if everything else [],
        }
        return pages.consent(request, fields, asked, title="Review permissions for your organization")
    if decision != "accept":
        text = "AADSTS65004: The admin canceled the request"
        return _back(fields, {"error": "access_denied", "error_description": text, "admin_consent": "True"})
    known = [permission for permission in permissions if permission in DELEGATED]
    simulator.store.put("consents", user["tenant"], {"delegated": known, "roles": ROLES if everything else []})
    v2 = {"scope": fields["scope"]} if fields.get("scope") else {}
    return _back(fields, {"admin_consent": "True", "tenant": user["tenant"], **v2})
