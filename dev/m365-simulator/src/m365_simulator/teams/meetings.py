"""Online meetings, their recordings and transcripts, and the content of both."""

import re
import uuid
from collections.abc import Iterator
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.faults import fault
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from . import artefacts as left_behind
from .recording import content as recording_bytes
from .recording import film

graph = APIRouter(prefix="/v1.0", route_class=GraphRoute)
router = APIRouter()
PAGE = 2
FILTER = re.compile(r"^JoinWebUrl eq '(?P<url>[^']+)'$", re.IGNORECASE)
FUNCTION = re.compile(r"^getAll(?P<kind>Recordings|Transcripts)\((?P<given>.*)\)$")
ARGUMENT = re.compile(r"(\w+)=('[^']*'|[^,']+)")
NEEDED = {"recordings": "OnlineMeetingRecording.Read.All", "transcripts": "OnlineMeetingTranscript.Read.All"}
DISABLED = "Graph API access to transcripts is disabled for this tenant."


def _caller(request: Request, oid: str | None, *, write: bool = False) -> tuple[Caller, Row]:
    wanted = "OnlineMeetings.ReadWrite" if write else "OnlineMeetings.ReadWrite OnlineMeetings.Read"
    roles = " ".join(f"{name}.All" for name in wanted.split())
    caller = Caller(request).need(delegated=wanted, role=roles)
    return caller, _by_object_id(caller, oid)


def _by_object_id(caller: Caller, oid: str | None) -> Row:
    if oid is not None and "@" in oid:
        raise GraphError(400, "BadRequest", "The user must be named by object id, not by user principal name.")
    return caller.user(oid)


def _meeting(caller: Caller, user: Row, key: str) -> Row:
    row: Row | None = caller.store.get("meetings", key)
    if row is None or row["tenant"] != caller.tenant:
        raise GraphError(404, "NotFound", "3004: The meeting does not exist.")
    if user["id"] != row["organizer"] and user["address"] not in row["attendees"]:
        raise GraphError(403, "Forbidden", "3003: User does not have access to lookup meeting.")
    return row


def _plain(url: str) -> str:
    """Without percent-encoding: a filter may carry the URL as it is or encoded once more."""
    decoded = unquote(url)
    return url if decoded == url else _plain(decoded)


def _shown(row: Row) -> Row:
    return {
        **row["options"],
        "id": row["id"],
        "creationDateTime": row["created"],
        "startDateTime": row["start"],
        "endDateTime": row["end"],
        "joinWebUrl": row["join_url"],
        "subject": row["subject"],
        "recordAutomatically": row["recordAutomatically"],
        "allowTranscription": row["allowTranscription"],
        "participants": {"organizer": {"identity": {"user": {"id": row["organizer"]}}}},
    }


@graph.get("/me/onlineMeetings")
@graph.get("/users/{oid}/onlineMeetings")
async def look_up(request: Request, oid: str | None = None) -> Response:
    caller, user = _caller(request, oid)
    wanted = FILTER.match(request.query_params.get("$filter", ""))
    if wanted is None:
        raise GraphError(400, "BadRequest", "A filter of the form JoinWebUrl eq '…' is required.")
    url = _plain(wanted["url"])
    for row in caller.store.all("meetings"):
        if _plain(row["join_url"]) == url:
            found = [_shown(_meeting(caller, user, row["id"]))]
            query = caller.query("graph.onlineMeeting", Allows(other=("$filter",)))
            return listed(caller, "onlineMeetings", found, kind="graph.onlineMeeting", query=query)
    raise GraphError(404, "NotFound", "3004: No meeting has this join URL.")


@graph.get("/me/onlineMeetings/{key}")
async def my_meeting(request: Request, key: str) -> Response:
    return _read(request, None, key)


@graph.get("/users/{oid}/onlineMeetings/{key}")
async def a_meeting_or_function(request: Request, oid: str, key: str) -> Response:
    function = FUNCTION.match(key)
    return _read(request, oid, key) if function is None else _get_all(request, oid, function)


