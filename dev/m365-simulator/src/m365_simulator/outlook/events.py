"""Calendar events over HTTP: made, read, listed, changed, cancelled, answered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows, Query
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, json_of, listed

from . import attachment_files, bodies, calendar_items, calendar_shown, items
from .calendar_shown import calendar_id
from .calendar_views import find, occurrences, own, views
from .recurrence import BadRecurrence
from .zones import BadTime, preferred

F = TypeVar("F", bound=Callable[..., Any])
router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
BASES = [
    f"{who}{calendar}" for who in ("/me", "/users/{name}") for calendar in ("", "/calendar", "/calendars/{calendar}")
]
ORDERS = ("start/dateTime", "end/dateTime", "subject", "createdDateTime", "lastModifiedDateTime")
FILTERS: tuple[str, ...] = (
    *ORDERS,
    "iCalUId",
    "isCancelled",
    "isOnlineMeeting",
    "isOrganizer",
    "organizer/emailAddress/address",
    "type",
)
FILTERS += ("seriesMasterId", "showAs", "importance", "sensitivity", "isAllDay", "transactionId")
ONE = Allows(expands=("attachments", "exceptionOccurrences"))
LISTS = Allows(top=1000, skip=True, count=True, filters=FILTERS, orders=ORDERS)
ANSWERS = {"accept": "accepted", "decline": "declined", "tentativelyAccept": "tentativelyAccepted"}
ANSWER_OPTIONS = {"comment", "sendResponse", "proposedNewTime"}
EVENT = "graph.event"


def on(method: str, tail: str) -> Callable[[F], F]:
    """A route under each of the paths that lead to a calendar."""

    def add(function: F) -> F:
        for base in BASES:
            router.add_api_route(f"{base}{tail}", function, methods=[method])
        return function

    return add


def mailbox(request: Request, *, write: bool = False) -> tuple[Caller, Row]:
    """The caller and whose calendar it is; the path may name a user and a calendar."""
    named = request.path_params
    wanted = "Calendars.ReadWrite" if write else "Calendars.ReadWrite Calendars.Read"
    caller = Caller(request).need(delegated=wanted, role=wanted, place="outlook")
    user = caller.mailbox(named.get("name"))
    chosen(caller, user)
    zone_and_text(request)
    return caller, user


def chosen(caller: Caller, user: Row) -> str | None:
    """The calendar in the path, if it is one that was made; None is the default one. Raises the 404."""
    key = caller.request.path_params.get("calendar", "Calendar")
    if key in ("Calendar", calendar_id(user)):
        return None
    if caller.store.get(f"calendars/{user['id']}", key) is None:
        raise not_found()
    return str(key)


def not_found() -> GraphError:
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


@contextmanager
def calendars_words() -> Iterator[None]:
    """What a calendar cannot hold, in Graph's words."""
    try:
        yield
    except (calendar_items.Unfit, BadRecurrence) as error:
        raise GraphError(400, "ErrorPropertyValidationFailure", str(error)) from error
    except BadTime as error:
        raise GraphError(400, "ErrorInvalidRequest", str(error)) from error


def zone_and_text(request: Request) -> tuple[str, bool]:
    prefer = ", ".join(request.headers.getlist("prefer"))
    with calendars_words():
        return preferred(prefer), bodies.wants_text(request)


def shown(caller: Caller, view: Row) -> Row:
    zone, as_text = zone_and_text(caller.request)
    return calendar_shown.event(caller.simulator, view, zone, as_text=as_text)


def entity(caller: Caller, view: Row, status: int = 200) -> Response:
    query = caller.query(EVENT, ONE)
    found = query.shape(shown(caller, view)) | _expanded(caller, view, query)
    return answer(caller.simulator, f"users('{view['user']}')/events/$entity", found, status, kind=EVENT)


def _expanded(caller: Caller, view: Row, query: Query) -> Row:
    """What only $expand and $select bring; of a series its exceptions, and the ids of its cancelled occurrences."""
    found: Row = {}
    series = view["type"] == "seriesMaster"
    if "attachments" in query.expand:
        each = view.get("attachments", [])
        found["attachments"] = [attachment_files.shown(caller.simulator, one, whole=True) for one in each]
    if "exceptionOccurrences" in query.expand:
        changed = [one for one in occurrences(view) if one["type"] == "exception"] if series else []
        shape = query.shape_inner
        found["exceptionOccurrences"] = [shape("exceptionOccurrences", shown(caller, one)) for one in changed]
    if "cancelledOccurrences" in (query.select or ()):
        gone = sorted(view["gone"]) if series else []
        found["cancelledOccurrences"] = [f"OID.{view['id']}.{day[:4]}-{day[4:6]}-{day[6:]}" for day in gone]
    return found


