"""States of the pages about recordings and transcripts, as the APIs would answer them."""

from typing import Any

from services.console.tests.state import Json, State

ID = "018f0000-0000-7000-8000-000000000001"
FIRST, SECOND = "018f0000-0000-7000-8000-00000000000a", "018f0000-0000-7000-8000-00000000000b"


def _recording(id_: str, began: str, transcript: Json | None, **more: Any) -> Json:
    shown = {"status": "imported", "size_bytes": 55_300, "location": "Prospo storage", "reason": None, "code": None}
    return (
        shown | {"id": id_, "began": began, "content_url": f"/v1/files/{id_}/content", "transcript": transcript} | more
    )


def _transcript(id_: str, **more: Any) -> Json:
    return {"id": id_, "status": "imported", "content_url": f"/v1/transcripts/{id_}", "reason": None} | more


SEVERAL = [
    _recording(FIRST, "2026-03-04T10:01:00Z", _transcript(FIRST)),
    _recording(SECOND, "2026-03-04T10:20:00Z", _transcript(SECOND, status="unavailable", reason="Nobody spoke <b>.")),
]
CALLS = [
    {"began": "2026-03-03T16:00:00Z", "ended": "2026-03-03T16:05:00Z", "part": "rehearsal"},
    {"began": "2026-03-04T10:01:00Z", "ended": "2026-03-04T10:29:00Z", "part": "meeting"},
]
RECORD: Json = {
    "id": ID,
    "subject": "Quarterly review",
    "start": "2026-03-04T10:00:00Z",
    "end": "2026-03-04T10:30:00Z",
    "status": "ended",
    "organizer": {"user_id": "acme-anna", "name": "Anna Andersson"},
    "attendees": [],
    "join_url": None,
    "auto_recording": True,
    "ended": {"at": "2026-03-04T10:29:00Z", "source": "artefact", "confidence": "high"},
    "recording": SEVERAL[1],
    "transcript": {"status": "imported", "speakers": [], "content_url": f"/v1/transcripts/{FIRST}"},
    "recordings": SEVERAL,
    "transcripts": [],
    "calls": CALLS,
    "problem": None,
    "version": 3,
}
UNASSIGNED = [
    {
        "id": SECOND,
        "kind": "recording",
        "created_at": "2026-03-08T22:00:00Z",
        "why": "far",
        "choices": [
            {
                "meeting_id": ID,
                "subject": "Review <b>",
                "start": "2026-03-04T10:00:00Z",
                "end": "2026-03-04T10:30:00Z",
                "status": "scheduled",
            }
        ],
    }
]
ASSIGN = {f"POST /v1/ledger/unassigned/{SECOND}/assign": (409, {"code": "not_a_choice", "detail": "Of another link."})}
RECORDING_STATES = {
    "record-several-recordings": State(
        f"/meetings/{ID}",
        {f"/v1/meetings/{ID}": RECORD},
        (
            f'src="/v1/files/{FIRST}/content"',
            f'src="/v1/files/{SECOND}/content"',
            f'href="/transcripts/{FIRST}"',
            "Nobody spoke &lt;b&gt;.",
            "before the meeting: a rehearsal",
        ),
        silent=("Transcripts without a recording",),
    ),
    "record-lone-transcript": State(
        f"/meetings/{ID}",
        {f"/v1/meetings/{ID}": RECORD | {"transcripts": [_transcript(SECOND, began=None)]}},
        ("Transcripts without a recording", f'href="/transcripts/{SECOND}"'),
    ),
    "unassigned": State(
        "/meetings/unassigned",
        {"/v1/ledger/unassigned": UNASSIGNED},
        ("Recording of", "far from the booked time", "Assign to Review &lt;b&gt;", f'value="{ID}"'),
    ),
    "unassigned-none": State(
        "/meetings/unassigned", {"/v1/ledger/unassigned": []}, ("Every recording and transcript of yours",)
    ),
    "unassigned-refused": State(
        f"/meetings/unassigned/{SECOND}",
        ASSIGN,
        ("It was not assigned", "Of another link.", 'href="/meetings/unassigned"'),
        status=409,
        post={"meeting_id": ID},
    ),
    "meetings-with-unassigned": State(
        "/meetings",
        {"/v1/meetings": {"items": []}, "/v1/ledger/unassigned": UNASSIGNED},
        ("1 recording or transcript waits", 'href="/meetings/unassigned"'),
    ),
}
