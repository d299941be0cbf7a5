"""Messages: drafts, lists, changes, moves and delta queries of a folder."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows, Query, reach
from m365_simulator.schema import full_name
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, json_of, listed

from . import attachment_files, folders, items, mail_items, mime, rounds
from .items import MAIL, MAIL_WRITE, mailbox_route, opened

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
KIND, FAMILY = "graph.message", "mailFolders"
FILTERS = (
    "receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime", "isRead", "isDraft",
    "hasAttachments", "subject", "importance", "internetMessageId", "conversationId", "parentFolderId",
    "from/emailAddress/address", "sender/emailAddress/address", "flag/flagStatus",
    "singleValueExtendedProperties/any/id", "singleValueExtendedProperties/any/value",
)  # fmt: skip
ORDERS = ("receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime", "subject", "importance")
EXPANDS = ("attachments", "singleValueExtendedProperties")
LIST = Allows(filters=FILTERS, orders=ORDERS, top=1000, skip=True, count=True, search=True, expands=EXPANDS)
DELTA_FILTER = re.compile(r"^\s*receivedDateTime\s+(ge|gt)\s+\S+\s*$")
DELTA = Allows(filters=("receivedDateTime",), orders=("receivedDateTime",), top=1000)
ONE = Allows(expands=EXPANDS)
IN_FOLDER = "/mailFolders/{folder}/messages"
EACH = ("/messages/{id}", f"{IN_FOLDER}/{{id}}")
SEARCHED = {
    "subject": ("subject",),
    "body": ("body/content",),
    "from": ("from/emailAddress/address", "from/emailAddress/name"),
    "": ("subject", "body/content", "from/emailAddress/address", "from/emailAddress/name"),
}


_TO = ("toRecipients", "ccRecipients", "bccRecipients")
TAKING_PART = {
    "participants": ("from", *_TO),
    "recipients": _TO,
    **{name.removesuffix("Recipients"): (name,) for name in _TO},
}


def message(request: Request, caller: Caller, user: Row) -> Row:
    """The one in the path, in the folder in the path if there is one."""
    row = items.find(caller.simulator, mail_items.KIND, user["id"], items.part(request))
    place = folder_in_path(request, caller, user)
    if row is None or (place is not None and row["folder"] != place["id"]):
        raise items.not_found()
    return row


def folder_in_path(request: Request, caller: Caller, user: Row) -> Row | None:
    known = "folder" in request.path_params
    return folders.asked(request, caller.simulator, FAMILY, user["id"]) if known else None


def shaped(caller: Caller, row: Row, query: Query) -> Row:
    """With what was selected and expanded."""
    body = mail_items.shown(caller.request, row)
    body = query.shape(mail_items.visible(body, (*(query.select or ()), *query.expand)))
    if "singleValueExtendedProperties" in query.expand:
        body["singleValueExtendedProperties"] = row["body"].get("singleValueExtendedProperties", [])
    if "attachments" in query.expand:
        files = row["attachments"]
        body["attachments"] = [attachment_files.shown(caller.simulator, one, whole=True) for one in files]
    return body


def answered(caller: Caller, user: Row, row: Row, status: int = 200) -> Response:
    shown = shaped(caller, row, caller.query(KIND, ONE))
    return answer(caller.simulator, f"users('{user['id']}')/messages/$entity", shown, status, kind=KIND)


@mailbox_route(router, "GET", "/messages", IN_FOLDER)
async def list_messages(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    place = folder_in_path(request, caller, user)
    query = caller.query(KIND, LIST)
    _efficient(query)
    rows = mail_items.of_folder(caller.simulator, user["id"], place["id"] if place else None)
    by_id = {items.shown_id(request, row): row for row in rows if _sought(row, query.search)}
    whole = [mail_items.shown(request, row) for row in by_id.values()]

    def shape(body: Row) -> Row:
        return shaped(caller, by_id[body["id"]], query)

    return listed(caller, f"users('{user['id']}')/messages", whole, kind=KIND, query=query, shape=shape)


def _efficient(query: Query) -> None:
    """Exchange's rules on combining options."""
    if query.search is not None and (query.orders or "$filter" in query.params):
        text = "The query parameter '$search' cannot be combined with '$filter' or '$orderby'."
        raise GraphError(400, "SearchWithFilter" if "$filter" in query.params else "SearchWithOrderBy", text)
    given = query.params.get("$filter")
    if given and query.orders and query.orders[0][0].lower() not in given.lower():
        text = "The restriction or sort order is too complex for this operation."
        raise GraphError(400, "InefficientFilter", text)


def _sought(row: Row, search: str | None) -> bool:
    if search is None:
        return True
    if len(search) < 2 or search[0] != '"' or search[-1] != '"':
        raise GraphError(400, "BadRequest", f"Syntax error: {search} must stand in double quotation marks.")
    name, colon, word = search[1:-1].partition(":")
    places = SEARCHED.get(name.lower() if colon else "", SEARCHED[""])
    wanted = (word if colon and name.lower() in SEARCHED else search[1:-1]).lower()
    if colon and name.lower() in TAKING_PART:
        people = [one for place in TAKING_PART[name.lower()] for one in _listed(row["body"].get(place))]
        said = [str(reach(one, f"emailAddress/{part}") or "").lower() for one in people for part in ("address", "name")]
        return any(word.lower() in one for one in said)
    return any(wanted in str(reach(row["body"], place) or "").lower() for place in places)