def _read(request: Request, oid: str | None, key: str) -> Response:
    caller, user = _caller(request, oid)
    return answer(
        caller.simulator, "onlineMeetings/$entity", _shown(_meeting(caller, user, key)), kind="graph.onlineMeeting"
    )


@graph.patch("/me/onlineMeetings/{key}")
@graph.patch("/users/{oid}/onlineMeetings/{key}")
async def change(request: Request, key: str, oid: str | None = None) -> Response:
    caller, user = _caller(request, oid, write=True)
    row = _meeting(caller, user, key)
    if user["id"] != row["organizer"]:
        raise GraphError(403, "Forbidden", "Only the organizer may change the meeting.")
    body = await body_of(request, "graph.onlineMeeting")
    started = moment_of(row["start"]) <= caller.simulator.now()
    if started:
        body.pop("recordAutomatically", None)  # it does not affect a meeting in progress
    row |= {name: body[name] for name in ("recordAutomatically", "allowTranscription", "subject") if name in body}
    row["options"] |= body
    caller.store.put("meetings", key, row)
    return answer(caller.simulator, "onlineMeetings/$entity", _shown(row), kind="graph.onlineMeeting")


def _artefact_caller(request: Request, oid: str | None, kind: str) -> tuple[Caller, Row]:
    if kind not in NEEDED:
        raise GraphError(404, "BadRequest", f"Resource not found for the segment '{kind}'.")
    caller = Caller(request).need(delegated=NEEDED[kind], role=NEEDED[kind])
    transcript_access(caller, kind)
    return caller, _by_object_id(caller, oid)


def transcript_access(caller: Caller, kind: str) -> None:
    """The tenant's switch; off answers 403 whatever was consented."""
    if kind == "transcripts" and not (caller.store.get("tenants", caller.tenant) or {}).get("transcripts"):
        raise GraphError(403, "Forbidden", DISABLED, inner="GraphAccessToTranscriptsDisabled")


@graph.get("/me/onlineMeetings/{key}/{kind}")
@graph.get("/users/{oid}/onlineMeetings/{key}/{kind}")
async def artefacts(request: Request, key: str, kind: str, oid: str | None = None) -> Response:
    caller, user = _artefact_caller(request, oid, kind)
    meeting = _meeting(caller, user, key)
    found = [a for a in caller.store.all("artefacts") if a["meeting"] == meeting["id"] and a["kind"] == kind]
    return _list(caller, kind, found)


def _list(caller: Caller, kind: str, rows: list[Row]) -> Response:
    name = f"graph.{left_behind.KINDS[kind]}"
    query = caller.query(name, Allows(top=100, page=PAGE, filters=("contentCorrelationId",)))
    shown = [left_behind.shown(caller.simulator, row) for row in rows]
    return listed(caller, kind, shown, kind=name, query=query)


def _one(caller: Caller, user: Row, key: str, kind: str, item: str) -> Row:
    meeting = _meeting(caller, user, key)
    row: Row | None = caller.store.get("artefacts", item)
    if row is None or row["meeting"] != key or row["kind"] != kind:
        raise GraphError(404, "NotFound", "The recording or transcript does not exist.")
    if kind == "recordings" and user["id"] != meeting["organizer"]:
        raise GraphError(403, "Forbidden", "Only the organizer may read the recording.")
    return row


@graph.get("/me/onlineMeetings/{key}/{kind}/{item}")
@graph.get("/users/{oid}/onlineMeetings/{key}/{kind}/{item}")
async def artefact(request: Request, key: str, kind: str, item: str, oid: str | None = None) -> Response:
    caller, user = _artefact_caller(request, oid, kind)
    shown = left_behind.shown(caller.simulator, _one(caller, user, key, kind, item))
    return answer(caller.simulator, f"{kind}/$entity", shown, kind=f"graph.{left_behind.KINDS[kind]}")


