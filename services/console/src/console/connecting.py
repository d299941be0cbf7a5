"""The round trips to Microsoft: the organisation's consent, its administrator's sign-in, a person's, and one to browse.

A consent goes there twice: what the first way back brings leads to the second. The browser key ties the ways back to
the browser that set out: an HttpOnly cookie here, a hash in the service; who came by a link has its token in another
cookie and is known by that alone. A code is in the address of a way back, so its pages send no referrer and hold links
only.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.connector import LinkToken
from console.problems import refused_page
from console.wording import WAYS_ON, own_link
from shared.problems import request_id_of

router = APIRouter()

GRANT = "/connectors/microsoft365/grant"
_LINK_COOKIE = "prospo_consent_link"
_COOKIE_LIFE_S = 900
_ASCII = "".join(map(chr, range(128)))
_ANSWERS = {"state", "error", "error_description", "error_subcode"}


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One kind of way to Microsoft and back."""

    key_cookie: str
    return_cookie: str
    home: str
    complete: str
    answers: frozenset[str]
    failed: str
    by_link: str = ""
    """Where the answer of somebody who came by a link goes."""


CONSENT = RoundTrip(
    key_cookie="prospo_consent",
    return_cookie="prospo_consent_return",
    home="/connectors/microsoft365",
    complete="/v1/tenant/consent/complete",
    answers=frozenset(_ANSWERS | {"tenant", "admin_consent", "scope"}),
    failed="The consent was not completed",
    by_link="/v1/tenant/consent/link/complete",
)
ADMINISTRATOR = RoundTrip(
    key_cookie=CONSENT.key_cookie,
    return_cookie=CONSENT.return_cookie,
    home=CONSENT.home,
    complete="/v1/tenant/consent/sign-in",
    answers=frozenset(_ANSWERS | {"code"}),
    failed=CONSENT.failed,
    by_link="/v1/tenant/consent/link/sign-in",
)
BROWSE = RoundTrip(
    key_cookie="prospo_browse",
    return_cookie="prospo_browse_return",
    home="/connectors/microsoft365/storage",
    complete="/v1/tenant/browse/complete",
    answers=frozenset(_ANSWERS | {"code"}),
    failed="Browsing did not begin",
)
SIGN_IN = RoundTrip(
    key_cookie="prospo_sign_in",
    return_cookie="prospo_sign_in_return",
    home="/integrations",
    complete="/v1/connection/complete",
    answers=frozenset(_ANSWERS | {"code", "client_info", "session_state"}),
    failed="Your Microsoft account was not connected",
)


@router.post("/connectors/microsoft365/connect")
async def start_consent(request: Request) -> Response:
    try:
        answer = await backend_of(request).call(request, "POST", "/v1/tenant/consent", json={})
    except Refused as refused:
        return refused_page(request, refused, CONSENT.failed, way_on=(CONSENT.home, "Back"))
    started = answer.json()
    return _set_out(request, CONSENT, started["consent_url"], started["browser_key"], CONSENT.home)


@router.post(GRANT)
async def start_by_link(request: Request, token: LinkToken) -> Response:
    try:
        answer = await backend_of(request).call(request, "POST", "/v1/tenant/consent/link/start", json={"token": token})
    except Refused as refused:
        return refused_page(request, refused, CONSENT.failed)
    started = answer.json()
    back = _own_path(f"{GRANT}#{token}", CONSENT.home)
    return _set_out(request, CONSENT, started["consent_url"], started["browser_key"], back, link=token)


@router.get("/connectors/microsoft365/callback")
async def finish_consent(request: Request) -> Response:
    return await _finish(request, CONSENT)


@router.get("/connectors/microsoft365/sign-in/callback")
async def finish_administrators_sign_in(request: Request) -> Response:
    return await _finish(request, ADMINISTRATOR)


@router.post("/connectors/microsoft365/storage/browse")
async def start_browsing(request: Request) -> Response:
    try:
        answer = await backend_of(request).call(request, "POST", "/v1/tenant/browse", json={}, patient=True)
    except Refused as refused:
        return refused_page(request, refused, BROWSE.failed, way_on=(BROWSE.home, "Back"))
    started = answer.json()
    back = f"{BROWSE.home}/browse"
    return _set_out(request, BROWSE, started["sign_in_url"], started["browser_key"], back)


@router.get("/connectors/microsoft365/storage/browse/callback")
async def finish_browsers_sign_in(request: Request) -> Response:
    return await _finish(request, BROWSE)


@router.post("/integrations/microsoft/connect")
async def start_sign_in(request: Request) -> Response:
    form = await request.form()
    back = _own_path(str(form.get("return_to") or ""), SIGN_IN.home)
    wanted: dict[str, Any] = {"return_to": back}
    if features := [str(name) for name in form.getlist("feature")]:
        wanted["features"] = features
    try:
        answer = await backend_of(request).call_with_news(request, "POST", "/v1/connection/sign-in", json=wanted)
    except Refused as refused:
        way_on = WAYS_ON.get(refused.code, (back, "Go back"))
        return refused_page(request, refused, "Nothing was changed", way_on=way_on)
    started = answer.json()
    return _set_out(request, SIGN_IN, started["authorize_url"], started["browser_key"], back)


