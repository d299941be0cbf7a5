"""Copies of files and folders: accepted with 202, made later on the world's clock, watched on another host."""

import datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.elsewhere import other_url, refuse_token
from m365_simulator.store import Row
from m365_simulator.timeline import action
from m365_simulator.wire import GraphError, GraphRoute, checked, json_of

from . import content, drives, names, tree
from .drive_items import BEHAVIOUR, over_quota
from .rules import rule
from .visits import Visit, destination, place

router = APIRouter(route_class=GraphRoute)
MONITOR = "/_api/v2.0/monitor/{key}"
TAKES = {"parentReference", "name", "childrenOnly", "includeAllVersionHistory"}


@place("POST", "copy")
async def copy(visit: Visit) -> Response:
    """Into ``parentReference`` (another drive too) or beside the item; a name that is taken shows at the monitor."""
    row, body = visit.item(), await json_of(visit.request)
    if not isinstance(body, dict) or set(body) - TAKES:
        raise GraphError(400, "invalidRequest", f"copy takes an object of {sorted(TAKES)}.")
    reference = checked(body.get("parentReference") or {}, "graph.itemReference")
    simulator, (goal, folder) = visit.caller.simulator, destination(visit, reference, row)
    behaviour = tree.behaviour_of(visit.request.query_params.get(BEHAVIOUR), "fail")
    if row["parent"] is None and not body.get("childrenOnly"):
        raise drives.denied()
    job: Row = {"id": simulator.ids.guid("copy"), "status": "inProgress", "from": visit.tree.drive["id"]}
    job |= {"item": row["id"], "to": goal.drive["id"], "folder": folder["id"], "by": visit.by(), "behaviour": behaviour}
    job |= {"name": names.check_name(body.get("name") or row["name"]), "children": bool(body.get("childrenOnly"))}
    simulator.store.put("copies", job["id"], job)
    due = simulator.now() + datetime.timedelta(seconds=rule(simulator, "copy_s"))
    simulator.timeline.at(due, item_copied, {"job": job["id"]}, key=f"copies/{job['id']}")
    simulator.tick()
    where = f"{other_url(simulator)}{MONITOR.format(key=job['id'])}"
    return Response(status_code=202, headers={"Location": where})


@action
def item_copied(simulator: Simulator, payload: Row) -> None:
    job = simulator.store.get("copies", payload["job"]) or {}
    try:
        job |= {"status": "completed", "made": _made(simulator, job)["id"]}
    except GraphError as error:
        job |= {"status": "failed", "error": {"code": error.code, "message": error.message}}
    simulator.store.put("copies", payload["job"], job)


def _made(simulator: Simulator, job: Row) -> Row:
    source = tree.Tree(simulator, simulator.store.get("drives", job["from"]) or {})
    goal = tree.Tree(simulator, simulator.store.get("drives", job["to"]) or {})
    row, folder = source.get(job["item"]), goal.get(job["folder"])
    if row is None or folder is None:
        raise drives.missing()
    if any(one["id"] == folder["id"] for one in (row, *source.below(row))) and not job["children"]:
        raise GraphError(400, "invalidRequest", "A folder cannot be copied into itself.")
    if row["size"] > goal.room():
        raise over_quota()
    if not job["children"]:
        return _copied(source, row, goal, folder, job)
    for child in source.children(row):
        _copied(source, child, goal, folder, {**job, "name": child["name"]})
    return folder


def _copied(source: tree.Tree, row: Row, goal: tree.Tree, folder: Row, job: Row) -> Row:
    """A new item, which keeps nothing of the old one but its bytes."""
    if row["content"] is not None:
        stored = {"content": content.again(source.simulator, row["content"]), "size": row["size"], "hash": row["hash"]}
        return goal.add(folder, job["name"], stored, by=job["by"], behaviour=job["behaviour"])
    made = goal.add(folder, job["name"], None, by=job["by"], behaviour=job["behaviour"])
    for child in source.children(row):
        _copied(source, child, goal, made, {**job, "name": child["name"]})
    return goal.get(made["id"]) or made


@router.get(MONITOR)
async def monitor(request: Request, key: str) -> Response:
    """How far it is; the address is the only key."""
    job = refuse_token(request).store.get("copies", key)
    if job is None:
        raise drives.missing()
    done = job["status"] == "completed"
    shown: Row = {"operation": "ItemCopy", "percentageComplete": 100.0 if done else 0.0, "status": job["status"]}
    if done:
        shown["resourceId"] = job["made"]
    if "error" in job:
        shown["error"] = job["error"]
    return JSONResponse(shown, 202 if job["status"] == "inProgress" else 200)
