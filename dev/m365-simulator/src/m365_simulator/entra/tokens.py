"""Entra's token endpoint: authorization code with PKCE, refresh with rotation, client credentials."""

import base64
import datetime
import hashlib
import secrets
import time
import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from m365_simulator.core import Simulator
from m365_simulator.directory import OIDC_SCOPES, find_tenant, granted_delegated, short_scope
from m365_simulator.faults import fault
from m365_simulator.signing import ACCESS_TOKEN_S, access_token, client_info, encode_part, pairwise_subject
from m365_simulator.store import Row

INVALID_GRANT = fault("token_invalid_grant", "the token endpoint answers invalid_grant")
router = APIRouter()
CODE_S = 600
REFRESH_S = 90 * 24 * 3600
Fields = dict[str, str]


class TokenError(Exception):
    """An AADSTS error."""

    def __init__(self, number: int, error: str, text: str, *, status: int = 400, suberror: str | None = None) -> None:
        super().__init__(text)
        self.number, self.error, self.text, self.status, self.suberror = number, error, text, status, suberror


def error_answer(number: int, error: str, text: str, status: int = 400, suberror: str | None = None) -> JSONResponse:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%SZ}"
    body: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
        "error_codes": [number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return JSONResponse(body | ({"suberror": suberror} if suberror else {}), status)


@router.post("/{tenant}/oauth2/v2.0/token")
async def token(request: Request, tenant: str) -> JSONResponse:
    simulator: Simulator = request.app.state.simulator
    form = {name: str(value) for name, value in (await request.form()).items()}
    form |= _basic(request.headers.get("authorization", ""))
    try:
        _check_client(simulator, form)
        return JSONResponse(_granted(simulator, tenant, form), headers={"Cache-Control": "no-store"})
    except TokenError as error:
        return error_answer(error.number, error.error, error.text, error.status, error.suberror)


def _granted(simulator: Simulator, tenant: str, form: Fields) -> Row:
    if simulator.faults.due(INVALID_GRANT):
        raise TokenError(50173, "invalid_grant", "The provided grant has expired.", suberror="bad_token")
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        raise TokenError(70003, "unsupported_grant_type", "The grant type is not supported.")
    return grant(simulator, tenant, form)


def _basic(header: str) -> Fields:
    if not header.startswith("Basic "):
        return {}
    name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
    return {"client_id": name, "client_secret": secret}


def _check_client(simulator: Simulator, form: Fields) -> None:
    if form.get("client_id") != simulator.settings.client_id:
        raise TokenError(700016, "unauthorized_client", "The application was not found in the directory.")
    if "client_secret" not in form:
        raise TokenError(7000218, "invalid_client", "The request body must contain client_secret.", status=401)
    if not secrets.compare_digest(form["client_secret"], simulator.settings.client_secret):
        raise TokenError(7000215, "invalid_client", "Invalid client secret provided.", status=401)


def _redeem_code(simulator: Simulator, tenant: str, form: Fields) -> Row:
    code = simulator.store.get("codes", form.get("code", ""))
    if code is None or time.time() - code["made"] > CODE_S:
        raise TokenError(70008, "invalid_grant", "The provided authorization code has expired or is unknown.")
    if code["used"]:
        raise TokenError(54005, "invalid_grant", "OAuth2 Authorization code was already redeemed.")
    _check_tenant(simulator, tenant, code["tenant"])
    if form.get("redirect_uri") != code["redirect_uri"]:
        raise TokenError(500112, "invalid_grant", "The reply address does not match the one of the code request.")
    verifier = form.get("code_verifier", "")
    if encode_part(hashlib.sha256(verifier.encode()).digest()) != code["code_challenge"]:
        raise TokenError(501481, "invalid_grant", "The Code_Verifier does not match the code_challenge.")
    simulator.store.put("codes", form["code"], {**code, "used": True})
    return _user_tokens(simulator, code["user"], form.get("scope") or code["scope"], form, code["nonce"])


def _check_tenant(simulator: Simulator, tenant: str, tid: str) -> None:
    found = find_tenant(simulator.store, tenant)
    if tenant not in ("organizations", "common") and (found is None or found["id"] != tid):
        raise TokenError(700005, "invalid_grant", "The grant was issued for another tenant.")


def _refresh(simulator: Simulator, tenant: str, form: Fields) -> Row:
    """Gives a new refresh token; the old one stays good, as at Microsoft."""
    known = simulator.store.get("refresh_tokens", form.get("refresh_token", ""))
    if known is None:
        raise TokenError(50173, "invalid_grant", "The provided grant has been revoked.", suberror="bad_token")
    if time.time() - known["used_at"] > REFRESH_S:
        raise TokenError(700082, "invalid_grant", "The refresh token has expired due to inactivity.")
    _check_tenant(simulator, tenant, known["tenant"])
    simulator.store.put("refresh_tokens", form["refresh_token"], {**known, "used_at": time.time()})
    return _user_tokens(simulator, known["user"], form.get("scope") or known["scope"], form, "")


def _user_tokens(simulator: Simulator, oid: str, scope: str, form: Fields, nonce: str) -> Row:
    user = simulator.store.get("users", oid)
    if user is None:
        raise TokenError(50034, "invalid_grant", "The user account does not exist.")
    asked = scope.split()
    granted = granted_delegated(simulator.store, user)
    everything = any(short_scope(s) == ".default" for s in asked)
    permissions = sorted(granted) if everything else [short_scope(s) for s in asked if s not in OIDC_SCOPES]
    if set(permissions) - granted:
        text = "The user or administrator has not consented to use the application."
        raise TokenError(65001, "invalid_grant", text, suberror="consent_required")
    echoed = sorted(granted) if everything else [s for s in asked if s not in OIDC_SCOPES]
    oidc = [s for s in asked if s in OIDC_SCOPES and s != "offline_access"]
    claims = {**_identity(simulator, user), "scp": " ".join(permissions), "idtyp": "user"}
    answer = _bearer(simulator, user["tenant"], claims) | {"scope": " ".join([*oidc, *echoed])}
    if "offline_access" in asked:
        answer["refresh_token"] = f"1.{secrets.token_urlsafe(48)}"
        row = {"user": oid, "tenant": user["tenant"], "scope": scope, "used_at": time.time()}
        simulator.store.put("refresh_tokens", answer["refresh_token"], row)
    if "openid" in asked:
        answer["id_token"] = _id_token(simulator, user, nonce)
    if form.get("client_info") == "1":
        answer["client_info"] = client_info(user)
    return answer


def _identity(simulator: Simulator, user: Row) -> Row:
    return {
        "tid": user["tenant"],
        "oid": user["id"],
        "sub": pairwise_subject(simulator.settings.client_id, user["id"]),
        "name": user["name"],
    }


def _issuer(simulator: Simulator, tid: str) -> str:
    return f"{simulator.settings.https_base_url}/{tid}/v2.0"


def _id_token(simulator: Simulator, user: Row, nonce: str) -> str:
    claims = {
        **_identity(simulator, user),
        "iss": _issuer(simulator, user["tenant"]),
        "aud": simulator.settings.client_id,
        "preferred_username": user["address"],
        "ver": "2.0",
    }
    return simulator.entra.sign(claims | ({"nonce": nonce} if nonce else {}))


def _bearer(simulator: Simulator, tid: str, claims: Row) -> Row:
    claims = {"tid": tid, "appid": simulator.settings.client_id, **claims}
    made = access_token(simulator.entra, _issuer(simulator, tid), claims)
    return {
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_S - 1,
        "ext_expires_in": ACCESS_TOKEN_S - 1,
        "access_token": made,
    }


def _client_credentials(simulator: Simulator, tenant: str, form: Fields) -> Row:
    if tenant in ("organizations", "common"):
        raise TokenError(9001023, "invalid_request", "The grant type is not supported over /common; name the tenant.")
    found = find_tenant(simulator.store, tenant)
    if found is None:
        raise TokenError(90002, "invalid_request", f"Tenant '{tenant}' not found.")
    if form.get("scope") != "https://graph.microsoft.com/.default":
        raise TokenError(1002012, "invalid_scope", "The scope must be https://graph.microsoft.com/.default.")
    consent = simulator.store.get("consents", found["id"])
    if consent is None:
        text = f"Application '{form['client_id']}' was not found in the directory '{found['name']}'."
        raise TokenError(700016, "unauthorized_client", text)
    principal = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{form['client_id']}.{found['id']}"))
    claims = {"oid": principal, "sub": principal, "idtyp": "app", "roles": consent["roles"]}
    return _bearer(simulator, found["id"], claims)


GRANTS = {
    "authorization_code": _redeem_code,
    "refresh_token": _refresh,
    "client_credentials": _client_credentials,
}
