"""One request at a place of a drive: who calls, which item is meant, what its answer is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from fastapi import Request
from fastapi.responses import Response

from m365_simulator.directory import find_user
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, answer

from . import drives, site_rows
from .address import Address, parse
from .tree import Tree

KIND = "graph.driveItem"
ONE = Allows(expands=("children", "permissions"))


@dataclass(frozen=True, slots=True)
class Visit:
    """``request`` at ``address`` of the drive of ``tree``."""

    request: Request
    caller: Caller
    tree: Tree
    address: Address

    def item(self) -> Row:
        """The item named; raises 404."""
        found = self.start()
        found = self.tree.walk(found, self.address.path) or {} if self.address.path else found
        if not found:
            raise drives.missing()
        return found

    def start(self) -> Row:
        found = self.tree.get(self.address.start)
        if found is None:
            raise drives.missing()
        return found

    def by(self) -> Row:
        """Who acts, as createdBy shows it."""
        if self.caller.app_only:
            return {"application": {"id": self.caller.app, "displayName": "Prospo"}}
        user = find_user(self.caller.store, self.caller.claims["oid"]) or {}
        return {"user": {"id": user.get("id"), "displayName": user.get("name")}}

    def matches(self, row: Row) -> None:
        """412 unless If-Match is the item's eTag, and for If-None-Match * where it exists."""
        wanted = self.request.headers.get("if-match")
        if wanted and wanted not in ("*", self.tree.etag(row), self.tree.shown(row)["cTag"]):
            raise GraphError(412, "preconditionFailed", "ETag does not match current item's value")

    def answered(self, row: Row, status: int = 200) -> Response:
        shown = self.caller.query(KIND, ONE).shape(self.tree.shown(row))
        context = f"drives('{self.tree.drive['id']}')/items/$entity"
        return answer(self.caller.simulator, context, shown, status, kind=KIND)


def destination(visit: Visit, reference: Row, row: Row) -> tuple[Tree, Row]:
    """The folder that an itemReference names by id or path, else the one that ``row`` stands in; raises 404 and 403."""
    goal = visit.tree
    if reference.get("driveId") not in (None, goal.drive["id"]):
        drive = visit.caller.store.get("drives", reference["driveId"])
        if drive is None or drive["tenant"] != visit.caller.tenant:
            raise drives.missing()
        goal = Tree(visit.caller.simulator, drive)
    drives.admit(visit.caller, goal.drive, write=True)
    if reference.get("id"):
        folder = goal.get(reference["id"])
    elif reference.get("path"):
        parts = unquote(reference["path"].partition("root:")[2]).split("/")
        folder = goal.walk(goal.root(), tuple(part for part in parts if part))
    else:
        folder = goal.root() if goal is not visit.tree or not row["parent"] else goal.get(row["parent"])
    if folder is None or folder["content"] is not None:
        raise drives.missing()
    return goal, folder


Action = Callable[[Visit], Awaitable[Response]]
ACTIONS: dict[tuple[str, str], tuple[Action, bool]] = {}


def place(method: str, name: str = "", *, write: bool = False) -> Callable[[Action], Action]:
    """Register what ``method`` does at an item, or at the segment ``name`` after it."""

    def register(function: Action) -> Action:
        ACTIONS[method, name.lower()] = (function, write)
        return function

    return register


def site_of(caller: Caller, key: str) -> Row | None:
    """By id, ``root``, or the host alone."""
    first = site_rows.root(caller.simulator, caller.tenant)
    return first if key in ("root", first["host"]) else caller.store.get("sites", key)


def drive_of(request: Request, *, write: bool) -> tuple[Caller, Row]:
    """The drive of the path, with the caller's right to it checked."""
    caller, given = Caller(request), request.path_params
    if "drive" in given:
        row = caller.store.get("drives", given["drive"])
        if row is None or row["tenant"] != caller.tenant:
            caller.need(delegated=drives.OWN_READ, role=f"{drives.READ} {drives.SELECTED}", place="files")
            raise drives.missing()
    elif "site" in given:
        site = site_of(caller, given["site"])
        drives.enter(caller, site, write=write)
        row = drives.of_site(caller.simulator, site or {})[0]
    else:
        allowed = drives.OWN_WRITE if write else drives.OWN_READ
        caller.need(delegated=allowed, role=drives.WRITE if write else drives.READ, place="files")
        row = drives.personal(caller.simulator, caller.user(given.get("user"), place="files"))
    drives.admit(caller, row, write=write)
    return caller, row


async def visited(request: Request) -> Response:
    """Every request under a drive comes here."""
    address = parse(str(request.path_params.get("rest", "")))
    known = ACTIONS.get((request.method, address.action))
    if known is None:
        Caller(request)
        if not any(name == address.action for _, name in ACTIONS):
            raise GraphError(400, "BadRequest", f"Resource not found for the segment '{address.action}'.")
        raise GraphError(405, "methodNotAllowed", f"{request.method} is not allowed at '{address.action or 'item'}'.")
    function, write = known
    caller, drive = drive_of(request, write=write)
    return await function(Visit(request, caller, Tree(caller.simulator, drive), address))
