"""Items of drives: read, list, search, make folders, rename, move, delete, upload small files, download, delta."""

import re
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import JSONResponse, RedirectResponse, Response

from m365_simulator import changelog
from m365_simulator.odata import Allows
from m365_simulator.outlook.items import about
from m365_simulator.store import Row
from m365_simulator.wire import GraphError, GraphRoute, answer, body_of, listed, sound

from . import content, drives, names, quickxor, tree, trouble
from .rules import rule
from .visits import KIND, Visit, destination, place, visited

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
SMALL = 250 * 1024 * 1024
BEHAVIOUR, OLDER = "@microsoft.graph.conflictBehavior", "@name.conflictBehavior"
LIST = Allows(top=1000, orders=("name", "lastModifiedDateTime", "size"), filters=("name",), page=200, count=True)
DELTA = Allows(top=1000, page=200, other=("token",))
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
DRIVE_BASES = ("/drive", "/me/drive", "/users/{user}/drive", "/drives/{drive}", "/sites/{site}/drive")

for _base in DRIVE_BASES:
    router.add_api_route(_base, visited, methods=["GET"])
    router.add_api_route(_base + "/{rest:path}", visited, methods=METHODS)


@place("GET")
async def read(visit: Visit) -> Response:
    if visit.address.start:
        return visit.answered(visit.item())
    simulator, drive = visit.caller.simulator, visit.tree.drive
    shown = drives.shown(simulator, drive, visit.tree.root()["size"])
    return answer(
        simulator, "drives/$entity", visit.caller.query("graph.drive", Allows()).shape(shown), kind="graph.drive"
    )


def _listed(visit: Visit, rows: list[Row]) -> Response:
    shown = [visit.tree.shown(row) for row in rows]
    context = f"drives('{visit.tree.drive['id']}')/items"
    return listed(visit.caller, context, shown, kind=KIND, query=visit.caller.query(KIND, LIST))


@place("GET", "children")
async def children(visit: Visit) -> Response:
    return _listed(visit, visit.tree.children(visit.item()))


@place("GET", "search")
async def search(visit: Visit) -> Response:
    """By name, under the item."""
    wanted = (visit.address.argument or "").lower()
    if not wanted:
        raise GraphError(400, "invalidRequest", "Search needs a text: search(q='…').")
    return _listed(visit, [row for row in visit.tree.below(visit.item()) if wanted in row["name"].lower()])


@place("POST", "children", write=True)
async def make_folder(visit: Visit) -> Response:
    body = await body_of(visit.request, KIND)
    parent = visit.item()
    if body.get("folder") is None or parent["content"] is not None:
        raise GraphError(400, "invalidRequest", "Only a folder can be made so, and only in a folder.")
    behaviour = tree.behaviour_of(body.get(BEHAVIOUR) or body.get(OLDER), "fail")
    with visit.caller.store.together():
        row = visit.tree.add(parent, body.get("name") or "", None, by=visit.by(), behaviour=behaviour)
        row = visit.tree.dated(row, body.get("fileSystemInfo"))
    return visit.answered(row, 201)


@place("PATCH", write=True)
async def change(visit: Visit) -> Response:
    """Rename, move within the drive, set the times that the file had elsewhere."""
    row, body = visit.item(), await body_of(visit.request, KIND)
    visit.matches(row)
    trouble.refuse_locked(visit.caller.simulator, row)
    if row["parent"] is None:
        raise drives.denied()
    goal, folder = destination(visit, body.get("parentReference") or {}, row)
    if goal is not visit.tree:
        raise GraphError(400, "invalidRequest", "An item cannot be moved to another drive; copy it and delete it here.")
    renamed = "name" in body or "parentReference" in body
    with visit.caller.store.together():
        if body.get("fileSystemInfo") or (renamed and rule(visit.caller.simulator, "rename_versions")):
            row = visit.tree.versioned(row)
        behaviour = tree.behaviour_of(body.get(BEHAVIOUR), "fail")
        row = visit.tree.move(row, folder, body.get("name") or row["name"], behaviour)
        row = visit.tree.dated(row, body.get("fileSystemInfo"))
    return visit.answered(row)


@place("POST", "checkin", write=True)
async def check_in(visit: Visit) -> Response:
    """Others see the file from now on; refused while columns that the library requires are empty."""
    row = visit.item()
    if visit.tree.level(row) != "checkout":
        raise GraphError(400, "invalidRequest", "The file is not checked out.")
    if visit.tree.drive["rules"]["required_columns"]:
        raise GraphError(400, "invalidRequest", "You must fill out all required properties before checking in.")
    visit.tree.put(row | {"checked_in": True}, content_changed=False)
    return Response(status_code=204)


@place("DELETE", write=True)
async def delete(visit: Visit) -> Response:
    row = visit.item()
    visit.matches(row)
    trouble.refuse_locked(visit.caller.simulator, row)
    if row["parent"] is None:
        raise drives.denied()
    with visit.caller.store.together():
        visit.tree.delete(row)
    return Response(status_code=204)


@place("GET", "content")
async def download(visit: Visit) -> Response:
    """A redirect to a short-lived URL on another host."""
    row = visit.item()
    if row["content"] is None:
        raise GraphError(400, "invalidRequest", "A folder has no content.")
    trouble.refuse_infected(row)
    return RedirectResponse(content.download_url(visit.caller.simulator, row), 302)


