"""A series of meetings: its page with its meetings, changing it as a whole, cancelling it."""

import uuid

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.problems import refused_page
from console.rendering import render

router = APIRouter(prefix="/meetings/series")
_MOST = 100


@router.get("/{series_id}")
async def series(request: Request, series_id: uuid.UUID) -> Response:
    found = await backend_of(request).get(request, f"/v1/meetings/series/{series_id}")
    wanted = {"series_id": str(series_id), "order": "start", "limit": _MOST}
    meetings = await backend_of(request).look(request, "/v1/meetings", params=wanted)
    return render(request, "meeting/series.html", series=found, meetings=(meetings or {}).get("items"))


@router.get("/{series_id}/cancel")
async def ask_to_cancel(request: Request, series_id: uuid.UUID) -> Response:
    found = await backend_of(request).get(request, f"/v1/meetings/series/{series_id}")
    return render(request, "meeting/cancel_series.html", series=found)


@router.post("/{series_id}/cancel")
async def cancel(request: Request, series_id: uuid.UUID) -> Response:
    page = f"/meetings/series/{series_id}"
    try:
        await backend_of(request).call(request, "DELETE", f"/v1/meetings/series/{series_id}")
    except Refused as refused:
        return refused_page(request, refused, "The series was not cancelled", way_on=(page, "Back to the series"))
    return RedirectResponse(page, 303)
