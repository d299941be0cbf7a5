"""Contacts and contact folders: create, read, change, delete, list, and their delta queries."""

import re
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows
from m365_simulator.schema import properties
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, checked, json_of, listed

from . import contact_items, folders, items, rounds
from .items import CONTACTS, CONTACTS_WRITE, mailbox_route, opened
from .rules import rule

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
FAMILY = "contactFolders"
KIND, FOLDER = "graph.contact", "graph.contactFolder"
DATE = re.compile(r"\d{4}-\d\d-\d\d")
SORTABLE = tuple(name for name, kind in properties(KIND).items() if kind in ("Edm.String", "Edm.DateTimeOffset"))
NAMES = ("displayName", "givenName", "surname", "middleName", "nickName", "fileAs", "companyName")
LIST = Allows(filters=("emailAddresses/any/address", *NAMES), orders=SORTABLE, top=1000, skip=True, count=True)
FOLDERS = Allows(top=1000, skip=True, count=True, filters=("displayName",))
ONE = Allows()
FOLDER_DELTA = Allows()
DELTA = Allows()
MOST_IN_A_PAGE = 200
"""No page of a delta query of contacts is larger. Microsoft's reference names no number; 200 was observed, and
confirmed by its support (learn.microsoft.com, answers 2052165)."""
IN_FOLDER = ("/contactFolders/{folder}", "/contactFolders/{parent}/childFolders/{folder}")


def _in_folders(path: str) -> list[str]:
    return [f"{base}{path}" for base in IN_FOLDER]


async def _body(request: Request) -> Row:
    """A birthday may come as a date alone, as in Microsoft's own samples."""
    given = await json_of(request)
    if isinstance(given, dict) and DATE.fullmatch(str(given.get("birthday"))):
        given = {**given, "birthday": f"{given['birthday']}T00:00:00Z"}
    return checked(given, KIND)


def _folder(request: Request, caller: Caller, user: Row) -> Row:
    """The one in the path, or the default folder."""
    if "folder" in request.path_params:
        return folders.asked(request, caller.simulator, FAMILY, user["id"])
    return folders.well_known(caller.simulator, FAMILY, user["id"], "contacts")


def _contact(request: Request, caller: Caller, user: Row) -> Row:
    row = items.find(caller.simulator, contact_items.KIND, user["id"], items.part(request))
    if row is None or ("folder" in request.path_params and row["folder"] != _folder(request, caller, user)["id"]):
        raise items.not_found()
    return row


def _answered(caller: Caller, user: Row, row: Row, status: int = 200) -> Response:
    shown = caller.query(KIND, ONE).shape(contact_items.shown(caller.request, row))
    return answer(caller.simulator, f"users('{user['id']}')/contacts/$entity", shown, status, kind=KIND)


