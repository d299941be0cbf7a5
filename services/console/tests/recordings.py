"""States of the pages about recordings and transcripts, as the APIs would answer them."""

from typing import Any

from services.console.tests.state import LINES, Json, State

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
ASSIGN = {f"POST /v1/ledger/{ID}/artefacts/{SECOND}": (409, {"code": "not_a_choice", "detail": "Of another link."})}
_SCORE = {"meeting_id": ID, "score": 1.3, "overlap": 1.0, "nearness": 0.9, "same_call": False, "same_pair": True}
STORY: Json = {
    "meeting_id": ID,
    "status": "ended",
    "start": "2026-03-04T10:00:00Z",
    "end": "2026-03-04T10:30:00Z",
    "ended_at": "2026-03-04T10:29:00Z",
    "series_id": None,
    "original_start": None,
    "steps": [
        {"at": "2026-03-04T10:31:00Z", "what": "notified", "details": {"microsoft_request_id": "a-request"}},
        {"at": "2026-03-04T10:31:01Z", "what": "assigned", "details": {"by": "score", "scores": [_SCORE]}},
        {"at": "2026-03-04T10:31:02Z", "what": "new_step", "details": {}},
    ],
}
MISSING = {
    "counts": [
        {
            "kind": "transcript",
            "code": "transcripts_disabled",
            "meetings": 2,
            "newest": "2026-03-04T10:30:00Z",
            "reason": "Open it <b>.",
        }
    ],
    "items": [
        {
            "meeting_id": ID,
            "user_id": "acme-anna",
            "over": "2026-03-04T10:30:00Z",
            "recording": None,
            "transcript": "transcripts_disabled",
        }
    ],
    "next_cursor": ID,
}
HIT = LINES[0] | {"number": 10, "transcript_id": FIRST, "meeting_id": ID}
SAID: Json = {
    "meeting_id": ID,
    "language": None,
    "speakers": [],
    "attributed": False,
    "line_count": 2,
    "lines": [LINES[0] | {"number": 1}],
    "next_cursor": "1",
}
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
    "explain": State(
        f"/meetings/{ID}/explain",
        {f"/v1/ledger/{ID}/story": STORY, f"/v1/meetings/{ID}": RECORD},
        ("Explain this meeting", "put into this meeting", "score 1.3", "this meeting", "made together", "a-request"),
    ),
    "explain-without-news-of-calls": State(
        f"/meetings/{ID}/explain",
        {
            f"/v1/ledger/{ID}/story": STORY,
            f"/v1/meetings/{ID}": RECORD
            | {
                "ended": {"at": "2026-03-03T10:00:00Z", "source": "booked_end", "confidence": "low"},
                "calls": [
                    {"began": "2026-03-03T09:00:00Z", "ended": None, "part": "meeting", "known_by": "call_event"}
                ],
                "call_events": {
                    "status": "not_permitted",
                    "detail": "Microsoft does not tell <b>.",
                    "said": "Missing role",
                    "request_id": "r-77",
                },
            },
        },
        ("When it ended", "does not tell &lt;b&gt;.", "Microsoft says: “Missing role”", "r-77", "its end is not known"),
    ),
    "explain-for-an-admin": State(
        f"/meetings/{ID}/explain",
        {f"/v1/ledger/{ID}/story": STORY},
        ("Explain this meeting", "new_step"),
        "acme-admin",
        silent=("Quarterly review",),
    ),
    "check-refused": State(
        f"/meetings/{ID}/check",
        {f"POST /v1/ledger/{ID}/check": (429, {"code": "too_many", "detail": "Wait a moment."})},
        ("It was not looked for again", "Wait a moment."),
        status=429,
        post={},
    ),
    "missing": State(
        "/connectors/microsoft365/missing",
        {"/v1/ledger/missing": MISSING},
        ("2 meetings have no transcript", "Open it &lt;b&gt;.", "organised by acme-anna", "Older meetings"),
        "acme-admin",
    ),
    "missing-nothing": State(
        "/connectors/microsoft365/missing",
        {"/v1/ledger/missing": {"counts": [], "items": [], "next_cursor": None}},
        ("Nothing is missing",),
        "acme-admin",
    ),
    "transcript-beside-its-video": State(
        f"/transcripts/{FIRST}",
        {f"/v1/transcripts/{FIRST}": SAID, f"/v1/meetings/{ID}": RECORD},
        (
            f'src="/v1/files/{FIRST}/content" data-later-ms="0"',
            '<script src="/static/transcript.js" defer>',
            'data-start-ms="1500" data-end-ms="4250" id="line-1"',
            f'href="/transcripts/{FIRST}?cursor=1&amp;q=&amp;speaker="',
            f'href="/transcripts/{FIRST}/vtt"',
            "does not tell Prospo who said what",
        ),
    ),
    "transcript-without-such-words": State(
        f"/transcripts/{FIRST}?q=budget",
        {f"/v1/transcripts/{FIRST}": SAID | {"lines": [], "next_cursor": None}},
        ("Nothing like it was said", 'value="budget"'),
        silent=("<video", "Read on"),
    ),
    "search-form": State("/transcripts", {}, ("Look in transcripts",), silent=("Nothing like it",)),
    "search-found": State(
        "/transcripts?q=begin",
        {"/v1/transcripts": {"items": [HIT], "next_cursor": "a:1"}},
        (f'href="/transcripts/{FIRST}?cursor=6#line-10"', "shall we begin?", "cursor=a%3A1"),
    ),
    "search-nothing": State(
        "/transcripts?speaker=Bo", {"/v1/transcripts": {"items": []}}, ("Nothing like it was said",)
    ),
}
