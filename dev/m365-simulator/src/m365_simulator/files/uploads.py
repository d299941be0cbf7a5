"""Upload sessions: made at Graph, then spoken to on another host, where the URL alone is the secret.

Ranges are kept as they came, so what was received survives a kill and a fragment may be sent out of order when the
service lost a part.
"""

import datetime
import re

from fastapi.responses import Response

from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.core import Simulator
from m365_simulator.elsewhere import other_url
from m365_simulator.schema import first_fault
from m365_simulator.store import Row
from m365_simulator.wire import GraphError, answer, json_of

from . import content, drives, names, quickxor, tree, trouble
from .drive_items import BEHAVIOUR, over_quota
from .rules import rule
from .visits import Visit, place

KIND = "graph.uploadSession"
TAKES = {"item", "deferCommit"}
SOURCE = "@microsoft.graph.sourceUrl"


@place("POST", "createUploadSession", write=True)
async def create(visit: Visit) -> Response:
    """409 is not said here: a name that is taken shows at the last fragment."""
    body = await json_of(visit.request) if await visit.request.body() else {}
    if not isinstance(body, dict) or set(body) - TAKES:
        raise GraphError(400, "invalidRequest", f"createUploadSession takes an object of {sorted(TAKES)}.")
    item: Row = body.get("item") or {}
    wrong = first_fault(item, "graph.driveItemUploadableProperties")
    if wrong is not None:
        raise GraphError(400, "invalidRequest", wrong)
    existing = visit.tree.walk(visit.start(), visit.address.path)
    if not visit.address.path and visit.address.start == "root":
        raise GraphError(400, "invalidRequest", "Name the file by its path or its id.")
    if existing is not None:
        visit.matches(existing)
        trouble.refuse_locked(visit.caller.simulator, existing)
    if (item.get("fileSize") or 0) > visit.tree.room():
        raise over_quota()
    row = _opened(visit, body, item, existing)
    shown = {**status_of(row), "uploadUrl": f"{other_url(visit.caller.simulator)}/up/{row['id']}"}
    return answer(visit.caller.simulator, KIND.replace("graph.", "microsoft.graph."), shown, kind=KIND)


def _opened(visit: Visit, body: Row, item: Row, existing: Row | None) -> Row:
    simulator, path = visit.caller.simulator, visit.address.path
    named = item.get("name") or (path[-1] if path else (existing or {}).get("name"))
    where = [*path[:-1], names.check_name(named)] if path else []
    start = visit.start()
    names.check_path(visit.tree.path(start) + "".join(f"/{name}" for name in where))
    row: Row = {
        "id": simulator.ids.text("upload-session", 72),
        "drive": visit.tree.drive["id"],
        "start": start["id"],
        "path": where,
        "behaviour": tree.behaviour_of(item.get(BEHAVIOUR), rule(simulator, "put_conflict")),
        "if_match": visit.request.headers.get("if-match"),
        "defer": bool(body.get("deferCommit")),
        "by": visit.by(),
        "times": item.get("fileSystemInfo"),
        "born": stamp(simulator.clock.service()),
        "total": None,
        "ranges": [],
        "bits": 0,
        "odd": False,
        "file": simulator.ids.text("content", 24),
    }
    trouble.refuse_second_session(simulator, row)
    return extended(simulator, row)


def extended(simulator: Simulator, row: Row, *, first: bool = True) -> Row:
    if first or rule(simulator, "extends"):
        life = datetime.timedelta(seconds=rule(simulator, "session_s"))
        row["expires"], row["shown_expiry"] = stamp(simulator.clock.service() + life), stamp(real_now() + life)
    return simulator.store.put("upload_sessions", row["id"], row)


def missing_ranges(row: Row) -> list[tuple[int, int | None]]:
    """What is not there yet, as first and last byte; the last of the last is open."""
    found: list[tuple[int, int | None]] = []
    at = 0
    for first, last in row["ranges"]:
        if first > at:
            found.append((at, first - 1))
        at = last + 1
    if row["total"] is None or at < row["total"]:
        found.append((at, None))
    return found


def status_of(row: Row) -> Row:
    ranges = [f"{first}-{'' if last is None else last}" for first, last in missing_ranges(row)]
    return {"expirationDateTime": row["shown_expiry"], "nextExpectedRanges": ranges}


def session(simulator: Simulator, key: str) -> Row:
    """Raises 404 for one that never was, was ended, or has expired on the service clock; 403 for an old address."""
    row = simulator.store.get("upload_sessions", key)
    if row is None or moment_of(row["expires"]) <= simulator.clock.service():
        raise GraphError(404, "itemNotFound", "The upload session was not found.")
    trouble.refuse_aged_address(simulator, row)
    return row


