"""``$batch``: up to twenty requests in one. Each is answered by itself, and each that is throttled waits by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.graph.errors import GraphError, GraphRetry
from shared.graph.refusals import refusal
from shared.graph.words import field_of

SIZE = 20


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """``path`` is relative, such as ``/me/contacts``; ``body`` is JSON."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError("A request in a batch has a relative path, such as /me/contacts.")

    def described(self, number: int) -> dict[str, Any]:
        headers = {"Prefer": 'IdType="ImmutableId"'} | self.headers
        item: dict[str, Any] = {"id": str(number), "method": self.method, "url": self.path}
        if self.body is not None:
            item["body"] = self.body
            headers = {"Content-Type": "application/json"} | headers
        return item | {"headers": headers}


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answer to one request; ``error`` says why it is none, ``headers`` are those of a refusal.

    ``location`` is where a redirect leads, which may hold a token of its own.
    """

    status: int
    body: Any
    error: GraphError | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False)
    location: str | None = field(default=None, repr=False)


def read_answers(said: dict[str, Any], attempt: int) -> dict[int, BatchAnswer]:
    """The answers of one ``$batch`` by their numbers; Graph may answer in any order, and not everything."""
    items = field_of(said, "responses")
    known = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    numbered = [(_number(field_of(item, "id")), item) for item in known]
    return {number: _answer(item, attempt) for number, item in numbered if number is not None}


def unanswered(request: BatchRequest) -> BatchAnswer:
    maybe_done = request.method != "GET"
    return BatchAnswer(0, None, GraphRetry("Graph left out a request of the batch.", maybe_done=maybe_done))


def refused(error: GraphError) -> BatchAnswer:
    """The answer to each request of a batch that was refused as a whole, after others were answered."""
    return BatchAnswer(error.status, None, error)


def unsent() -> BatchAnswer:
    return BatchAnswer(0, None, GraphRetry("An earlier part of the batch failed; this one was not sent."))


def _answer(item: dict[str, Any], attempt: int) -> BatchAnswer:
    status, body = _number(field_of(item, "status")) or 0, field_of(item, "body")
    if 200 <= status < 300:
        return BatchAnswer(status, body)
    said = field_of(item, "headers")
    headers = httpx.Headers({str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {})
    if 300 <= status < 400 and "location" in headers:
        return BatchAnswer(status, body, location=headers["location"])
    error = refusal(status, headers, body, attempt=attempt)
    return BatchAnswer(status, body, error, headers)


def _number(value: Any) -> int | None:
    """Ids are texts and statuses numbers; each is the other now and then."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def again(requests: Sequence[BatchRequest], answers: dict[int, BatchAnswer], patience_s: float) -> list[int]:
    """The numbers worth another try within ``patience_s``: throttled ones, and reads that met a passing fault."""

    def passes(number: int) -> bool:
        error = answers[number].error
        if not isinstance(error, GraphRetry) or error.after_s > patience_s:
            return False
        return not error.maybe_done or requests[number].method == "GET"

    return [number for number in sorted(answers) if passes(number)]