def _listed(given: object) -> list[Row]:
    return given if isinstance(given, list) else [given] if isinstance(given, dict) else []


@mailbox_route(router, "POST", "/messages", IN_FOLDER)
async def create(request: Request) -> Response:
    """A draft, of JSON or of MIME."""
    caller, user = opened(request, MAIL_WRITE)
    place = folder_in_path(request, caller, user)
    body, files = await message_body(request, caller)
    with caller.store.together():
        row = mail_items.draft(caller.simulator, user, body)
        if files:
            row["attachments"] = files
        if place is not None and place["id"] != row["folder"]:
            row = mail_items.move(caller.simulator, row, place)
    return answered(caller, user, row, 201)


async def message_body(request: Request, caller: Caller) -> tuple[Row, list[Row]]:
    if not request.headers.get("content-type", "").startswith("text/plain"):
        return await body_of(request, KIND), []
    body, parts = mime.message_of(await request.body())
    return body, [attachment_files.stored(caller.simulator, given, content) for given, content in parts]


@mailbox_route(router, "GET", f"{IN_FOLDER}/delta")
async def delta(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    place = folders.asked(request, caller.simulator, FAMILY, user["id"])
    given = request.query_params.get("$filter")
    if given is not None and not DELTA_FILTER.match(given):
        raise GraphError(400, "BadRequest", "Delta of messages takes $filter=receivedDateTime ge or gt a time only.")
    order = request.query_params.get("$orderby", "receivedDateTime desc")
    if order.strip().lower() != "receiveddatetime desc":
        raise GraphError(400, "BadRequest", "Delta of messages takes $orderby=receivedDateTime desc only.")

    def shown(key: str) -> Row | None:
        row = items.find(caller.simulator, mail_items.KIND, user["id"], key)
        inside = row is not None and row["folder"] == place["id"]
        return mail_items.visible(mail_items.shown(request, row), ()) if row and inside else None

    name = f"{mail_items.KIND}/{user['id']}/{place['id']}"
    immutable, context = items.wants_immutable(request), "Collection(message)"
    time = "receivedDateTime"
    changes = rounds.Changes(name, KIND, context, DELTA, shown, immutable, (time,), time, change_types=True)
    return rounds.delta(caller, changes)


@mailbox_route(router, "GET", *EACH)
async def read(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    return answered(caller, user, message(request, caller, user))


@mailbox_route(router, "GET", *(f"{path}/$value" for path in EACH))
async def raw(request: Request) -> Response:
    """The message as MIME, with its attachments."""
    caller, user = opened(request, MAIL)
    return Response(mime.text_of(caller.simulator, message(request, caller, user)), media_type="text/plain")


@mailbox_route(router, "PATCH", *EACH)
async def change(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, body = message(request, caller, user), await body_of(request, KIND)
    items.current(request, row)
    fixed = sorted(set(body) - {*mail_items.AFTER_SENDING})
    if not row["body"]["isDraft"] and [name for name in fixed if not name.startswith("@")]:
        text = f"{fixed} of {full_name(KIND)} can be changed in a draft only."
        raise GraphError(400, "ErrorInvalidPropertyUpdateSentMessage", text)
    mail_items.check_headers(caller.simulator, body)
    with caller.store.together():
        row = mail_items.change(caller.simulator, row, body)
    return answered(caller, user, row)


@mailbox_route(router, "DELETE", *EACH)
async def delete(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row = message(request, caller, user)
    items.current(request, row)
    with caller.store.together():
        mail_items.delete(caller.simulator, row)
    return Response(status_code=204)


async def _destination(request: Request, caller: Caller, user: Row) -> Row:
    body = await json_of(request)
    named = {str(key).lower(): value for key, value in body.items()} if isinstance(body, dict) else {}
    goal = named.get("destinationid")
    if not isinstance(goal, str) or not goal:
        raise GraphError(400, "ErrorInvalidRequest", "destinationId is required.")
    return folders.folder(caller.simulator, FAMILY, user["id"], goal)


@mailbox_route(router, "POST", *(f"{path}/move" for path in EACH))
async def move(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, goal = message(request, caller, user), await _destination(request, caller, user)
    with caller.store.together():
        row = mail_items.move(caller.simulator, row, goal)
    return answered(caller, user, row, 201)


@mailbox_route(router, "POST", *(f"{path}/copy" for path in EACH))
async def copy(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, goal = message(request, caller, user), await _destination(request, caller, user)
    body = {name: value for name, value in row["body"].items() if name not in mail_items.OWN}
    files = [dict(one) for one in row["attachments"]]
    with caller.store.together():
        row = mail_items.stand(caller.simulator, user["id"], goal["id"], body, row["thread"], files)
    return answered(caller, user, row, 201)