def event_of(caller: Caller, user: Row, key: str) -> Row:
    view = find(caller.store, user, key)
    if view is None or ("calendar" in caller.request.path_params and view.get("calendar") != chosen(caller, user)):
        raise not_found()
    return view


@on("GET", "/events")
async def list_all(request: Request) -> Response:
    """Single events and the masters of series."""
    caller, user = mailbox(request)
    found = [shown(caller, view) for view in views(caller.store, user, chosen(caller, user))]
    return listed(caller, f"users('{user['id']}')/events", found, kind=EVENT, query=caller.query(EVENT, LISTS))


@on("POST", "/events")
async def create(request: Request) -> Response:
    """The same ``transactionId`` again gives the event that is there."""
    caller, user = mailbox(request, write=True)
    body = await body_of(request, EVENT)
    again = body.get("transactionId")
    for row in caller.store.where("events", "user", user["id"]) if again else []:
        if row["body"].get("transactionId") == again:
            return entity(caller, own(row), 201)
    with calendars_words():
        made = calendar_items.create(caller.simulator, user, body, chosen(caller, user))
    return entity(caller, own(made), 201)


@on("GET", "/events/{key}")
async def read(request: Request, key: str) -> Response:
    caller, user = mailbox(request)
    return entity(caller, event_of(caller, user, key))


@on("PATCH", "/events/{key}")
async def change(request: Request, key: str) -> Response:
    caller, user = mailbox(request, write=True)
    view = event_of(caller, user, key)
    items.current_key(request, calendar_shown.change_key(view))
    body = await body_of(request, EVENT)
    _look_at_body(caller, view, body)
    body.pop("transactionId", None)  # set once, when the event is made
    with calendars_words():
        calendar_items.change(caller.simulator, view, body)
    return entity(caller, event_of(caller, user, key))


def _look_at_body(caller: Caller, view: Row, body: Row) -> None:
    """A new text without the join link damages the meeting. Unproven, so it is only noted."""
    link = (view["body"].get("onlineMeeting") or {}).get("joinUrl")
    words = (body.get("body") or {}).get("content") or ""
    if link and "body" in body and "me-email-headline" not in words and link not in words:
        says = "The body of an online meeting was replaced by one without its join information."
        caller.simulator.calls.find("join_information_lost", says, {"method": "PATCH", "path": caller.request.url.path})


@on("DELETE", "/events/{key}")
async def delete(request: Request, key: str) -> Response:
    caller, user = mailbox(request, write=True)
    calendar_items.remove(caller.simulator, event_of(caller, user, key))
    return Response(status_code=204)


@on("POST", "/events/{key}/cancel")
async def cancel(request: Request, key: str) -> Response:
    """Tells the attendees and removes the event from the organizer's calendar."""
    caller, user = mailbox(request, write=True)
    view = event_of(caller, user, key)
    await _options(request, {"comment"})
    if not view["organizer"]:
        text = "Your request can't be completed. You need to be an organizer to cancel a meeting."
        raise GraphError(400, "ErrorInvalidRequest", text)
    calendar_items.remove(caller.simulator, view)
    return Response(status_code=202)


@on("POST", "/events/{key}/accept")
@on("POST", "/events/{key}/decline")
@on("POST", "/events/{key}/tentativelyAccept")
async def respond(request: Request, key: str) -> Response:
    caller, user = mailbox(request, write=True)
    view = event_of(caller, user, key)
    given = {name.lower(): value for name, value in (await _options(request, ANSWER_OPTIONS)).items()}
    if view["organizer"]:
        text = (
            "Your request can't be completed. You can't respond to this meeting because you're the meeting organizer."
        )
        raise GraphError(400, "ErrorInvalidRequest", text)
    response = ANSWERS[request.url.path.rpartition("/")[2]]
    tells = given.get("sendresponse") is not False
    calendar_items.answer_invitation(caller.simulator, view, response, tells=tells)
    return Response(status_code=202)


async def _options(request: Request, known: set[str]) -> Row:
    """The body of an action, which may be missing; names in any case."""
    body = await json_of(request) if await request.body() else {}
    strange = {name for name in body if name.lower() not in {one.lower() for one in known}}
    if not isinstance(body, dict) or strange:
        raise GraphError(400, "RequestBodyRead", f"The action has no parameter {sorted(strange)}.")
    return body
