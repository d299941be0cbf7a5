"""What upload and download URLs answer, on the other host, without tokens."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.elsewhere import refuse_token
from m365_simulator.faults import fault
from m365_simulator.ranges import BadRange, asked_range, content_range
from m365_simulator.store import Row
from m365_simulator.streaming import streamed
from m365_simulator.wire import GraphError, GraphRoute, answer

from . import content, quickxor, tree, uploads
from .drive_items import over_quota
from .rules import rule

router = APIRouter(route_class=GraphRoute)
UNIT = 327_680
FRAGMENT = 60 * 1024 * 1024
LAST_FAILS = fault("upload_last_fails", "the last fragment makes the item and is answered with a 5xx", "status")
LOSES = fault("upload_loses_part", "the first `bytes` of a received fragment are lost, which leaves a gap", "bytes")


def _session(request: Request, *, answers: bool = False) -> tuple[Simulator, Row]:
    simulator = refuse_token(request, answers=answers)
    return simulator, uploads.session(simulator, request.path_params["key"])


@router.get("/up/{key}")
async def status(request: Request) -> Response:
    """With a token too, as rclone asks."""
    _, row = _session(request, answers=True)
    return JSONResponse(uploads.status_of(row))


@router.delete("/up/{key}")
async def cancel(request: Request) -> Response:
    simulator, row = _session(request)
    uploads.end(simulator, row)
    return Response(status_code=204)


@router.post("/up/{key}")
async def commit(request: Request) -> Response:
    """Ends a session that deferred its commit."""
    simulator, row = _session(request)
    if await request.body():
        raise GraphError(400, "invalidRequest", "The commit has no body.")
    if not uploads.complete(row):
        raise GraphError(400, "invalidRequest", "The upload session has not received all bytes.")
    return _committed(simulator, row)


def _committed(simulator: Simulator, row: Row) -> Response:
    place, item, new = uploads.commit(simulator, row)
    context = f"drives('{row['drive']}')/items/$entity"
    return answer(simulator, context, place.shown(item), 201 if new else 200, kind="graph.driveItem")


@router.put("/up/{key}")
async def put_fragment(request: Request) -> Response:
    simulator, row = _session(request)
    try:
        first, last, total = content_range(request.headers.get("content-range", ""))
    except BadRange as error:
        raise GraphError(400, "invalidRequest", str(error)) from error
    _check(simulator, row, first, last, total)
    if request.headers.get("content-length", str(last - first + 1)) != str(last - first + 1):
        raise GraphError(400, "invalidRequest", "The Content-Length is not that of the Content-Range.")
    size, bits = await content.received(request, simulator, row["file"], first, last - first + 1)
    if size != last - first + 1:
        raise GraphError(400, "invalidRequest", f"The body has {size} bytes, its Content-Range {last - first + 1}.")
    row = uploads.session(simulator, row["id"])  # it may have ended, or gone on, while the bytes came
    _check(simulator, row, first, last, total)
    lost = _lost(simulator, request, row, first, last)
    row["bits"] ^= bits ^ (lost[1] if lost else 0)
    row |= {"total": total, "odd": row["odd"] or _odd(first, last, total)}
    uploads.take(row, first + (lost[0] if lost else 0), last)
    uploads.extended(simulator, row, first=False)
    if uploads.complete(row) and not row["defer"]:
        answered = _committed(simulator, row)
        if (found := simulator.faults.due(LAST_FAILS, path=request.url.path, method="PUT")) is not None:
            raise GraphError(found.get("status", 504), "serviceNotAvailable", "The service failed after it had acted.")
        return answered
    return JSONResponse(uploads.status_of(row), 202)


def _odd(first: int, last: int, total: int) -> bool:
    """Whether the 320 KiB rule is broken; a file smaller than one unit cannot keep it (Microsoft's own samples)."""
    return last + 1 != total and (last - first + 1) % UNIT != 0 and total > UNIT


def _check(simulator: Simulator, row: Row, first: int, last: int, total: int) -> None:
    if row["total"] not in (None, total):
        raise GraphError(400, "invalidRequest", f"The total was {row['total']} bytes before.")
    if last - first + 1 >= FRAGMENT:
        raise GraphError(413, "requestEntityTooLarge", "A fragment has to be smaller than 60 MiB.")
    if rule(simulator, "fragment_rule") == "at_once" and _odd(first, last, total):
        raise GraphError(400, "invalidRequest", "The size of a fragment must be a multiple of 320 KiB.")
    if not any(first == start and (end is None or last <= end) for start, end in uploads.missing_ranges(row)):
        overlaps = any(first <= b and a <= last for a, b in row["ranges"])
        text = "Uploaded fragment overlaps with existing data." if overlaps else "Fragment is out of order."
        inner = "fragmentOverlap" if overlaps else "fragmentOutOfOrder"
        raise GraphError(416, "invalidRange", text, inner=inner)
    place = tree.Tree(simulator, simulator.store.get("drives", row["drive"]) or {})
    if total > uploads.room(place, uploads.target(place, row), row):
        raise over_quota()


def _lost(simulator: Simulator, request: Request, row: Row, first: int, last: int) -> tuple[int, int] | None:
    """How many bytes at the beginning were lost, and what they had added to the hash."""
    found = simulator.faults.due(LOSES, path=request.url.path, method="PUT")
    if found is None or not rule(simulator, "keeps_content"):
        return None
    count, bits, at = min(found.get("bytes", UNIT), last - first), 0, first
    for piece in content.pieces(simulator, {"file": row["file"]}, first, first + count - 1):
        bits ^= quickxor.contribution(piece, at)
        at += len(piece)
    return count, bits


@router.get("/dl/{token}")
async def download(request: Request, token: str) -> Response:
    simulator = refuse_token(request)
    item = content.opened(simulator, token)
    size, headers = item["size"], {"Accept-Ranges": "bytes", "ETag": f'"{item["id"]},{item["ctag"]}"'}
    try:
        wanted = asked_range(request.headers.get("range"), size)
    except BadRange as error:
        text = {"Content-Range": f"bytes */{size}"}
        raise GraphError(416, "invalidRange", str(error), headers=text) from error
    first, last = wanted or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    pieces = content.pieces(simulator, item["content"], first, last)
    return streamed(pieces, 206 if wanted else 200, headers, kind="application/octet-stream")