@mailbox_route(router, "GET", "/contacts", *_in_folders("/contacts"))
async def list_contacts(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    rows = contact_items.of_folder(caller.simulator, _folder(request, caller, user))
    shown, query = [contact_items.shown(request, row) for row in rows], caller.query(KIND, LIST)
    if "$top" in query.params and rule(caller.simulator, "top_caps"):
        query = replace(query, top=int(query.params["$top"]))
    return listed(caller, f"users('{user['id']}')/contacts", shown, kind=KIND, query=query)


@mailbox_route(router, "POST", "/contacts", *_in_folders("/contacts"))
async def create(request: Request) -> Response:
    caller, user = opened(request, CONTACTS_WRITE)
    folder, body = _folder(request, caller, user), await _body(request)
    with caller.store.together():
        row = contact_items.create(caller.simulator, folder, body)
    return _answered(caller, user, row, 201)


@mailbox_route(router, "GET", *_in_folders("/contacts/delta"))
async def contacts_delta(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    folder = _folder(request, caller, user)

    def shown(key: str) -> Row | None:
        row = items.find(caller.simulator, contact_items.KIND, user["id"], key)
        return contact_items.shown(request, row) if row and row["folder"] == folder["id"] else None

    name = f"{contact_items.KIND}/{user['id']}/{folder['id']}"
    immutable = items.wants_immutable(request)
    changes = rounds.Changes(name, KIND, "Collection(contact)", DELTA, shown, immutable, most=MOST_IN_A_PAGE)
    return rounds.delta(caller, changes)


@mailbox_route(router, "GET", "/contacts/{id}", *_in_folders("/contacts/{id}"))
async def read(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    return _answered(caller, user, _contact(request, caller, user))


@mailbox_route(router, "PATCH", "/contacts/{id}", *_in_folders("/contacts/{id}"))
async def change(request: Request) -> Response:
    """A ``parentFolderId`` of another folder moves the contact; that Microsoft does so is unproven."""
    caller, user = opened(request, CONTACTS_WRITE)
    row, body = _contact(request, caller, user), await _body(request)
    items.current(request, row)
    goal = body.get("parentFolderId") or row["folder"]
    folder = folders.folder(caller.simulator, FAMILY, user["id"], goal)
    with caller.store.together():
        row = contact_items.change(caller.simulator, row, body)
        if folder["id"] != row["folder"]:
            row = contact_items.move(caller.simulator, row, folder, rule(caller.simulator, "moved_reason"))
    return _answered(caller, user, row)


@mailbox_route(router, "DELETE", "/contacts/{id}", *_in_folders("/contacts/{id}"))
async def delete(request: Request) -> Response:
    caller, user = opened(request, CONTACTS_WRITE)
    row = _contact(request, caller, user)
    items.current(request, row)
    with caller.store.together():
        contact_items.delete(caller.simulator, row)
    return Response(status_code=204)


def folder_shown(row: Row) -> Row:
    return {"id": row["id"], "displayName": row["name"], "parentFolderId": row["parent"]}


@mailbox_route(router, "GET", "/contactFolders", *_in_folders("/childFolders"))
async def list_folders(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    parent = _parent(request, caller, user)
    rows = folders.children(caller.simulator, parent)
    if not rule(caller.simulator, "default_folder_listed"):
        rows = [row for row in rows if not row["well_known"]]
    shown, query = [folder_shown(row) for row in rows], caller.query(FOLDER, FOLDERS)
    return listed(caller, f"users('{user['id']}')/contactFolders", shown, kind=FOLDER, query=query)


def _parent(request: Request, caller: Caller, user: Row) -> Row:
    if "folder" in request.path_params:
        return _folder(request, caller, user)
    return folders.well_known(caller.simulator, FAMILY, user["id"], folders.ROOTS[FAMILY])


@mailbox_route(router, "POST", "/contactFolders", *_in_folders("/childFolders"))
async def create_folder(request: Request) -> Response:
    caller, user = opened(request, CONTACTS_WRITE)
    parent, body = _parent(request, caller, user), await body_of(request, FOLDER)
    return _folder_answered(caller, user, folders.add(caller.simulator, parent, body.get("displayName")), 201)


def _folder_answered(caller: Caller, user: Row, row: Row, status: int = 200) -> Response:
    shown = caller.query(FOLDER, ONE).shape(folder_shown(row))
    return answer(caller.simulator, f"users('{user['id']}')/contactFolders/$entity", shown, status, kind=FOLDER)


@mailbox_route(router, "GET", "/contactFolders/delta")
async def folders_delta(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    rows = {row["id"]: row for row in folders.tree(caller.simulator, FAMILY, user["id"])}

    def shown(key: str) -> Row | None:
        return folder_shown(rows[key]) if key in rows else None

    name = folders.log(FAMILY, user["id"])
    return rounds.delta(
        caller, rounds.Changes(name, FOLDER, "Collection(contactFolder)", FOLDER_DELTA, shown, immutable=True)
    )


@mailbox_route(router, "GET", *IN_FOLDER)
async def read_folder(request: Request) -> Response:
    caller, user = opened(request, CONTACTS)
    return _folder_answered(caller, user, _folder(request, caller, user))


@mailbox_route(router, "PATCH", *IN_FOLDER)
async def rename_folder(request: Request) -> Response:
    caller, user = opened(request, CONTACTS_WRITE)
    row, body = _own_folder(request, caller, user), await body_of(request, FOLDER)
    row["name"] = body.get("displayName") or row["name"]
    return _folder_answered(caller, user, folders.kept(caller.simulator, row))


def _own_folder(request: Request, caller: Caller, user: Row) -> Row:
    row = _folder(request, caller, user)
    if row["well_known"]:
        raise GraphError(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be changed.")
    return row


@mailbox_route(router, "DELETE", *IN_FOLDER)
async def delete_folder(request: Request) -> Response:
    """With all that is in it and below it."""
    caller, user = opened(request, CONTACTS_WRITE)
    row = _own_folder(request, caller, user)
    with caller.store.together():
        for one in folders.below(caller.simulator, row):
            for contact in contact_items.of_folder(caller.simulator, one):
                contact_items.delete(caller.simulator, contact)
            folders.removed(caller.simulator, one)
    return Response(status_code=204)
