"""Prospo's development issuer: user tokens for five personas of two organisations."""

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


def _issuer(simulator: Simulator) -> str:
    return f"{simulator.settings.http_base_url}/prospo-issuer"


@router.get("/jwks")
async def jwks(request: Request) -> JSONResponse:
    return JSONResponse(request.scope["simulator"].prospo.jwks())


@router.get("/.well-known/openid-configuration")
async def discovery(request: Request) -> JSONResponse:
    issuer = _issuer(request.scope["simulator"])
    return JSONResponse({"issuer": issuer, "jwks_uri": f"{issuer}/jwks", "token_endpoint": f"{issuer}/token"})


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
