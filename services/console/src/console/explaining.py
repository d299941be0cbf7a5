"""Why a record is as it is: the story of a meeting, looking again, and what is missing in the organisation."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.connector import PAGE
from console.problems import refused_page
from console.rendering import render

MISSING = f"{PAGE}/missing"
STEPS = {
    "scheduled": "The meeting was booked",
    "rescheduled": "The meeting was moved or renamed",
    "cancelled": "The meeting was cancelled",
    "recording_option": "Automatic recording was turned on or off at Microsoft",
    "ended": "The meeting ended, as far as is known",
    "notified": "Microsoft sent a notification",
    "looked": "Prospo compared with Microsoft's lists",
    "assigned": "A recording or transcript was put into this meeting",
    "left_unassigned": "A recording or transcript was left for a person to assign",
    "moved_away": "A recording or transcript left this meeting, as it fits it no longer",
    "import_begun": "An import began",
    "imported": "It arrived",
    "unavailable": "It was said to be missing",
    "expected_again": "It is expected again",
}
"""What a step of the story is called; one that we do not know yet is shown by its own name."""
router = APIRouter()


@router.get("/meetings/{meeting_id}/explain")
async def explain(request: Request, meeting_id: uuid.UUID) -> Response:
    story = await backend_of(request).get(request, f"/v1/ledger/{meeting_id}/story")
    record = await backend_of(request).look(request, f"/v1/meetings/{meeting_id}")
    return render(request, "meeting/explain.html", story=story, meeting=record, step_words=STEPS)


@router.post("/meetings/{meeting_id}/check")
async def check(request: Request, meeting_id: uuid.UUID) -> Response:
    page = f"/meetings/{meeting_id}"
    try:
        await backend_of(request).call(request, "POST", f"/v1/ledger/{meeting_id}/check", json={})
    except Refused as refused:
        return refused_page(request, refused, "It was not looked for again", way_on=(page, "Back to the meeting"))
    return RedirectResponse(page, 303)


@router.get(MISSING)
async def missing(request: Request, cursor: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    asked = {"cursor": cursor} if cursor else {}
    try:
        found = await backend_of(request).get(request, "/v1/ledger/missing", params=asked)
    except Refused as refused:
        return refused_page(request, refused, "What is missing cannot be shown", way_on=(PAGE, "Back"))
    return render(request, "connector/missing.html", found=found, first=cursor is None)
