"""Sites: found by search, id and path, their libraries, and the permissions that Sites.Selected needs."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, json_of, listed

from . import drives
from .site_rows import grant, root, shown
from .tree import Tree
from .visits import drive_of, site_of

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
KIND, PERMISSION = "graph.site", "graph.permission"
LIST = Allows(top=999, page=100)
SEARCH = Allows(top=999, search=True, page=100)
ONE = Allows(expands=("drives", "drive"))
ROLES = {"read", "write", "owner", "fullcontrol"}
SEARCHES = "Sites.Read.All Sites.ReadWrite.All Sites.Manage.All Sites.FullControl.All"
GRANTS = "Sites.FullControl.All"


@router.get("/sites")
async def search(request: Request) -> Response:
    """Sites.Selected cannot search."""
    caller = Caller(request).need(delegated=SEARCHES, role=SEARCHES, place="files")
    root(caller.simulator, caller.tenant)
    wanted = request.query_params.get("search", request.query_params.get("$search"))
    if wanted is None:
        raise GraphError(400, "invalidRequest", "Sites are listed by search: /sites?search=….")
    rows = [row for row in caller.store.all("sites") if row["tenant"] == caller.tenant and _sees(caller, row)]
    found = [
        shown(row) for row in rows if wanted in ("", "*") or wanted.lower() in f"{row['name']} {row['path']}".lower()
    ]
    return listed(caller, "sites", found, kind=KIND, query=caller.query(KIND, SEARCH))


def _sees(caller: Caller, row: Row) -> bool:
    return caller.app_only or row["members"] is None or caller.claims["oid"] in row["members"]


def _answered(caller: Caller, row: Row | None) -> Response:
    drives.enter(caller, row, write=False)
    shape = caller.query(KIND, ONE).shape
    return answer(caller.simulator, "sites/$entity", shape(shown(row or {})), kind=KIND)


@router.get("/sites/{host}:/{path:path}")
async def by_path(request: Request, host: str, path: str) -> Response:
    """``/sites/{host}:/sites/x``, also followed by ``:/drives`` or ``:/drive``."""
    caller = Caller(request)
    path, _, after = path.partition(":")
    rows = [row for row in caller.store.all("sites") if row["tenant"] == caller.tenant and row["host"] == host.lower()]
    found = next((row for row in rows if row["path"].strip("/").lower() == path.strip("/").lower()), None)
    if after.strip("/") == "":
        return _answered(caller, found)
    if after.strip("/").lower() == "drives":
        return _drives(caller, found)
    raise GraphError(400, "BadRequest", f"Resource not found for the segment '{after.strip('/')}'.")


@router.get("/sites/{site}")
async def read(request: Request, site: str) -> Response:
    """By id, ``root``, or the host alone."""
    caller = Caller(request)
    return _answered(caller, site_of(caller, site))


def _drives(caller: Caller, site: Row | None) -> Response:
    drives.enter(caller, site, write=False)
    rows = drives.of_site(caller.simulator, site or {})
    found = [drives.shown(caller.simulator, row, Tree(caller.simulator, row).root()["size"]) for row in rows]
    return listed(caller, "drives", found, kind="graph.drive", query=caller.query("graph.drive", LIST))


@router.get("/sites/{site}/drives")
async def list_drives(request: Request, site: str) -> Response:
    caller = Caller(request)
    return _drives(caller, site_of(caller, site))


@router.get("/me/drives")
async def my_drives(request: Request) -> Response:
    caller, drive = drive_of(request, write=False)
    used = Tree(caller.simulator, drive).root()["size"]
    query = caller.query("graph.drive", LIST)
    return listed(caller, "drives", [drives.shown(caller.simulator, drive, used)], kind="graph.drive", query=query)


def _granting(request: Request, site: str) -> tuple[Caller, Row]:
    caller = Caller(request).need(delegated=GRANTS, role=GRANTS, place="files")
    row = caller.store.get("sites", site)
    if row is None or row["tenant"] != caller.tenant:
        raise drives.missing()
    return caller, row


def _permission(row: Row) -> Row:
    identity = {"application": {"id": row["app"], "displayName": row["name"]}}
    return {
        "id": row["id"],
        "roles": row["roles"],
        "grantedToIdentities": [identity],
        "grantedToIdentitiesV2": [identity],
    }


def _roles(body: Row) -> list[str]:
    roles = body.get("roles")
    if not isinstance(roles, list) or not roles or {str(role) for role in roles} - ROLES:
        raise GraphError(400, "invalidRequest", f"roles are of {sorted(ROLES)}.")
    return list(roles)


@router.post("/sites/{site}/permissions")
async def create_permission(request: Request, site: str) -> Response:
    caller, row = _granting(request, site)
    body = await body_of(request, PERMISSION)
    one = [body[name] for name in ("grantedToV2", "grantedTo") if body.get(name)][:1]
    identities = one or body.get("grantedToIdentitiesV2") or body.get("grantedToIdentities") or []
    application: Row = ((identities[0] or {}).get("application") or {}) if len(identities) == 1 else {}
    if not application.get("id"):
        raise GraphError(400, "invalidRequest", "grantedToIdentities names one application by its id.")
    made = grant(caller.simulator, row, application["id"], application.get("displayName") or "", _roles(body))
    return answer(caller.simulator, "permission", _permission(made), 201, kind=PERMISSION)


@router.get("/sites/{site}/permissions")
async def list_permissions(request: Request, site: str) -> Response:
    caller, row = _granting(request, site)
    found = [_permission(one) for one in row["permissions"]]
    return listed(caller, "permissions", found, kind=PERMISSION, query=caller.query(PERMISSION, LIST))


def _one(row: Row, key: str) -> Row:
    found: Row | None = next((one for one in row["permissions"] if one["id"] == key), None)
    if found is None:
        raise drives.missing()
    return found


@router.get("/sites/{site}/permissions/{key}")
async def read_permission(request: Request, site: str, key: str) -> Response:
    caller, row = _granting(request, site)
    return answer(caller.simulator, "permission", _permission(_one(row, key)), kind=PERMISSION)


@router.patch("/sites/{site}/permissions/{key}")
async def change_permission(request: Request, site: str, key: str) -> Response:
    caller, row = _granting(request, site)
    found, body = _one(row, key), await json_of(request)
    found["roles"] = _roles(body if isinstance(body, dict) else {})
    caller.store.put("sites", row["id"], row)
    return answer(caller.simulator, "permission", _permission(found), kind=PERMISSION)


@router.delete("/sites/{site}/permissions/{key}")
async def delete_permission(request: Request, site: str, key: str) -> Response:
    caller, row = _granting(request, site)
    row["permissions"].remove(_one(row, key))
    caller.store.put("sites", row["id"], row)
    return Response(status_code=204)