@place("PUT", "content", write=True)
async def upload(visit: Visit) -> Response:
    """A small file, streamed to disk; 201 new, 200 replaced."""
    simulator, request = visit.caller.simulator, visit.request
    default = rule(simulator, "put_conflict")
    behaviour = tree.behaviour_of(request.query_params.get(BEHAVIOUR), default)
    existing = visit.tree.walk(visit.start(), visit.address.path)
    if existing is None and not visit.address.path:
        raise drives.missing()
    _check(visit, existing, behaviour)
    file = simulator.ids.text("content", 24)
    try:
        size, bits = await content.received(request, simulator, file, 0, min(SMALL, visit.tree.room()))
    except BaseException as error:
        content.forget(simulator, {"file": file})
        if isinstance(error, GraphError) and visit.tree.room() < SMALL:
            raise over_quota() from error
        raise
    stored = {"content": content.kept(simulator, file), "size": size, "hash": quickxor.digest(bits, size)}
    name = visit.address.path[-1] if visit.address.path else (existing or {})["name"]
    stored = trouble.rewritten(simulator, visit.tree.drive, name, stored)
    with visit.caller.store.together():
        if existing is not None and behaviour == "replace":
            return visit.answered(visit.tree.replaced(existing, stored), 200)
        return visit.answered(added(visit, stored, behaviour), 201)


def _check(visit: Visit, existing: Row | None, behaviour: str) -> None:
    """What can be refused before the bytes come."""
    for name in visit.address.path:
        names.check_name(name)
    if existing is not None:
        visit.matches(existing)
        if existing["content"] is None or behaviour == "fail":
            raise tree.taken()
        trouble.refuse_locked(visit.caller.simulator, existing)
    if int(visit.request.headers.get("content-length") or 0) > SMALL:
        raise GraphError(413, "requestEntityTooLarge", "Use an upload session for files over 250 MB.")


def over_quota() -> GraphError:
    return GraphError(507, "quotaLimitReached", "The storage limit of the drive has been reached.")


def added(visit: Visit, stored: Row | None, behaviour: str) -> Row:
    """A new file at the path of the address, with the folders that are missing."""
    *above, name = visit.address.path
    made = rule(visit.caller.simulator, "makes_folders")
    folder = visit.tree.walk(visit.start(), tuple(above), make=made, by=visit.by())
    if folder is None or folder["content"] is not None:
        raise drives.missing()
    return visit.tree.add(folder, name, stored, by=visit.by(), behaviour=behaviour)


@place("GET", "delta")
async def delta(visit: Visit) -> Response:
    """Changes of the whole drive; tokens come in the query or in the function call."""
    if visit.item()["parent"] is not None:
        raise GraphError(400, "invalidRequest", "Delta is of the root of a drive only.")
    simulator, query = visit.caller.simulator, visit.caller.query(KIND, DELTA)
    state = _state(visit, visit.address.argument or visit.request.query_params.get("token"))
    state = {"select": query.select, "size": query.size, **state}  # what the first request bound
    size = query.size if "$top" in query.params else state["size"]
    page = changelog.read(simulator, state, size, about(visit.caller))
    name = "@odata.nextLink" if page.more else "@odata.deltaLink"
    body = {
        "@odata.context": f"{simulator.settings.graph_url}/v1.0/$metadata#Collection(driveItem)",
        name: _link(visit, page.token),
        "value": [_entry(visit, entry, state["select"]) for entry in page.entries],
    }
    return JSONResponse(body)


def _link(visit: Visit, token: str) -> str:
    path = re.sub(r"\(.*\)$", "", visit.request.url.path)
    return f"{visit.caller.simulator.settings.graph_url}{path}?{urlencode({'token': token})}"


def _state(visit: Visit, token: str | None) -> Row:
    simulator, log = visit.caller.simulator, visit.tree.log
    visit.tree.root()
    if not token:
        return changelog.beginning(simulator, log)
    if token == "latest":
        return changelog.latest(simulator, log)
    try:
        return dict(changelog.recall(simulator, token, log, about(visit.caller)))
    except changelog.UnknownToken as error:
        raise GraphError(400, "invalidRequest", "The delta token is not of this drive.") from error
    except changelog.LostState as error:
        again = _link(visit, changelog.keep(simulator, changelog.beginning(simulator, log)))
        headers = {"Location": again} if error.how.get("location", True) else {}
        code = error.how.get("code", "resyncChangesApplyDifferences")
        code = "resyncRequired" if code == "syncStateNotFound" else code
        raise GraphError(error.how.get("status", 410), code, "Resync required.", headers=headers) from error


def _entry(visit: Visit, entry: Row, select: list[str] | None) -> Row:
    row = None if entry["gone"] else visit.tree.get(entry["id"])
    if row is None:
        drive = {"driveId": visit.tree.drive["id"], "driveType": visit.tree.drive["kind"]}
        return sound({"id": entry["id"], "deleted": {"state": "deleted"}, "parentReference": drive}, KIND)
    shown = sound(visit.tree.shown(row), KIND)
    return {key: value for key, value in shown.items() if not select or key in select or key == "id"}
