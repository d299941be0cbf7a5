"""Admin → Connectors: the list; of Microsoft 365 what it lets Prospo do, who is connected, and who did what."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.connector import PAGE
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.wording import ACTIONS, ACTORS, CAPABILITIES, PARTS

READINESS, PEOPLE, ACTIVITY = f"{PAGE}/readiness", f"{PAGE}/people", f"{PAGE}/activity"
TRAILS = {
    "files": ("Recordings and files", "/v1/files/audit"),
    "transcripts": ("Transcripts", "/v1/transcripts/audit"),
    "people": ("People's accounts", "/v1/connection/audit"),
    "organisation": ("The organisation", "/v1/tenant/audit"),
}
"""Each service keeps the trail of what it does: what a page of it is called, and where it is read."""
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


@router.get(ACTIVITY)
async def activity(
    request: Request,
    of: Annotated[str, Query(max_length=200)] = "files",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The audit trail of one kind of thing, newest first."""
    shown = of if of in TRAILS else "files"
    asked = {"cursor": cursor} if cursor else {}
    try:
        listed = await backend_of(request).get(request, TRAILS[shown][1], params=asked)
    except Refused as refused:
        return refused_page(request, refused, "The activity is not shown", way_on=(PAGE, "Back"))
    words: Json = {"trails": TRAILS, "actions": ACTIONS}
    return render(request, "connector/activity.html", listed=listed, of=shown, first=cursor is None, **words)


async def _board(request: Request, status: int = 200, **values: Any) -> Response:
    return render(request, "connector/readiness.html", status, live=await _live(request), **values)


async def _live(request: Request) -> Live:
    board: Json = await backend_of(request).get(request, "/v1/tenant/readiness")
    every_s = request.app.state.console.settings.live_interval_s if board["checking"] else None
    words = {"board": board, "capabilities": CAPABILITIES, "actors": ACTORS, "parts": PARTS}
    return Live(request, READINESS, "connector", {"board": str(board["checked_at"])}, every_s, **words)
