"""The bytes: transcripts as text, recordings at once or by a link to another host."""

import datetime
import re
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.elsewhere import other_url
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.streaming import streamed
from m365_simulator.wire import Caller, GraphError, GraphRoute

from . import spoken
from .access import artefact_caller
from .artefact_routes import one
from .policies import allowed, delivery
from .recording import content as recording_bytes
from .recording import film

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
downloads = APIRouter()
"""The other host."""
CUT = fault("cut_download", "a recording's body ends half-way")
NO_CONTENT = fault("empty_content", "the content of a recording or transcript is empty for now")
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
VTT = "text/vtt"
UNATTRIBUTED = "application/vnd.microsoft.graph.transcript+text"
BYTES = "application/octet-stream"
"""What Microsoft's own client asks for, whatever the content is."""
LINK_LIVES = datetime.timedelta(hours=1)
KEPT_DAYS = 120
"""Recordings leave the organizer's OneDrive after this long, unless somebody keeps them."""


def _row(caller: Caller, user: Row, key: str, kind: str, item: str) -> Row:
    """An artefact whose content the caller may have now."""
    row = one(caller, user, key, kind, item)
    organizer = caller.store.get("users", row["organizer"]) or {}
    if kind == "recordings":
        others = allowed(caller.simulator, organizer, "attendees_download")
        if user["id"] != row["organizer"] and not others:
            raise GraphError(403, "Forbidden", "Only the organizer may read the recording.")
        if not allowed(caller.simulator, organizer, "downloads"):
            raise GraphError(403, "Forbidden", "The administrator blocked downloads of recordings.")
    gone = moment_of(row["endDateTime"]) + datetime.timedelta(days=KEPT_DAYS)
    if row["deleted"] or gone < caller.simulator.now() or moment_of(row["content_from"]) > caller.simulator.now():
        raise GraphError(404, "NotFound", "The content of the recording or transcript does not exist.")
    return row


@router.get("/me/onlineMeetings/{key}/{kind}/{item}/content")
@router.get("/users/{oid}/onlineMeetings/{key}/{kind}/{item}/content")
async def content(request: Request, key: str, kind: str, item: str, oid: str | None = None) -> Response:
    caller, user = artefact_caller(request, oid, kind)
    row = _row(caller, user, key, kind, item)
    if caller.simulator.faults.due(NO_CONTENT, tenant=caller.tenant):
        return Response(b"", media_type=VTT if kind == "transcripts" else "video/mp4")
    return _transcript(caller, row) if kind == "transcripts" else _recording(caller, row)


def _transcript(caller: Caller, row: Row) -> Response:
    """Names of speakers only where the organisation lets them out; the other type has none."""
    accept = caller.request.headers.get("accept", "*/*").lower()
    wanted = caller.request.query_params.get("$format", accept)
    if UNATTRIBUTED in accept:
        return streamed(spoken.text(caller.simulator, row, named=False), kind=UNATTRIBUTED)
    if not any(kind in wanted for kind in (VTT, "text/*", "*/*", BYTES)):
        raise GraphError(406, "NotAcceptable", f"A transcript comes as {VTT} or {UNATTRIBUTED}.")
    _attribution(caller, row)
    return streamed(spoken.text(caller.simulator, row, named=True), kind=VTT)


def _attribution(caller: Caller, row: Row) -> None:
    organizer = caller.store.get("users", row["organizer"]) or {}
    if not allowed(caller.simulator, organizer, "speaker_names"):
        text = "Speaker attribution is not allowed for this tenant."
        raise GraphError(403, "Forbidden", text, inner="SpeakerAttributionNotAllowed")


@router.get("/me/onlineMeetings/{key}/transcripts/{item}/metadataContent")
@router.get("/users/{oid}/onlineMeetings/{key}/transcripts/{item}/metadataContent")
async def metadata_content(request: Request, key: str, item: str, oid: str | None = None) -> Response:
    """With attribution off the cues name nobody. Unproven."""
    caller, user = artefact_caller(request, oid, "transcripts")
    row = _row(caller, user, key, "transcripts", item)
    organizer = caller.store.get("users", row["organizer"]) or {}
    named = allowed(caller.simulator, organizer, "speaker_names")
    return streamed(spoken.metadata(caller.simulator, row, named=named), kind=VTT)


def _recording(caller: Caller, row: Row) -> Response:
    how = delivery(caller.simulator)
    if not how["redirect"]:
        return _bytes(caller.request, caller.simulator)
    token = caller.simulator.ids.text("download", 40)
    until = stamp(caller.simulator.clock.service() + LINK_LIVES)
    caller.store.put("downloads", token, {"artefact": row["id"], "until": until})
    base = caller.simulator.settings.graph_url
    return RedirectResponse(f"{other_url(caller.simulator) if how['other_host'] else base}/download/{token}", 302)


@downloads.get("/download/{token}")
async def download(request: Request, token: str) -> Response:
    """Pre-authorised: a caller that still sends its token is refused, as storage hosts do."""
    simulator: Simulator = request.scope["simulator"]
    answer = _downloaded(request, simulator, token)
    row: Row = {"host": request.url.netloc, "method": "GET", "path": "/download/{link}", "query": ""}
    row["range"] = request.headers.get("range")
    row = simulator.calls.record({**row, "status": answer.status_code, "tenant": None, "user": None, "app": None})
    if "authorization" in request.headers:
        says = "The Authorization header was sent to the host that hands out files."
        simulator.calls.find("authorization_on_foreign_host", says, row)
    return answer


def _downloaded(request: Request, simulator: Simulator, token: str) -> Response:
    if "authorization" in request.headers:
        return Response("Do not send the Authorization header here.", 401)
    link = simulator.store.get("downloads", token)
    if link is None or moment_of(link["until"]) < simulator.clock.service():
        return Response("The link is unknown or has expired.", 404)
    return _bytes(request, simulator)


def _bytes(request: Request, simulator: Simulator) -> Response:
    size = recording_size(simulator)
    total = size if size is not None else len(film())
    ranges = delivery(simulator)["ranges"]
    wanted = RANGE.match(request.headers.get("range", "")) if ranges else None
    first = int(wanted[1]) if wanted else 0
    last = min(int(wanted[2]) if wanted and wanted[2] else total - 1, total - 1)
    if wanted and first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    headers = {"Content-Length": str(last - first + 1), "Accept-Ranges": "bytes" if ranges else "none"}
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    return streamed(_body(simulator, first, last), 206 if wanted else 200, headers, kind="video/mp4")


def recording_size(simulator: Simulator) -> int | None:
    size: int | None = (simulator.store.get("settings", "recording_size") or {"value": None})["value"]
    return size


def _body(simulator: Simulator, first: int, last: int) -> Iterator[bytes]:
    if simulator.faults.due(CUT):
        last = first + (last - first) // 2
    return recording_bytes(recording_size(simulator), first, last)
