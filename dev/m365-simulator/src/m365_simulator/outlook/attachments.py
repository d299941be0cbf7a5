"""Attachments of messages and events: files and items that come inline, read, listed, taken away."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows, Query
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from . import attachment_files, calendar_items, events, items, mail_items, mime
from .items import MAIL, MAIL_WRITE, mailbox_route, opened
from .mail import EACH, message

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
KIND, FILE = "graph.attachment", "graph.fileAttachment"
HELD_ITEM = ("microsoft.graph.itemattachment", "microsoft.graph.itemAttachment")
LIST = Allows(top=1000, skip=True, count=True, filters=("name", "size"), expands=HELD_ITEM)
ONE = Allows(expands=HELD_ITEM)
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Holder:
    """The message or event in the path; ``keep`` stores another list of what it has.

    ``key`` is the id in addresses, ``lasting`` the one that outlives a move.
    """

    caller: Caller
    user: Row
    family: str
    key: str
    lasting: str
    attachments: list[Row]
    keep: Callable[[list[Row]], None]

    @property
    def context(self) -> str:
        return f"users('{self.user['id']}')/{self.family}/attachments"


def of_message(caller: Caller, user: Row, row: Row) -> Holder:
    def keep(found: list[Row]) -> None:
        row["attachments"] = found
        mail_items.change(caller.simulator, row, {})

    return Holder(caller, user, "messages", row["mutable"], row["id"], list(row["attachments"]), keep)


def of_event(caller: Caller, user: Row, view: Row) -> Holder:
    def keep(found: list[Row]) -> None:
        calendar_items.attach(caller.simulator, view, found)

    return Holder(caller, user, "events", view["id"], view["id"], list(view.get("attachments", [])), keep)


def holder(request: Request, *, write: bool = False) -> Holder:
    if "key" in request.path_params:
        caller, user = events.mailbox(request, write=write)
        return of_event(caller, user, events.event_of(caller, user, request.path_params["key"]))
    caller, user = opened(request, MAIL_WRITE if write else MAIL)
    return of_message(caller, user, message(request, caller, user))


def attached(method: str, end: str) -> Callable[[Handler], Handler]:
    """The same for messages and for events."""

    def register(handler: Handler) -> Handler:
        mailbox_route(router, method, *(f"{path}/attachments{end}" for path in EACH))(handler)
        for base in events.BASES:
            router.add_api_route(f"{base}/events/{{key}}/attachments{end}", handler, methods=[method])
        return handler

    return register


def _shown(held: Holder, one: Row, query: Query) -> Row:
    """Bytes come unless $select leaves them out."""
    select = held.caller.request.query_params.get("$select")
    whole = select is None or "contentbytes" in select.lower()
    return attachment_files.shown(held.caller.simulator, one, whole=whole, item=bool(query.expand))


@attached("POST", "")
async def add(request: Request) -> Response:
    held, body = holder(request, write=True), await body_of(request, KIND)
    attachment = attachment_files.inline(held.caller.simulator, body)
    with held.caller.store.together():
        held.keep([*held.attachments, attachment])
    shown = attachment_files.shown(held.caller.simulator, attachment, whole=True)
    return answer(held.caller.simulator, f"{held.context}/$entity", shown, 201, kind=KIND)


@attached("GET", "")
async def list_attachments(request: Request) -> Response:
    held = holder(request)
    query = held.caller.query(FILE, LIST)
    shown = [_shown(held, one, query) for one in held.attachments]
    return listed(held.caller, held.context, shown, kind=KIND, query=query)


def _attachment(request: Request, held: Holder) -> Row:
    found = next((one for one in held.attachments if one["id"] == items.part(request, "attachment")), None)
    if found is None:
        raise items.not_found()
    return found


@attached("GET", "/{attachment}")
async def read(request: Request) -> Response:
    held = holder(request)
    query = held.caller.query(FILE, ONE)
    shown = query.shape(_shown(held, _attachment(request, held), query))
    return answer(held.caller.simulator, f"{held.context}/$entity", shown, kind=KIND)


@attached("GET", "/{attachment}/$value")
async def raw(request: Request) -> Response:
    """A file's bytes; of an item that is a message, its MIME."""
    held = holder(request)
    found, simulator = _attachment(request, held), held.caller.simulator
    if "item" not in found:
        return Response(attachment_files.content(simulator, found), media_type=found["contentType"])
    if not found["item"]["@odata.type"].lower().endswith(".message"):
        raise GraphError(501, "NotImplemented", "The simulator writes out messages only, no events and contacts.")
    return Response(mime.text_of(simulator, {"body": found["item"]}), media_type="text/plain")


@attached("DELETE", "/{attachment}")
async def remove(request: Request) -> Response:
    held = holder(request, write=True)
    attachment = _attachment(request, held)
    with held.caller.store.together():
        held.keep([one for one in held.attachments if one["id"] != attachment["id"]])
    return Response(status_code=204)