def take(row: Row, first: int, last: int) -> None:
    """Join a range to those received."""
    found: list[list[int]] = []
    for one in sorted([*row["ranges"], [first, last]]):
        if found and one[0] <= found[-1][1] + 1:
            found[-1][1] = max(found[-1][1], one[1])
        else:
            found.append(list(one))
    row["ranges"] = found


def end(simulator: Simulator, row: Row) -> None:
    content.forget(simulator, {"file": row["file"]})
    simulator.store.delete("upload_sessions", row["id"])


def stored(simulator: Simulator, row: Row) -> Row:
    digest = quickxor.digest(row["bits"], row["total"])
    return {"content": content.kept(simulator, row["file"]), "size": row["total"], "hash": digest}


def complete(row: Row) -> bool:
    return row["total"] is not None and not missing_ranges(row)


def commit(simulator: Simulator, row: Row) -> tuple[tree.Tree, Row, bool]:
    """The item of all fragments and whether it is new. Raises 409 and 412, and the bytes stay for another try."""
    place_ = tree.Tree(simulator, simulator.store.get("drives", row["drive"]) or {})
    if rule(simulator, "fragment_rule") == "at_commit" and row["odd"]:
        raise GraphError(
            400, "invalidRequest", "The file could not be committed: a fragment was no multiple of 320 KiB."
        )
    start = place_.get(row["start"])
    if start is None:
        raise drives.missing()
    existing = place_.walk(start, tuple(row["path"]))
    _check(place_, existing, row)
    with simulator.store.together():
        name = row["path"][-1] if row["path"] else (existing or start)["name"]
        file = trouble.rewritten(simulator, place_.drive, name, stored(simulator, row))
        if existing is not None and row["behaviour"] == "replace":
            item = place_.replaced(existing, file)
        else:
            *above, name = row["path"]
            folder = place_.walk(start, tuple(above), make=True, by=row["by"]) or start
            item = place_.add(folder, name, file, by=row["by"], behaviour=row["behaviour"])
        item = place_.dated(item, row.get("times"))
        simulator.store.delete("upload_sessions", row["id"])
    return place_, item, existing is None or row["behaviour"] != "replace"


def _check(place_: tree.Tree, existing: Row | None, row: Row) -> None:
    if existing is not None and row["if_match"] not in (None, "*", place_.etag(existing)):
        raise GraphError(412, "preconditionFailed", "ETag does not match current item's value")
    if existing is not None and (row["behaviour"] == "fail" or existing["content"] is None):
        raise tree.taken()
    trouble.refuse_locked(place_.simulator, existing)
    if row["total"] > room(place_, existing, row):
        raise over_quota()


def room(place_: tree.Tree, existing: Row | None, row: Row) -> int:
    """In bytes; what is replaced makes room where no versions are kept."""
    gives = existing is not None and row["behaviour"] == "replace" and not place_.keeps_versions
    return place_.room() + (existing["size"] if existing is not None and gives else 0)


def target(place_: tree.Tree, row: Row) -> Row | None:
    """The item that has the name of the session already."""
    start = place_.get(row["start"])
    return None if start is None else place_.walk(start, tuple(row["path"]))


@place("PUT", write=True)
async def commit_by_source(visit: Visit) -> Response:
    """Fragments that could not be committed under their name are committed under another."""
    simulator, body = visit.caller.simulator, await json_of(visit.request)
    found = re.search(r"/up/([^/?]+)", str(body.get(SOURCE) or "")) if isinstance(body, dict) else None
    if found is None:
        raise GraphError(400, "invalidRequest", f"PUT of an item needs {SOURCE}.")
    row = session(simulator, found[1])
    if row["drive"] != visit.tree.drive["id"]:
        raise GraphError(400, "invalidRequest", f"{SOURCE} is not of this drive.")
    if not complete(row):
        raise GraphError(400, "invalidRequest", "The upload session has not received all bytes.")
    behaviour = tree.behaviour_of(body.get(BEHAVIOUR), "fail")
    named = visit.tree.walk(visit.start(), visit.address.path)
    inside = visit.address.path if body.get("name") and named and named["content"] is None else visit.address.path[:-1]
    path = [*inside, names.check_name(body.get("name") or "".join(visit.address.path[-1:]))]
    row |= {"start": visit.start()["id"], "path": path, "behaviour": behaviour, "if_match": None}
    _, item, new = commit(simulator, simulator.store.put("upload_sessions", row["id"], row))
    return visit.answered(item, 201 if new else 200)