@router.get("/integrations/microsoft/callback")
async def finish_sign_in(request: Request) -> Response:
    return await _finish(request, SIGN_IN)


async def _finish(request: Request, trip: RoundTrip) -> Response:
    """Hand Microsoft's answer to the service. Its word ends the attempt; while it is away, a reload tries again."""
    back = _own_path(_cookie(request, trip.return_cookie), trip.home)
    key, link = _cookie(request, trip.key_cookie), _cookie(request, _LINK_COOKIE) if trip.by_link else ""
    if not key:
        return refused_page(request, _other_browser(request), trip.failed, way_on=(trip.home, "Start again"))
    answers = {name: value for name, value in request.query_params.items() if name in trip.answers}
    answers |= {"browser_key": key} | ({"token": link} if link else {})
    try:
        path = trip.by_link if link else trip.complete
        done = await backend_of(request).call(request, "POST", path, json=answers, patient=True)
    except Refused as refused:
        over = _is_over(refused)
        ways = {"way_on": (back, "Go back"), "besides": WAYS_ON.get(refused.code)} if over else {"way_on": None}
        response = refused_page(request, _readable(refused), trip.failed, **ways, reload=not over)
        return _forget(request, trip, response) if over else response
    said = done.json()
    if "sign_in_url" in said:
        return _to_microsoft(request, str(said["sign_in_url"]))
    target = f"{GRANT}/done" if link else _own_path(str(said.get("return_to") or ""), back)
    return _forget(request, trip, RedirectResponse(target, 303))


def _is_over(refused: Refused) -> bool:
    """Whether the attempt is used up: a service that names the way back says so, though Microsoft was away.

    Who has to sign in to Prospo or to wait first still has it, and opens the same address again.
    """
    decided = refused.reached and refused.status != HTTPStatus.UNAUTHORIZED
    return decided or "return_to" in refused.problem


def _to_microsoft(request: Request, url: str) -> Response:
    """On to Microsoft's pages and nowhere else, whatever a service answered."""
    settings = request.app.state.console.settings
    pages = {urlsplit(page)[:2] for page in (settings.pages_at, settings.simulator_url) if page}
    if urlsplit(url)[:2] not in pages or not url.isprintable() or "\\" in url:
        detail = "The way on does not lead to Microsoft's pages, so it was not taken. Tell the operator."
        problem = {"detail": detail, "code": "not_microsofts_page", "request_id": request_id_of(request)}
        return refused_page(request, Refused(HTTPStatus.BAD_GATEWAY, problem), way_on=("/", "Go to the start"))
    return RedirectResponse(url, 303)


def _readable(refused: Refused) -> Refused:
    """The fields of a way back are Microsoft's, so naming them helps nobody who reads the page."""
    if refused.code != "invalid_request":
        return refused
    detail = "What came back from Microsoft is not complete or cannot be read. Start again."
    kept = {name: value for name, value in refused.problem.items() if name != "errors"}
    return Refused(refused.status, kept | {"detail": detail})


def _own_path(target: str, otherwise: str) -> str:
    """A path on this site, whatever was asked for: ``//host`` and ``/\\host`` would leave it."""
    plain = target.isprintable() and "\\" not in target
    return quote(target, safe=_ASCII) if plain and own_link(target) else otherwise  # a cookie takes no other letters


def _other_browser(request: Request) -> Refused:
    detail = (
        "This browser did not set out from here, or it took longer than 15 minutes. Start again, and finish in the "
        "same browser."
    )
    return Refused(
        HTTPStatus.BAD_REQUEST, {"detail": detail, "code": "other_browser", "request_id": request_id_of(request)}
    )


def _cookie_name(request: Request, name: str) -> str:
    return f"__Host-{name}" if _secure(request) else name


def _secure(request: Request) -> bool:
    public_url: str = request.app.state.console.settings.public_url
    return public_url.startswith("https://")


def _cookie(request: Request, name: str) -> str:
    return request.cookies.get(_cookie_name(request, name), "")


def _set_out(request: Request, trip: RoundTrip, url: str, browser_key: str, back: str, *, link: str = "") -> Response:
    response = _to_microsoft(request, url)
    for name, value in ((trip.key_cookie, browser_key), (trip.return_cookie, back), (_LINK_COOKIE, link)):
        if value:
            response.set_cookie(_cookie_name(request, name), value, max_age=_COOKIE_LIFE_S, **_attributes(request))
        elif trip.by_link:  # of an earlier trip, by a link
            response.delete_cookie(_cookie_name(request, name), **_attributes(request))
    return response


def _forget(request: Request, trip: RoundTrip, response: Response) -> Response:
    for name in (trip.key_cookie, trip.return_cookie, *([_LINK_COOKIE] if trip.by_link else [])):
        response.delete_cookie(_cookie_name(request, name), **_attributes(request))
    return response


def _attributes(request: Request) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "secure": _secure(request), "samesite": "lax"}
