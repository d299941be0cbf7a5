"""A file's bytes as an answer: ranges, and headers so that a browser runs nothing of it."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Header, Request
from fastapi.responses import Response, StreamingResponse

from shared.graph import Graph
from shared.problems import PROBLEM_TYPE, problem_response
from shared.web.routes import with_header
from shared.web.words import whole_number
from storage.deliveries import from_sharepoint
from storage.parts import Parts

SHOWN = {"video/mp4", "audio/mp4", "audio/mpeg", "image/png", "image/jpeg", "text/plain", "text/vtt"}
"""What a browser may show where it stands; everything else is saved."""
BYTES = {"schema": {"type": "string", "format": "binary"}}
Range = Annotated[str | None, Header(alias="range")]
RANGE = with_header("Content-Range", "Which bytes these are, of how many.")
GIVES_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"*/*": BYTES}},
    206: {"description": "The range that was asked for.", "content": {"*/*": BYTES}, **RANGE},
    416: {
        "description": "No byte of the file is in the range; a problem document.",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        **RANGE,
    },
}


def span(header: str | None, size: int) -> tuple[int, int, int]:
    """Start, end (exclusive) and status for a ``Range`` header."""
    first, dash, last = (header or "").removeprefix("bytes=").partition("-")
    if not (header or "").startswith("bytes=") or not dash or "," in last:
        return 0, size, 200
    since, until = whole_number(first), whole_number(last)
    if since is not None and (until is not None or not last):
        start, end = since, size if until is None else min(size, until + 1)
    elif until is not None and not first:
        start, end = max(0, size - until), size
    else:
        return 0, size, 200
    return (start, end, 206) if start < end else (0, 0, 416)


async def answer(
    request: Request, row: Any, spanned: tuple[int, int, int], files: Parts, graph: Graph, *, save: bool = False
) -> Response:
    """The bytes of ``spanned`` as they come from where the file is; with ``save`` a browser never shows them.

    Raises ``NotFound``, ``Conflict`` or ``Unavailable`` when SharePoint does not give them.
    """
    start, end, status = spanned
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(end - start)} | _harmless(row, save)
    if status == 416:
        detail = f"The file has {row.size_bytes} bytes; ask for a range that begins within them."
        refused = problem_response(request, 416, "range_not_satisfiable", detail)
        refused.headers["Content-Range"] = f"bytes */{row.size_bytes}"
        return refused
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{row.size_bytes}"
    stream = files.read(row, start, end) if row.item_id is None else await from_sharepoint(graph, row, start, end)
    return StreamingResponse(stream, status, headers, media_type=row.content_type)


def _harmless(row: Any, save: bool) -> dict[str, str]:
    """So that a browser runs nothing of a file, whoever made it, on the site it is read from."""
    kind = row.content_type.partition(";")[0].strip().lower()
    shown = "inline" if kind in SHOWN and not save else "attachment"
    named = f"{shown}; filename*=UTF-8''{quote(row.file_name, safe='')}" if row.by_person else shown
    return {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": named,
        "Referrer-Policy": "no-referrer",
    }
