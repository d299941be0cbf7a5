"""Meetings of others: for who is invited, the organizer's sharing with them, and the Org Admin's list."""

import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.connector import PAGE
from console.problems import refused_page
from console.rendering import render

LIST = "/meetings/attended"
OF_ORGANISATION = f"{PAGE}/meetings"
_PAGE_SIZE = 20
Cursor = Annotated[str | None, Query(max_length=1000)]
router = APIRouter()


@router.get(LIST)
async def attended(request: Request, cursor: Cursor = None) -> Response:
    problem: Json | None = None
    page: Json = {"items": []}
    try:
        page = await backend_of(request).get(request, "/v1/meetings/attended", params=_asked(cursor))
    except Refused as refused:
        if refused.status != HTTPStatus.CONFLICT:
            raise
        problem = refused.problem  # no account vouches for the person's addresses
    return render(request, "meeting/attended.html", found=page, problem=problem, first=cursor is None)


@router.get(f"{LIST}/{{meeting_id}}")
async def attended_meeting(request: Request, meeting_id: uuid.UUID) -> Response:
    record = await backend_of(request).get(request, f"/v1/meetings/attended/{meeting_id}")
    return render(request, "meeting/attended_page.html", meeting=record, expected={})


@router.post("/meetings/{meeting_id}/sharing")
async def share(request: Request, meeting_id: uuid.UUID, on: Annotated[bool, Form()]) -> Response:
    return await _share(request, f"/meetings/{meeting_id}", "Back to the meeting", on=on)


@router.post("/meetings/series/{series_id}/sharing")
async def share_series(request: Request, series_id: uuid.UUID, on: Annotated[bool, Form()]) -> Response:
    return await _share(request, f"/meetings/series/{series_id}", "Back to the series", on=on)


async def _share(request: Request, page: str, back: str, *, on: bool) -> Response:
    """The page of a meeting or series has the path of its resource."""
    try:
        await backend_of(request).call(request, "PATCH", f"/v1{page}", json={"shared_with_attendees": on})
    except Refused as refused:
        return refused_page(request, refused, "The sharing was not changed", way_on=(page, back))
    return RedirectResponse(f"{page}#sharing", 303)


@router.get(OF_ORGANISATION)
async def of_organisation(request: Request, cursor: Cursor = None) -> Response:
    try:
        page = await backend_of(request).get(request, "/v1/meetings/organisation", params=_asked(cursor))
    except Refused as refused:
        return refused_page(request, refused, "The meetings cannot be shown", way_on=(PAGE, "Back"))
    return render(request, "connector/meetings.html", found=page, first=cursor is None)


def _asked(cursor: str | None) -> dict[str, Any]:
    return {"limit": _PAGE_SIZE, **({"cursor": cursor} if cursor else {})}
