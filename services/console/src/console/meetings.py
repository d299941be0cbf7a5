"""The list of meetings, the meeting record that fills itself, the transcript, cancelling."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.times import moment_of
from console.wording import standing

router = APIRouter()
_SETTLED = {"imported", "unavailable", "paused"}
_FAR_OFF_INTERVAL_S = 30
_PAGE_SIZE = 20


@router.get("/meetings")
async def meetings(
    request: Request, cursor: str | None = None, show: str | None = None, since: str | None = None
) -> Response:
    wanted: dict[str, Any] = {"limit": _PAGE_SIZE, **({"cursor": cursor} if cursor else {})}
    coming = (since or datetime.now(UTC).isoformat(timespec="seconds")) if show == "coming" else None
    if coming:  # the cursor is one of the list since this moment
        wanted |= {"order": "start", "status": "scheduled", "since": coming}
    page = await backend_of(request).get(request, "/v1/meetings", params=wanted)
    left = await backend_of(request).look(request, "/v1/ledger/unassigned")
    return render(
        request,
        "meeting/list.html",
        unassigned=left,
        meetings=page["items"],
        next=page.get("next_cursor"),
        later=cursor,
        coming=coming,
    )


@router.get("/meetings/unassigned")
async def unassigned(request: Request) -> Response:
    found = await backend_of(request).get(request, "/v1/ledger/unassigned")
    return render(request, "meeting/unassigned.html", artefacts=found)


@router.post("/meetings/unassigned/{artefact_id}")
async def assign(request: Request, artefact_id: uuid.UUID, meeting_id: Annotated[uuid.UUID, Form()]) -> Response:
    path = f"/v1/ledger/{meeting_id}/artefacts/{artefact_id}"
    try:
        await backend_of(request).call(request, "POST", path, json={})
    except Refused as refused:
        back = ("/meetings/unassigned", "Back to the recordings")
        return refused_page(request, refused, "It was not assigned", way_on=back)
    return RedirectResponse(f"/meetings/{meeting_id}", 303)


@router.get("/meetings/{meeting_id}")
async def meeting(request: Request, meeting_id: uuid.UUID) -> Response:
    record, live = await _record(request, meeting_id)
    return render(request, "meeting/page.html", meeting=record, live=live)


@router.get("/meetings/{meeting_id}/live")
async def news(request: Request, meeting_id: uuid.UUID) -> Response:
    try:
        record, live = await _record(request, meeting_id)
    except Refused as refused:
        return answer_no_news(request, refused)
    return answer_live(request, live, lambda part: _news(record, part))


@router.get("/meetings/{meeting_id}/cancel")
async def ask_to_cancel(request: Request, meeting_id: uuid.UUID) -> Response:
    record = await backend_of(request).get(request, f"/v1/meetings/{meeting_id}")
    return render(request, "meeting/cancel.html", meeting=record)


@router.post("/meetings/{meeting_id}/cancel")
async def cancel(request: Request, meeting_id: uuid.UUID) -> Response:
    page = f"/meetings/{meeting_id}"
    try:
        await backend_of(request).call(request, "DELETE", f"/v1/meetings/{meeting_id}")
    except Refused as refused:
        return refused_page(request, refused, "The meeting was not cancelled", way_on=(page, "Back to the meeting"))
    return RedirectResponse(page, 303)


async def _record(request: Request, meeting_id: uuid.UUID) -> tuple[Json, Live]:
    record = await backend_of(request).get(request, f"/v1/meetings/{meeting_id}")
    expected = await _expected_by(request, record)
    every_s = _look_again_s(request, record)
    page = f"/meetings/{meeting_id}"
    states = {"summary": record["status"]}
    states |= {kind: _status_of(record, kind) or "" for kind in ("recording", "transcript")}
    return record, Live(request, page, "meeting", states, every_s, meeting=record, expected=expected)


async def _expected_by(request: Request, record: Json) -> dict[str, Any]:
    """By when the ledger expects each artefact that is still on its way; a page does without it."""
    if not record.get("ended") or _settled(record):
        return {}
    ledger = await backend_of(request).look(request, f"/v1/ledger/{record['id']}")
    return {item["kind"]: item.get("expected_by") for item in (ledger or {}).get("artefacts", [])}


def _status_of(record: Json, kind: str) -> str | None:
    return standing(record[kind]) if record.get(kind) else None


def _settled(record: Json) -> bool:
    several = [one for one in record.get("recordings", []) if standing(one) not in _SETTLED]
    return not several and all(_status_of(record, kind) in _SETTLED for kind in ("recording", "transcript"))


def _look_again_s(request: Request, record: Json) -> int | None:
    """Seconds until an open page looks again: often near an event, seldom long before, never when all is settled."""
    settings = request.app.state.console.settings
    if record["status"] in {"cancelled", "failed"} or _settled(record):
        return None
    soon = record["status"] != "scheduled" or moment_of(record["start"]) <= datetime.now(UTC)
    often: int = settings.live_interval_s
    return often if soon or settings.simulator_url else _FAR_OFF_INTERVAL_S


def _news(record: Json, part: str) -> str | None:
    if part == "summary":
        known = {
            "scheduled": "The meeting is scheduled and its join link is here.",
            "ended": "The meeting has ended.",
            "failed": "The meeting could not be scheduled.",
            "cancelled": "The meeting is cancelled.",
        }
        return known.get(record["status"])
    known = {
        "importing": f"The {part} is being imported.",
        "imported": f"The {part} has arrived.",
        "paused": f"The {part} is held back for now; the page says why.",
        "unavailable": f"The {part} will not arrive; the page says why.",
    }
    return known.get(_status_of(record, part) or "")
