"""Calendars, what they show between two moments, and what changed there."""

import datetime
import re

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.clock import moment_of
from m365_simulator.faults import fault
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed, sound

from . import calendar_items, calendar_shown
from .calendar_views import between, occurrences, views
from .events import EVENT, FILTERS, ORDERS, chosen, event_of, mailbox, on, shown
from .rules import rule

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
CALENDAR = "graph.calendar"
WINDOW = ("startDateTime", "endDateTime")
VIEWS = Allows(top=1000, skip=True, count=True, filters=FILTERS, orders=ORDERS, other=WINDOW)
STUB = ("id", "type", "seriesMasterId", "start", "end")
DELTA = Allows(select=False, other=(*WINDOW, "$deltatoken"))
LOST = fault("calendar_delta_lost", "a delta link of the calendar is answered 410 syncStateNotFound")
MISSING = "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime."


@router.get("/me/calendars")
@router.get("/users/{name}/calendars")
async def calendars(request: Request) -> Response:
    caller, user = mailbox(request)
    rows = [None, *caller.store.all(f"calendars/{user['id']}")]
    found = [calendar_shown.calendar(caller.simulator, user, row) for row in rows]
    query = caller.query(CALENDAR, Allows(top=1000, filters=("name",)))
    return listed(caller, f"users('{user['id']}')/calendars", found, kind=CALENDAR, query=query)


@router.post("/me/calendars")
@router.post("/users/{name}/calendars")
async def make_calendar(request: Request) -> Response:
    caller, user = mailbox(request, write=True)
    body = await body_of(request, CALENDAR)
    row = {"id": f"AAMkC{caller.simulator.ids.text('calendar', 58)}=", "name": "", "color": body.get("color") or "auto"}
    return _kept(caller, user, row, body, 201)


def _kept(caller: Caller, user: Row, row: Row, body: Row, status: int = 200) -> Response:
    """Raises 400 without a name and 409 for one that stands."""
    name = str(body.get("name", row["name"]) or "").strip()
    others = [one["name"] for one in caller.store.all(f"calendars/{user['id']}") if one["id"] != row["id"]]
    if not name:
        raise GraphError(400, "ErrorInvalidRequest", "The calendar needs a name.")
    if name.lower() in {one.lower() for one in ["Calendar", *others]}:
        raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    row |= {"name": name, "color": body.get("color") or row["color"]}
    return _entity(caller, user, caller.store.put(f"calendars/{user['id']}", row["id"], row), status)


def _entity(caller: Caller, user: Row, row: Row | None, status: int = 200) -> Response:
    found = caller.query(CALENDAR, Allows()).shape(calendar_shown.calendar(caller.simulator, user, row))
    return answer(caller.simulator, f"users('{user['id']}')/calendars/$entity", found, status, kind=CALENDAR)


