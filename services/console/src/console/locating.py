"""Admin → Connectors → Microsoft 365 → Choose Storage Location: the place, its state, and the files there are."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.connector import PAGE as CARD
from console.problems import refused_page
from console.rendering import render
from console.wording import FILE_PLACES, STEPS

PAGE, FILES = f"{CARD}/storage", f"{CARD}/storage/files"
LOCATION = "/v1/storage/location"
router = APIRouter()
Address = Annotated[str, Form(max_length=2000)]


@router.get(PAGE)
async def location(request: Request, done: str = "") -> Response:
    return await _page(request, done=done if done in {"chosen", "unlisted", "check"} else "")


@router.post(PAGE)
async def choose(request: Request, address: Address = "") -> Response:
    """Every step is tried by the service, which takes as long as SharePoint does; refused ones are this page again."""
    try:
        answer = await backend_of(request).call(request, "PUT", LOCATION, json={"address": address}, patient=True)
    except Refused as refused:
        if refused.status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            return await _page(request, refused.status, refused=refused, typed=address)
        return refused_page(request, refused, "The place was not chosen", way_on=(PAGE, "Back"))
    tried: Json = answer.json()
    if tried["chosen"]:
        with suppress(Refused):  # it ends by itself in some minutes
            await backend_of(request).call(request, "DELETE", "/v1/tenant/browse")
        whole = all(step["verdict"] == "ok" for step in tried["steps"])
        return RedirectResponse(f"{PAGE}?done={'chosen' if whole else 'unlisted'}", 303)
    return await _page(request, HTTPStatus.CONFLICT, tried=tried, typed=address)


@router.post(f"{PAGE}/check")
async def check(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "POST", f"{LOCATION}/check")
    except Refused as refused:
        return refused_page(request, refused, "The place was not checked", way_on=(PAGE, "Back"))
    return RedirectResponse(f"{PAGE}?done=check", 303)


@router.get(FILES)
async def files(
    request: Request,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    named: Annotated[str, Query(max_length=200)] = "",
    placed: str = "",
) -> Response:
    placed = placed if placed in FILE_PLACES else ""
    asked = {"cursor": cursor, "named": named.strip(), "placed": placed}
    asked = {name: value for name, value in asked.items() if value}
    try:
        listed = await backend_of(request).get(request, "/v1/storage/files", params=asked)
    except Refused as refused:
        return refused_page(request, refused, "The files are not shown", way_on=(PAGE, "Back"))
    values: dict[str, Any] = {
        "listed": listed,
        "first": cursor is None,
        "places": FILE_PLACES,
        "named": named,
        "placed": placed,
    }
    return render(request, "connector/files.html", **values)


async def _page(request: Request, status: int = 200, **values: Any) -> Response:
    try:
        shown = await backend_of(request).get(request, LOCATION)
    except Refused as refused:
        return refused_page(request, refused, "The storage location is not shown", way_on=(CARD, "Back"))
    return render(request, "connector/storage.html", status, shown=shown, steps=STEPS, **values)
