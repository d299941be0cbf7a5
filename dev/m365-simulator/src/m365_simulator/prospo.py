"""Prospo's development issuer: tokens for five personas and three programs of two organisations."""

import base64
import binascii
import secrets
from urllib.parse import parse_qs, unquote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from .core import Simulator

router = APIRouter(prefix="/prospo-issuer")
PERSONAS = {
    "acme-admin": ("acme", "Acme Admin", True),
    "acme-anna": ("acme", "Anna Andersson", False),
    "acme-ben": ("acme", "Ben Berg", False),
    "globex-admin": ("globex", "Globex Admin", True),
    "globex-carl": ("globex", "Carl Carlsson", False),
}
PROGRAMS = {
    "acme-archive": ("acme", ["artefacts.read"]),
    "globex-archive": ("globex", ["artefacts.read"]),
    "acme-reports": ("acme", []),
}
"""Clients of other teams: organisation and roles."""
PROGRAM_SECRET = "for-development-only"


def _issuer(simulator: Simulator) -> str:
    return f"{simulator.settings.http_base_url}/prospo-issuer"


@router.get("/jwks")
async def jwks(request: Request) -> JSONResponse:
    return JSONResponse(request.scope["simulator"].prospo.jwks())


@router.get("/.well-known/openid-configuration")
async def discovery(request: Request) -> JSONResponse:
    issuer = _issuer(request.scope["simulator"])
    return JSONResponse({"issuer": issuer, "jwks_uri": f"{issuer}/jwks", "token_endpoint": f"{issuer}/oauth2/token"})


@router.post("/token")
async def token(request: Request) -> JSONResponse:
    simulator: Simulator = request.scope["simulator"]
    persona = (await request.json()).get("persona")
    if persona not in PERSONAS:
        return JSONResponse({"detail": f"Unknown persona; use one of {', '.join(PERSONAS)}."}, 400)
    org, name, admin = PERSONAS[persona]
    claims = {
        "iss": _issuer(simulator),
        "aud": simulator.settings.prospo_audience,
        "sub": persona,
        "org_id": org,
        "org_name": org.capitalize(),
        "roles": ["org_admin", "user"] if admin else ["user"],
        "name": name,
        "email": f"{persona.split('-')[1]}@{org}.example",
    }
    return JSONResponse({"access_token": simulator.prospo.sign(claims), "token_type": "Bearer", "expires_in": 3600})


@router.post("/oauth2/token")
async def program_token(request: Request) -> JSONResponse:
    """Client credentials (RFC 6749 4.4), in the form or by HTTP Basic; the token is as RFC 9068 has it."""
    simulator: Simulator = request.scope["simulator"]
    given = {name: values[0] for name, values in parse_qs((await request.body()).decode("latin-1")).items()}
    client_id, secret = _basic(request) or (given.get("client_id", ""), given.get("client_secret", ""))
    if client_id not in PROGRAMS or not secrets.compare_digest(secret.encode(), PROGRAM_SECRET.encode()):
        challenge = {"WWW-Authenticate": 'Basic realm="prospo-issuer"'}
        return JSONResponse({"error": "invalid_client"}, 401, challenge)
    if given.get("grant_type") != "client_credentials":
        return JSONResponse({"error": "unsupported_grant_type"}, 400)
    org, roles = PROGRAMS[client_id]
    claims = {
        "iss": _issuer(simulator),
        "aud": simulator.settings.prospo_audience,
        "sub": client_id,
        "client_id": client_id,
        "org_id": org,
        "roles": roles,
    }
    answer = {"access_token": simulator.prospo.sign(claims), "token_type": "Bearer", "expires_in": 3600}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _basic(request: Request) -> tuple[str, str] | None:
    """The client's id and secret by HTTP Basic, each form-encoded; None when they are not sent so."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote(client_id), unquote(secret)
