"""Reading transcripts: page by page, beside the video, and looking for words in all of them."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from console.backend import Json, backend_of
from console.rendering import render

router = APIRouter()
Words = Annotated[str, Query(max_length=200)]
_PAGE_SIZE = 500


@router.get("/transcripts")
async def search(request: Request, q: Words = "", speaker: Words = "", cursor: Words = "") -> Response:
    """Words in all of the person's transcripts; without any, the form alone."""
    asked = {name: value for name, value in (("q", q), ("speaker", speaker), ("cursor", cursor)) if value.strip()}
    nothing: Json = {"items": []}
    found = await backend_of(request).get(request, "/v1/transcripts", params=asked) if q or speaker else nothing
    next_ = found.get("next_cursor")
    return render(request, "meeting/search.html", hits=found["items"], next=next_, q=q, speaker=speaker)


@router.get("/transcripts/{transcript_id}")
async def transcript(
    request: Request,
    transcript_id: uuid.UUID,
    q: Words = "",
    speaker: Words = "",
    cursor: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    asked: Json = {"limit": _PAGE_SIZE, "cursor": cursor}
    asked |= {name: value for name, value in (("q", q), ("speaker", speaker)) if value.strip()}
    found = await backend_of(request).get(request, f"/v1/transcripts/{transcript_id}", params=asked)
    found["id"] = str(transcript_id)
    record = await backend_of(request).look(request, f"/v1/meetings/{found['meeting_id']}")
    page = f"/meetings/{found['meeting_id']}"
    if record is None:  # an attendee's, whose organizer shares it
        record = await backend_of(request).look(request, f"/v1/meetings/attended/{found['meeting_id']}")
        page = f"/meetings/attended/{found['meeting_id']}"
    shown: Json = {
        "transcript": found,
        "meeting": record,
        "of": page,
        "video": _video(record, found["id"]),
        "q": q,
        "speaker": speaker,
    }
    return render(request, "meeting/whole_transcript.html", **shown, first=cursor == 0)


@router.get("/transcripts/{transcript_id}/{form}")
async def whole(request: Request, transcript_id: uuid.UUID, form: Literal["vtt", "text"]) -> Response:
    """The whole transcript as a file, which goes through as it comes."""
    path = f"/v1/transcripts/{transcript_id}"
    given, content = await backend_of(request).passed_on(request, path, params={"format": form})
    name = {"vtt": "transcript.vtt", "text": "transcript.txt"}[form]
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return StreamingResponse(content, media_type=given["content-type"], headers=headers)


def _video(record: Json | None, transcript_id: str) -> Json | None:
    """The recording that was made with it: its address, and how many milliseconds later the transcript began."""
    for recording in (record or {}).get("recordings", []):
        said = recording.get("transcript") or {}
        if said.get("id") == transcript_id and recording["status"] == "imported" and recording.get("content_url"):
            begins = [datetime.fromisoformat(one["began"]) for one in (recording, said) if one.get("began")]
            later_ms = round((begins[-1] - begins[0]).total_seconds() * 1000) if begins else 0
            return {"url": recording["content_url"], "later_ms": later_ms}
    return None
