"""Entra's token endpoint: authorization code, refresh with rotation, client credentials.

Ages are counted on the service clock; the times inside tokens are real ones, because callers check them.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.directory import find_tenant, identity_in, policy
from m365_simulator.faults import fault
from m365_simulator.signing import ACCESS_TOKEN_S, client_info, encode_part
from m365_simulator.store import Row

from . import cae
from .applications import Application
from .clients import authenticate, basic
from .consents import check_enabled, check_known, consent_of, granted, is_revoked, principal_id, roles_in_force
from .errors import FIELDS_OF_FAULT, TokenError, error_answer, scripted
from .issuing import graph_token, id_token, user_claims
from .permissions import GRAPH, BadScope, Scopes

INVALID_GRANT = fault("token_invalid_grant", "the token endpoint answers invalid_grant")
TOKEN_ERROR = fault(
    "token_error", "the token endpoint answers AADSTS `number`; match also by app and grant", *FIELDS_OF_FAULT
)
TOKEN_BUSY = fault(
    "token_busy", "the token endpoint answers `status` (429), `retry_after` in seconds, null for none", "status",
    "retry_after",
)  # fmt: skip
router = APIRouter()
ANY_TENANT = {"organizations", "common", "consumers"}
CODE_S = 600
REFRESH_S = 90 * 24 * 3600
Fields = dict[str, str]


@dataclass(slots=True)
class Asked:
    """One token request of an application that proved itself."""

    simulator: Simulator
    segment: str
    app: Application
    acr: str
    form: Fields
    claims: dict[str, Any]
    account: Row | None = None

    @property
    def about(self) -> Row:
        """What faults are matched with."""
        return about(self.simulator, self.segment, self.form, self.account)


def about(simulator: Simulator, segment: str, form: Fields, account: Row | None) -> Row:
    tenant = find_tenant(simulator.store, segment) or {}
    if account is not None:
        tenant = simulator.store.get("tenants", account["tenant"]) or tenant
    return {
        "path": f"/{segment}/oauth2/v2.0/token",
        "method": "POST",
        "tenant": f"{tenant.get('id', segment)}\n{tenant.get('domain', '')}",
        "user": f"{account['id']}\n{account['address']}" if account else "",
        "app": form.get("client_id", ""),
        "grant": form.get("grant_type", ""),
    }


def now_of(simulator: Simulator) -> float:
    return simulator.clock.service().timestamp()


@router.post("/{tenant}/oauth2/v2.0/token")
async def token(request: Request, tenant: str) -> Response:
    simulator: Simulator = request.scope["simulator"]
    began = time.monotonic()
    form = {name: str(value) for name, value in (await request.form()).items()}
    correlation = request.headers.get("client-request-id")
    account = _account_of(simulator, form)
    try:
        form |= basic(request.headers.get("authorization", ""))
        answer = _busy(simulator, tenant, form, account) or _answer(simulator, tenant, form, account)
    except TokenError as error:
        answer = error_answer(simulator, error, correlation)
    answer.headers["x-ms-request-id"] = simulator.ids.passing()
    _record(request, tenant, form, account, answer, time.monotonic() - began)
    return answer


def _answer(simulator: Simulator, tenant: str, form: Fields, account: Row | None) -> Response:
    check_tenant(simulator, tenant)
    app, acr = authenticate(simulator, form, _audiences(simulator, tenant))
    asked = Asked(simulator, tenant, app, acr, form, cae.read_claims(form.get("claims")), account)
    _strike(asked)
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        raise TokenError(70003, f"The app requested an unsupported grant type '{form.get('grant_type')}'.")
    try:
        said = grant(asked)
    except BadScope as error:
        raise TokenError(error.number, str(error)) from error
    return JSONResponse(said, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def _account_of(simulator: Simulator, form: Fields) -> Row | None:
    """The account whose grant is presented, for faults and the record."""
    store = simulator.store
    row = store.get("codes", form.get("code", "")) or store.get("refresh_tokens", form.get("refresh_token", "")) or {}
    return store.get("users", row.get("account", ""))


def _record(request: Request, tenant: str, form: Fields, account: Row | None, answer: Response, seconds: float) -> None:
    row = {
        "host": request.url.netloc,
        "method": "POST",
        "path": request.url.path,
        "query": request.url.query,
        "status": answer.status_code,
        "tenant": account["tenant"] if account else tenant,
        "user": account["id"] if account else None,
        "app": form.get("client_id"),
        "app_only": form.get("grant_type") == "client_credentials",
        "permission": form.get("grant_type"),
        "seconds": round(seconds, 4),
    }
    request.scope["simulator"].calls.record(row, answer.headers.get("retry-after"))


def _busy(simulator: Simulator, tenant: str, form: Fields, account: Row | None) -> Response | None:
    found = simulator.faults.due(TOKEN_BUSY, **about(simulator, tenant, form, account))
    if found is None:
        return None
    wait = found.get("retry_after", 1)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    body = {"error": "temporarily_unavailable", "error_description": "The service is busy."}
    return JSONResponse(body, int(found.get("status", 429)), headers)


def _strike(asked: Asked) -> None:
    faults, about_it = asked.simulator.faults, asked.about
    if faults.due(INVALID_GRANT, **about_it):
        raise TokenError(50173)
    if (found := faults.due(TOKEN_ERROR, **about_it)) is not None:
        raise scripted(found)


def check_tenant(simulator: Simulator, segment: str) -> Row | None:
    """The tenant of the path; None for a word that stands for any. Raises ``TokenError``."""
    found = find_tenant(simulator.store, segment)
    if found is None:
        if segment in ANY_TENANT:
            return None
        raise TokenError(90002, f"Tenant '{segment}' not found. Check to make sure you have the correct tenant ID.")
    if cloud := policy(found, "cloud"):
        raise TokenError(90038, f"Tenant '{segment}' request is being redirected to the National Cloud '{cloud}'.")
    return found


def _audiences(simulator: Simulator, segment: str) -> set[str]:
    """What an assertion may be addressed to: the token endpoint as discovery names it, or the issuer."""
    found = find_tenant(simulator.store, segment)
    names = {segment, *((found["id"], found["domain"]) if found else ())}
    base = simulator.settings.https_base_url
    return {f"{base}/{name}{ending}" for name in names for ending in ("/oauth2/v2.0/token", "/v2.0")}


def _redeem_code(asked: Asked) -> Row:
    """Once, within ten minutes, by the application, redirect URI, verifier and tenant it was made for."""
    simulator, form = asked.simulator, asked.form
    code = simulator.store.get("codes", form.get("code", ""))
    if code is None:
        raise TokenError(9002313)
    if code["used"]:
        raise TokenError(54005)
    if now_of(simulator) - code["made"] > CODE_S:
        raise TokenError(70008)
    if code["client"] != asked.app.client_id:
        raise TokenError(70000, "The authorization code was issued to another client.")
    tenant = find_tenant(simulator.store, asked.segment)
    if asked.segment not in ANY_TENANT and (tenant is None or tenant["id"] != code["tenant"]):
        raise TokenError(700005)
    if form.get("redirect_uri") != code["redirect_uri"]:
        raise TokenError(500112)
    _check_verifier(code, form.get("code_verifier", ""))
    simulator.store.put("codes", form["code"], {**code, "used": True})
    claims = asked.claims or cae.read_claims(code["claims"])
    return _user_tokens(asked, code, form.get("scope"), claims, code["nonce"])


def _check_verifier(code: Row, verifier: str) -> None:
    challenge = code["code_challenge"]
    if not challenge:
        if verifier:  # RFC 9700 4.8.2: somebody took the challenge out of the request for the code
            raise TokenError(501481)
        return
    hashed = encode_part(hashlib.sha256(verifier.encode()).digest())
    if challenge != (verifier if code["code_challenge_method"] == "plain" else hashed):
        raise TokenError(501481)


def _refresh(asked: Asked) -> Row:
    """Gives a new refresh token; the old one stays good. Bound to the account and application, not to a tenant."""
    simulator, given = asked.simulator, asked.form.get("refresh_token", "")
    known = simulator.store.get("refresh_tokens", given)
    if known is None:
        raise TokenError(9002313)
    if known["client"] != asked.app.client_id:
        raise TokenError(70000, "The refresh token was issued to another client.")
    if now_of(simulator) - known["used_at"] > REFRESH_S:
        raise TokenError(700082)
    simulator.store.put("refresh_tokens", given, {**known, "used_at": now_of(simulator)})
    tenant = find_tenant(simulator.store, asked.segment)
    row = known | {"tenant": tenant["id"] if tenant else known["tenant"]}
    return _user_tokens(asked, row, asked.form.get("scope"), asked.claims, "")


def _user_tokens(asked: Asked, row: Row, scope: str | None, claims: dict[str, Any], nonce: str) -> Row:
    simulator, app = asked.simulator, asked.app
    account, user = _standing(asked, row)
    scopes = Scopes(scope or row["scope"])
    first = Scopes(row["scope"])
    oidc = list(dict.fromkeys([*scopes.oidc, *(first.oidc if scope else [])]))
    told = _permissions(asked, user, scopes)
    carried, long_lived = cae.claims_of(account, claims)
    said = user_claims(app, user) | carried | {"scp": " ".join(told), "appidacr": asked.acr}
    lifetime_s = cae.LIFETIME_S + 1 if long_lived else ACCESS_TOKEN_S
    answer = _bearer(asked, scopes.resource, said, lifetime_s)
    answer["scope"] = " ".join([*(one for one in oidc if one != "offline_access"), *told])
    if "offline_access" in oidc:
        answer["refresh_token"] = _new_refresh_token(asked, account, user, row["scope"])
    if "openid" in oidc:
        answer["id_token"] = id_token(simulator, app, user, oidc, nonce, asked.about)
    if asked.form.get("client_info") == "1":
        answer["client_info"] = client_info(account)
    return answer


def _standing(asked: Asked, row: Row) -> tuple[Row, Row]:
    """The account, and who it is in the tenant of the token. Raises ``TokenError`` when it may no longer sign in."""
    store = asked.simulator.store
    account = store.get("users", row["account"])
    user = identity_in(store, account, row["tenant"]) if account else None
    if account is None:
        raise TokenError(50034)
    if user is None:
        raise TokenError(50020)
    if not (account.get("enabled", True) and user.get("enabled", True)):
        raise TokenError(50057)
    if is_revoked(account, row["epoch"]):
        raise TokenError(50173)
    check_known(asked.simulator, asked.app, store.get("tenants", user["tenant"]) or {})
    check_enabled(asked.simulator, asked.app, user["tenant"])
    return account, user


def _permissions(asked: Asked, user: Row, scopes: Scopes) -> list[str]:
    """What the token holds of what was asked, in the order asked; raises 65001 for what nobody consented to."""
    simulator, app = asked.simulator, asked.app
    allowed = granted(simulator, app, user)
    if consent_of(simulator, app, user["tenant"]) is None or set(scopes.permissions) - allowed:
        text = f"The user or administrator has not consented to use the application with ID '{app.client_id}'."
        raise TokenError(65001, text)
    tenant = simulator.store.get("tenants", user["tenant"]) or {}
    told = scopes.permissions
    if scopes.default or policy(tenant, "scopes_told") == "all":
        told = sorted(allowed)
    return [name for name in told if name not in policy(tenant, "withheld")]


def _new_refresh_token(asked: Asked, account: Row, user: Row, scope: str) -> str:
    simulator = asked.simulator
    made = f"1.{simulator.ids.text('refresh-token', 64)}"
    row = {"token": made, "account": account["id"], "client": asked.app.client_id, "tenant": user["tenant"]}
    row |= {"scope": scope, "used_at": now_of(simulator), "epoch": account.get("epoch", 0)}
    simulator.store.put("refresh_tokens", made, row)
    return made


def _bearer(asked: Asked, audience: str, claims: Row, lifetime_s: int) -> Row:
    return {
        "token_type": "Bearer",
        "expires_in": lifetime_s - 1,
        "ext_expires_in": lifetime_s - 1,
        "access_token": graph_token(asked.simulator, asked.app, audience, claims, lifetime_s),
    }


def _client_credentials(asked: Asked) -> Row:
    """``roles`` as consented; no refresh token, and one tenant only."""
    if asked.segment in ANY_TENANT:
        raise TokenError(9001023, f"The grant type is not supported over the /{asked.segment} endpoint.")
    tenant = check_tenant(asked.simulator, asked.segment)
    if not asked.form.get("scope"):
        raise TokenError(900144, "The request body must contain the following parameter: 'scope'.")
    scopes = Scopes(asked.form["scope"])
    if not scopes.default or asked.form["scope"].strip() == ".default":
        raise TokenError(1002012, f"The provided value for scope {asked.form['scope']} is not valid.")
    tid = tenant["id"] if tenant else ""
    app = asked.app
    _check_home(app, tid)
    roles = roles_in_force(asked.simulator, app, tenant or {})
    principal = principal_id(app.client_id, tid)
    claims = {"tid": tid, "oid": principal, "sub": principal, "idtyp": "app", "appidacr": asked.acr}
    claims |= {"app_displayname": app.name, "roles": roles if scopes.resource == GRAPH else []}
    return _bearer(asked, scopes.resource, claims, ACCESS_TOKEN_S)


def _check_home(app: Application, tid: str) -> None:
    if not app.multi_tenant and app.tenant != tid:
        raise TokenError(700016, f"Application '{app.client_id}' was not found in the directory.")


GRANTS = {
    "authorization_code": _redeem_code,
    "refresh_token": _refresh,
    "client_credentials": _client_credentials,
}
