"""What Entra tells of itself: OpenID discovery, signing keys, and the list of clouds."""

from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from m365_simulator.core import Simulator
from m365_simulator.store import Row

from .errors import TokenError, error_answer
from .tokens import ANY_TENANT, check_tenant

router = APIRouter()
PUBLIC = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
CLOUDS = [
    PUBLIC,
    ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
    ["login.microsoftonline.us", "login.usgovcloudapi.net"],
    ["login-us.microsoftonline.com"],
]
CLAIMS = [
    "sub",
    "iss",
    "cloud_instance_name",
    "cloud_instance_host_name",
    "cloud_graph_host_name",
    "msgraph_host",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "nonce",
    "preferred_username",
    "name",
    "tid",
    "ver",
    "at_hash",
    "c_hash",
    "email",
]


def _simulator(request: Request) -> Simulator:
    simulator: Simulator = request.scope["simulator"]
    return simulator


@router.get("/common/discovery/instance")
async def instance_discovery(request: Request) -> JSONResponse:
    """Clients of a private host should not ask: it is noticed."""
    simulator = _simulator(request)
    row = {"method": "GET", "path": request.url.path, "query": request.url.query, "host": request.url.netloc}
    says = "The client validates the authority; a private host needs instance_discovery=False."
    simulator.calls.find("instance_discovery", says, row)
    own = str(urlsplit(simulator.settings.https_base_url).hostname)
    asked = urlsplit(request.query_params.get("authorization_endpoint", "")).hostname
    if asked and asked not in {own, *(alias for cloud in CLOUDS for alias in cloud)}:
        return error_answer(simulator, TokenError(50049))
    clouds = [[own], *CLOUDS]
    metadata = [
        {"preferred_network": one[0], "preferred_cache": one[1 if one is PUBLIC else 0], "aliases": one}
        for one in clouds
    ]
    endpoint = f"{simulator.settings.https_base_url}/common/v2.0/.well-known/openid-configuration"
    return JSONResponse({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata})


@router.get("/{tenant}/v2.0/.well-known/openid-configuration")
async def discovery(request: Request, tenant: str) -> JSONResponse:
    return _document(_simulator(request), tenant)


def _document(simulator: Simulator, tenant: str) -> JSONResponse:
    """Pages are named where a browser can open them without our certificate authority, unless settings say https."""
    try:
        found = check_tenant(simulator, tenant)
    except TokenError as error:
        return error_answer(simulator, error)
    settings = simulator.settings
    secure, pages = settings.https_base_url, settings.pages_url
    tid, segment = (found["id"], found["id"]) if found else ("{tenantid}", tenant)
    host = urlsplit(secure).netloc
    body: Row = {
        "token_endpoint": f"{secure}/{segment}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{secure}/{segment}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{secure}/{tid}/v2.0",
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{settings.graph_url}/oidc/userinfo",
        "authorization_endpoint": f"{pages}/{segment}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{secure}/{segment}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{pages}/{segment}/oauth2/v2.0/logout",
        "claims_supported": CLAIMS,
        "tenant_region_scope": None if tenant in ANY_TENANT else "EU",
        "cloud_instance_name": host,
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": urlsplit(settings.graph_url).netloc,
    }
    return JSONResponse(body)


@router.get("/{tenant}/discovery/v2.0/keys")
async def keys(request: Request, tenant: str) -> JSONResponse:
    simulator = _simulator(request)
    try:
        found = check_tenant(simulator, tenant)
    except TokenError as error:
        return error_answer(simulator, error)
    tid = found["id"] if found else "{tenantid}"
    issuer = f"{simulator.settings.https_base_url}/{tid}/v2.0"
    return JSONResponse({"keys": [_as_entra(key, issuer) for key in simulator.entra.jwks()["keys"]]})


def _as_entra(key: dict[str, Any], issuer: str) -> Row:
    """Entra names the issuer of a key and leaves its algorithm out."""
    return {name: value for name, value in key.items() if name != "alg"} | {"x5t": key["kid"], "issuer": issuer}