def _made(caller: Caller, user: Row) -> Row:
    """The calendar in the path, which somebody made; the default one cannot be renamed or deleted."""
    row = caller.store.get(f"calendars/{user['id']}", chosen(caller, user) or "")
    if row is None:
        raise GraphError(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be changed.")
    return dict(row)


@router.patch("/me/calendars/{calendar}")
@router.patch("/users/{name}/calendars/{calendar}")
async def change_calendar(request: Request) -> Response:
    caller, user = mailbox(request, write=True)
    return _kept(caller, user, _made(caller, user), await body_of(request, CALENDAR))


@router.delete("/me/calendars/{calendar}")
@router.delete("/users/{name}/calendars/{calendar}")
async def delete_calendar(request: Request) -> Response:
    """Its events are cancelled with it."""
    caller, user = mailbox(request, write=True)
    row = _made(caller, user)
    with caller.store.together():
        for one in list(views(caller.store, user, row["id"])):
            calendar_items.remove(caller.simulator, one)
        caller.store.delete(f"calendars/{user['id']}", row["id"])
    return Response(status_code=204)


@router.get("/me/calendar")
@router.get("/users/{name}/calendar")
@router.get("/me/calendars/{calendar}")
@router.get("/users/{name}/calendars/{calendar}")
async def one_calendar(request: Request) -> Response:
    caller, user = mailbox(request)
    key = chosen(caller, user)
    return _entity(caller, user, caller.store.get(f"calendars/{user['id']}", key) if key else None)


def _window(request: Request) -> tuple[datetime.datetime, datetime.datetime]:
    given = {name.lower(): value.replace(" ", "+") for name, value in request.query_params.items()}
    texts = [given.get(name.lower(), "") for name in WINDOW]
    if not all(texts):
        raise GraphError(400, "ErrorInvalidParameter", MISSING)
    try:
        first, last = (moment_of(text) for text in texts)
    except ValueError as error:
        raise GraphError(400, "ErrorInvalidParameter", f"The time window is not valid: {error}.") from error
    if last < first:
        raise GraphError(400, "ErrorInvalidParameter", "The end of the time window is before its start.")
    return first, last


@on("GET", "/calendarView")
async def view(request: Request) -> Response:
    """Series stand here as their occurrences."""
    caller, user = mailbox(request)
    query = caller.query(EVENT, VIEWS)
    found = [shown(caller, one) for one in between(caller.store, user, *_window(request), chosen(caller, user))]
    return listed(caller, f"users('{user['id']}')/calendarView", found, kind=EVENT, query=query)


@on("GET", "/events/{key}/instances")
async def instances(request: Request, key: str) -> Response:
    caller, user = mailbox(request)
    query = caller.query(EVENT, VIEWS)
    master, (first, last) = event_of(caller, user, key), _window(request)
    if master["type"] != "seriesMaster":
        raise GraphError(400, "ErrorInvalidRequest", "Only a series has instances.")
    each = [one for one in occurrences(master) if moment_of(one["start"]) < last and moment_of(one["end"]) > first]
    found = [shown(caller, one) for one in each]
    return listed(caller, f"users('{user['id']}')/events", found, kind=EVENT, query=query)


@on("GET", "/calendarView/delta")
async def delta(request: Request) -> Response:
    """Rounds of what is new, changed or gone in a window; links carry the window with them."""
    caller, user = mailbox(request)
    query = caller.query(EVENT, DELTA, renames={"$skiptoken": "left"})
    state = _state(caller, user)
    first, last = (moment_of(text) for text in state["window"])
    items = {one["id"]: one for one in between(caller.store, user, first, last, chosen(caller, user))}
    left: list[str] | None = state["left"]
    if left is None:
        keys = {key: calendar_shown.change_key(one) for key, one in items.items()}
        gone = [key for key in state["known"] if key not in keys]
        left = [*gone, *(key for key, version in keys.items() if state["known"].get(key) != version)]
        state = {**state, "known": keys}
    page, rest = left[: query.size], left[query.size :]
    value = [_changed(caller, key, items.get(key)) for key in page]
    word, name = ("nextLink", "$skiptoken") if rest else ("deltaLink", "$deltatoken")
    token = caller.simulator.ids.text("calendar-delta", 40)
    caller.store.put("calendar_deltas", token, {**state, "left": rest or None})
    base = caller.simulator.settings.graph_url
    body = {"@odata.context": f"{base}/v1.0/$metadata#Collection(event)", "value": value}
    return JSONResponse(body | {f"@odata.{word}": f"{base}{request.url.path}?{name}={token}"})


def _state(caller: Caller, user: Row) -> Row:
    given = caller.request.query_params
    token = given.get("$deltatoken") or given.get("$skiptoken")
    if token is None:
        window = [one.isoformat() for one in _window(caller.request)]
        return {"user": user["id"], "window": window, "known": {}, "left": None}
    row: Row | None = caller.store.get("calendar_deltas", token)
    if row is None or row["user"] != user["id"] or caller.simulator.faults.due(LOST, tenant=caller.tenant):
        again = re.sub(r"[?].*", "", str(caller.request.url)) + "?$deltatoken="
        text = "The sync state generation is not found; please resync."
        raise GraphError(410, "syncStateNotFound", text, headers={"Location": again})
    return row


def _changed(caller: Caller, key: str, view: Row | None) -> Row:
    if view is None:
        return {"@odata.type": "#microsoft.graph.event", "id": key, "@removed": {"reason": "deleted"}}
    found = shown(caller, view)
    if view["type"] in ("occurrence", "exception") and rule(caller.simulator, "stub_occurrences"):
        found = {name: found[name] for name in STUB}
    return sound({"@odata.type": "#microsoft.graph.event", **found}, EVENT)