@graph.get("/me/onlineMeetings/{key}/{kind}/{item}/content")
@graph.get("/users/{oid}/onlineMeetings/{key}/{kind}/{item}/content")
async def content(request: Request, key: str, kind: str, item: str, oid: str | None = None) -> Response:
    caller, user = _artefact_caller(request, oid, kind)
    row = _one(caller, user, key, kind, item)
    if kind == "transcripts":
        return Response(_transcript(caller, row), media_type="text/vtt")
    token = uuid.uuid4().hex
    caller.store.put("downloads", token, {"artefact": row["id"]})
    return RedirectResponse(f"{caller.simulator.settings.graph_url}/download/{token}", 302)


def _transcript(caller: Caller, row: Row) -> str:
    organizer = caller.store.get("users", row["organizer"]) or {"name": "Organizer"}
    cues = [
        ("0:0:1.5", "0:0:4.25", organizer["name"], "Hello everyone, shall we begin?"),
        ("0:0:5.0", "0:0:9.75", "Ben Berg", "Yes. The offer goes out on Friday."),
        ("0:0:10.125", "0:0:14.0", organizer["name"], "Then we are agreed. Thank you."),
    ]
    return "WEBVTT\n\n" + "\n\n".join(f"{a} --> {b}\n<v {who}>{said}</v>" for a, b, who, said in cues) + "\n"


def _get_all(request: Request, oid: str, function: re.Match[str]) -> Response:
    kind = function["kind"].lower()
    caller, user = _artefact_caller(request, oid, kind)
    if not caller.app_only:
        raise GraphError(403, "Forbidden", "This function needs an application token.")
    given = {name: value.strip("'") for name, value in ARGUMENT.findall(function["given"])}
    if given.get("meetingOrganizerUserId") != user["id"]:
        raise GraphError(400, "BadRequest", "meetingOrganizerUserId must be the user's object id.")
    found = [a for a in caller.store.all("artefacts") if a["organizer"] == user["id"] and a["kind"] == kind]
    return _list(caller, kind, [row for row in found if _within(row, given)])


def _within(row: Row, given: dict[str, str]) -> bool:
    """By creation on the virtual clock or by appearance on the real one: callers know only the latter."""
    try:
        first = moment_of(given["startDateTime"]) if "startDateTime" in given else None
        last = moment_of(given["endDateTime"]) if "endDateTime" in given else None
    except ValueError as error:
        raise GraphError(400, "BadRequest", f"startDateTime or endDateTime is not a time: {error}.") from error
    times = [moment_of(row["createdDateTime"]), moment_of(row["available"])]
    return any((first is None or first <= at) and (last is None or at <= last) for at in times)


CUT = fault("cut_download", "a recording's body ends half-way")
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


@router.get("/download/{token}")
async def download(request: Request, token: str) -> Response:
    """Pre-authorised: a caller that still sends its token is refused, as storage hosts do."""
    simulator: Simulator = request.app.state.simulator
    if "authorization" in request.headers:
        return Response("Do not send the Authorization header here.", 401)
    if simulator.store.get("downloads", token) is None:
        return Response("The link is unknown.", 404)
    size = recording_size(simulator)
    total = size if size is not None else len(film())
    wanted = RANGE.match(request.headers.get("range", ""))
    first = int(wanted[1]) if wanted else 0
    last = min(int(wanted[2]) if wanted and wanted[2] else total - 1, total - 1)
    if wanted and first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    headers = {"Content-Length": str(last - first + 1), "Accept-Ranges": "bytes"}
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    return StreamingResponse(_body(simulator, first, last), 206 if wanted else 200, headers, "video/mp4")


def recording_size(simulator: Simulator) -> int | None:
    size: int | None = (simulator.store.get("settings", "recording_size") or {"value": None})["value"]
    return size


def _body(simulator: Simulator, first: int, last: int) -> Iterator[bytes]:
    if simulator.faults.due(CUT):
        last = first + (last - first) // 2
    return recording_bytes(recording_size(simulator), first, last)


router.include_router(graph)
