"""Mail folders: the usual ones by their well-known names, and those people make."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from . import folders, items, mail_items, rounds
from .items import MAIL, MAIL_WRITE, mailbox_route, opened

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
FAMILY, KIND = "mailFolders", "graph.mailFolder"
LIST = Allows(top=1000, skip=True, count=True, filters=("displayName",), other=("includeHiddenFolders",))
ONE = Allows()


def _counts(caller: Caller, user: Row) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for row in caller.store.all(f"{mail_items.KIND}/{user['id']}"):
        total, unread = found.get(row["folder"], (0, 0))
        found[row["folder"]] = (total + 1, unread + (not row["body"]["isRead"]))
    return found


def _shown(caller: Caller, row: Row, counts: dict[str, tuple[int, int]]) -> Row:
    total, unread = counts.get(row["id"], (0, 0))
    return {
        "id": row["id"],
        "displayName": row["name"],
        "parentFolderId": row["parent"],
        "childFolderCount": len(folders.children(caller.simulator, row)),
        "unreadItemCount": unread,
        "totalItemCount": total,
        "isHidden": False,
    }


def _parent(request: Request, caller: Caller, user: Row) -> Row:
    if "folder" in request.path_params:
        return folders.asked(request, caller.simulator, FAMILY, user["id"])
    return folders.well_known(caller.simulator, FAMILY, user["id"], folders.ROOTS[FAMILY])


def _answered(caller: Caller, user: Row, row: Row, status: int = 200) -> Response:
    shown = caller.query(KIND, ONE).shape(_shown(caller, row, _counts(caller, user)))
    return answer(caller.simulator, f"users('{user['id']}')/mailFolders/$entity", shown, status, kind=KIND)


@mailbox_route(router, "GET", "/mailFolders", "/mailFolders/{folder}/childFolders")
async def list_folders(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    counts = _counts(caller, user)
    rows = folders.children(caller.simulator, _parent(request, caller, user))
    shown, query = [_shown(caller, row, counts) for row in rows], caller.query(KIND, LIST)
    return listed(caller, f"users('{user['id']}')/mailFolders", shown, kind=KIND, query=query)


@mailbox_route(router, "GET", "/mailFolders/delta")
async def folders_delta(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    rows = {row["id"]: row for row in folders.tree(caller.simulator, FAMILY, user["id"])}
    counts = _counts(caller, user)

    def shown(key: str) -> Row | None:
        return _shown(caller, rows[key], counts) if key in rows else None

    name = folders.log(FAMILY, user["id"])
    changes = rounds.Changes(name, KIND, "Collection(mailFolder)", ONE, shown, immutable=True)
    return rounds.delta(caller, changes)


@mailbox_route(router, "POST", "/mailFolders", "/mailFolders/{folder}/childFolders")
async def create(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    parent, body = _parent(request, caller, user), await body_of(request, KIND)
    return _answered(caller, user, folders.add(caller.simulator, parent, body.get("displayName")), 201)


@mailbox_route(router, "GET", "/mailFolders/{folder}")
async def read(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    return _answered(caller, user, _parent(request, caller, user))


def _own(request: Request, caller: Caller, user: Row) -> Row:
    row = _parent(request, caller, user)
    if row["well_known"]:
        raise GraphError(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be changed.")
    return row


@mailbox_route(router, "PATCH", "/mailFolders/{folder}")
async def rename(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, body = _own(request, caller, user), await body_of(request, KIND)
    row["name"] = body.get("displayName") or row["name"]
    return _answered(caller, user, folders.kept(caller.simulator, row))


@mailbox_route(router, "DELETE", "/mailFolders/{folder}")
async def delete(request: Request) -> Response:
    """With all that is in it and below it."""
    caller, user = opened(request, MAIL_WRITE)
    row = _own(request, caller, user)
    with caller.store.together():
        for one in folders.below(caller.simulator, row):
            for message in mail_items.of_folder(caller.simulator, user["id"], one["id"]):
                mail_items.tell(caller.simulator, message, "deleted", left=True)
                items.gone(caller.simulator, message)
            folders.removed(caller.simulator, one)
    return Response(status_code=204)
