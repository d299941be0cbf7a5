"""Admin → Connectors: the list; of Microsoft 365 what it lets Prospo do, and who of the organisation is connected."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.connector import PAGE
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.wording import ACTORS, CAPABILITIES, PARTS

READINESS, PEOPLE = f"{PAGE}/readiness", f"{PAGE}/people"
router = APIRouter()


@router.get("/connectors")
async def connectors(request: Request) -> Response:
    return render(request, "connector/list.html", tenant=await backend_of(request).look(request, "/v1/tenant"))


@router.get(READINESS)
async def readiness(request: Request) -> Response:
    return await _board(request)


@router.get(f"{READINESS}/live")
async def news(request: Request) -> Response:
    try:
        live = await _live(request)
    except Refused as refused:
        return answer_no_news(request, refused)
    return answer_live(request, live, lambda _part: None if live.every_s else "Microsoft 365 was checked.")


@router.post(f"{READINESS}/check")
async def check(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "POST", "/v1/tenant/readiness/check")
    except Refused as refused:
        if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
            return await _board(request, refused.status, refused=refused)
        return refused_page(request, refused, "Nothing was checked", way_on=(READINESS, "Back"))
    return RedirectResponse(READINESS, 303)


@router.get(PEOPLE)
async def people(request: Request, cursor: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    asked = {"cursor": cursor} if cursor else {}
    try:
        listed = await backend_of(request).get(request, "/v1/connection/people", params=asked)
    except Refused as refused:
        return refused_page(request, refused, "The people are not shown", way_on=(PAGE, "Back"))
    return render(request, "connector/people.html", listed=listed, first=cursor is None)


async def _board(request: Request, status: int = 200, **values: Any) -> Response:
    return render(request, "connector/readiness.html", status, live=await _live(request), **values)


async def _live(request: Request) -> Live:
    board: Json = await backend_of(request).get(request, "/v1/tenant/readiness")
    every_s = request.app.state.console.settings.live_interval_s if board["checking"] else None
    words = {"board": board, "capabilities": CAPABILITIES, "actors": ACTORS, "parts": PARTS}
    return Live(request, READINESS, "connector", {"board": str(board["checked_at"])}, every_s, **words)
