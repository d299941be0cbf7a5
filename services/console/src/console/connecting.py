"""The two round trips to Microsoft: the organisation's consent and a person's sign-in.

The browser key ties the way back to the browser that set out: an HttpOnly cookie here, a hash in the service.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console.pages import backend_of

router = APIRouter()

CONSENT_COOKIE = "prospo_consent"
SIGN_IN_COOKIE = "prospo_sign_in"
_COOKIE_LIFE_S = 900
_CONSENT_ANSWERS = {"state", "tenant", "admin_consent", "error", "error_description"}
_SIGN_IN_ANSWERS = {"state", "code", "client_info", "session_state", "error", "error_description"}


@router.post("/connectors/microsoft365/connect")
async def start_consent(request: Request) -> Response:
    started = (await backend_of(request).call(request, "POST", "/v1/tenant/consent", json={})).json()
    return _set_out(started["consent_url"], CONSENT_COOKIE, started["browser_key"])


@router.get("/connectors/microsoft365/callback")
async def finish_consent(request: Request) -> Response:
    body = _answers(request, _CONSENT_ANSWERS, CONSENT_COOKIE)
    await backend_of(request).call(request, "POST", "/v1/tenant/consent/complete", json=body)
    return _arrive("/connectors/microsoft365", CONSENT_COOKIE)


@router.post("/connectors/microsoft365/disconnect")
async def disconnect_tenant(request: Request) -> Response:
    await backend_of(request).call(request, "DELETE", "/v1/tenant")
    return RedirectResponse("/connectors/microsoft365", 303)


@router.post("/integrations/microsoft/connect")
async def start_sign_in(request: Request) -> Response:
    form = await request.form()
    body = {"return_to": str(form.get("return_to") or "/integrations")}
    started = (await backend_of(request).call(request, "POST", "/v1/connection/sign-in", json=body)).json()
    return _set_out(started["authorize_url"], SIGN_IN_COOKIE, started["browser_key"])


@router.get("/integrations/microsoft/callback")
async def finish_sign_in(request: Request) -> Response:
    body = _answers(request, _SIGN_IN_ANSWERS, SIGN_IN_COOKIE)
    done = (await backend_of(request).call(request, "POST", "/v1/connection/complete", json=body)).json()
    target = done["return_to"]
    return _arrive(
        target if target.startswith("/") and not target.startswith("//") else "/integrations", SIGN_IN_COOKIE
    )


@router.post("/integrations/microsoft/disconnect")
async def disconnect_user(request: Request) -> Response:
    await backend_of(request).call(request, "DELETE", "/v1/connection")
    return RedirectResponse("/integrations", 303)


def _own_path(target: str) -> str:
    """A path on this site, whatever was asked for: ``//host`` and ``/\\host`` would leave it."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/integrations"


def _answers(request: Request, known: set[str], cookie: str) -> dict[str, Any]:
    """What Microsoft put on the URL, as far as we know it, with the key this browser set out with."""
    answers = {name: value for name, value in request.query_params.items() if name in known}
    return answers | {"browser_key": request.cookies.get(cookie, "")}


def _set_out(url: str, cookie: str, browser_key: str) -> Response:
    response = RedirectResponse(url, 303)
    response.set_cookie(cookie, browser_key, max_age=_COOKIE_LIFE_S, httponly=True, samesite="lax")
    return response


def _arrive(path: str, cookie: str) -> Response:
    response = RedirectResponse(path, 303)
    response.delete_cookie(cookie)
    return response
