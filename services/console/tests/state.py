"""What a state of a page is, and what APIs answer in several of them."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
HELD_BACK = {"status": "unavailable", "code": "feature_off"}
HELD_BACK |= {"reason": "Auto-recording was switched off."}
LINES = [
    {"speaker": "Anna Andersson", "start_ms": 1500, "end_ms": 4250, "text": "Hello everyone, shall we begin?"},
    {"speaker": "Ben Berg", "start_ms": 3_605_000, "end_ms": 3_609_000, "text": "Yes. The offer goes out on Friday."},
]
EXPECTED = {"artefacts": [{"kind": "recording", "status": "expected", "expected_by": "2026-03-04T14:30:00Z"}]}


def problem(code: str, detail: str, status: int = 409, **more: Any) -> tuple[int, Json]:
    return status, {
        "title": "Conflict",
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": "req-7",
        **more,
    }


@dataclass(frozen=True)
class State:
    """A page, what the APIs answer, who looks, and what must then be read; ``post`` makes it a form that is sent."""

    page: str
    answers: Json
    says: tuple[str, ...]
    person: str | None = "acme-anna"
    status: int = 200
    post: Json | None = None
    silent: tuple[str, ...] = field(default=())
