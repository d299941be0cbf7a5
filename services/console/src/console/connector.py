"""Admin → Connectors → Microsoft 365: the tenant's state, its features, disconnecting it, links for administrators."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.person import person_of
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.wording import FEATURES, plural

PAGE = "/connectors/microsoft365"
LINK = "/v1/tenant/consent/link"
router = APIRouter(prefix=PAGE)
Tag = Annotated[str, Form(max_length=100, pattern=r"^[!-~]*$")]
"""An ETag as the page was given it; it goes into a header."""
LinkToken = Annotated[str, Form(max_length=500)]
"""The token of an administrator's link. It comes in a form's body, because addresses end up in logs."""
_NEWS = {
    "connected": "Your organisation is connected to Microsoft 365.",
    "failed": "The connection to Microsoft 365 failed.",
}


@router.get("")
async def connector(request: Request, switched: str | None = None) -> Response:
    return await _page(request, switched=switched if switched in FEATURES else None)


@router.get("/live")
async def news(request: Request) -> Response:
    try:
        live, tenant = await _live(request)
    except Refused as refused:
        return answer_no_news(request, refused)
    return answer_live(request, live, lambda part: _NEWS.get(tenant["status"]) if part == "tenant" else None)


@router.post("/features")
async def switch_feature(
    request: Request, feature: Annotated[str, Form()], on: Annotated[bool, Form()], etag: Tag
) -> Response:
    try:
        await backend_of(request).call(
            request, "PATCH", "/v1/tenant/features", json={feature: on}, headers={"If-Match": etag}
        )
    except Refused as refused:
        if refused.status in {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            return await _page(request, refused.status, refused=refused, feature=feature)
        return refused_page(request, refused, "The switch was not changed", way_on=(PAGE, "Back"))
    return RedirectResponse(f"{PAGE}?switched={feature}#feature-{feature}", 303)


@router.get("/disconnect")
async def ask_to_disconnect(request: Request) -> Response:
    return render(request, "connector/disconnect.html", tenant=await backend_of(request).get(request, "/v1/tenant"))


@router.post("/disconnect")
async def disconnect(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "DELETE", "/v1/tenant", patient=True)
    except Refused as refused:
        return refused_page(request, refused, "The organisation is still connected", way_on=(PAGE, "Back"))
    return RedirectResponse(PAGE, 303)


@router.post("/link")
async def make_link(request: Request, tenant: Annotated[str, Form()] = "") -> Response:
    """Shown by the answer itself: the address is told once, and an address bar is no place for it."""
    try:
        made = await backend_of(request).call(request, "POST", LINK, json={"tenant": tenant})
    except Refused as refused:
        mendable = refused.status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
        if mendable or refused.code == "microsoft_busy":
            return await _page(request, refused.status, refused=refused, typed=tenant)
        return refused_page(request, refused, "No link was made", way_on=(PAGE, "Back"))
    return render(request, "connector/link.html", link=made.json())


@router.post("/link/revoke")
async def revoke_link(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "DELETE", LINK)
    except Refused as refused:
        return refused_page(request, refused, "The link was not revoked", way_on=(PAGE, "Back"))
    return RedirectResponse(f"{PAGE}#link", 303)


@router.get("/grant/done")
async def granted(request: Request) -> Response:
    return render(request, "connector/granted.html")


@router.get("/grant")
async def link_page(request: Request) -> Response:
    """What a link opens: its token is behind the ``#``, so the browser has to hand it over in a form."""
    return render(request, "connector/grant_link.html")


@router.post("/grant/open")
async def invitation(request: Request, token: LinkToken) -> Response:
    """For an administrator of Microsoft 365 who need not be anybody here: who asks, for what, and one button."""
    try:
        answer = await backend_of(request).call(request, "POST", f"{LINK}/open", json={"token": token})
    except Refused as refused:
        return refused_page(request, refused, "This link cannot be used" if refused.reached else None)
    return render(request, "connector/grant.html", invitation=answer.json(), token=token)


async def _page(request: Request, status: int = 200, **values: Any) -> Response:
    live, tenant = await _live(request, **values)
    person = person_of(request)
    if person and person.admin and tenant["status"] != "proving":
        values["link"] = await backend_of(request).look(request, LINK) or {}
    return render(request, "connector/page.html", status, tenant=tenant, live=live, features=FEATURES, **values)


def _ready_words(board: Json | None) -> str:
    if board is None:
        return "not known right now"
    wanting = sum(one["verdict"] == "action_needed" for one in board["capabilities"])
    if wanting:
        return plural(wanting, "point needs an action", "points need an action")
    return "Microsoft is being asked" if board["checking"] else "nothing needs an action"


async def _live(request: Request, **values: Any) -> tuple[Live, Json]:
    answer = await backend_of(request).call(request, "GET", "/v1/tenant")
    tenant: Json = answer.json()
    board = await backend_of(request).look(request, "/v1/tenant/readiness") if tenant["status"] == "connected" else None
    warnings = {one["feature"]: one["warnings"] for one in board["features"]} if board else {}
    shown = {"tenant": tenant, "etag": answer.headers.get("etag", ""), "features": FEATURES, "warnings": warnings}
    shown |= {"ready_words": _ready_words(board)} | values
    moving = tenant["status"] == "proving" or (tenant.get("leaving") or {"over": True})["over"] is False
    every_s = request.app.state.console.settings.live_interval_s if moving else None
    return Live(request, PAGE, "connector", {"tenant": tenant["status"], "features": ""}, every_s, **shown), tenant
