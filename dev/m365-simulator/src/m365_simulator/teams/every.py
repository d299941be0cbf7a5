"""All recordings or transcripts that one person's meetings left: functions and their delta, for applications only."""

import re
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.clock import moment_of
from m365_simulator.faults import fault
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, listed, sound

from .access import artefact_caller
from .leftovers import KINDS, shown

FUNCTION = re.compile(r"^getAll(?P<kind>Recordings|Transcripts)(?:\((?P<given>.*)\))?$", re.IGNORECASE)
ARGUMENT = re.compile(r"\s*(\w+)\s*=\s*('[^']*'|[^,'\s]+)\s*(?:,|$)")
OLDER_FORM = re.compile(r"^MeetingOrganizer/User/Id eq '(?P<user>[^']+)'$", re.IGNORECASE)
KNOWN = {"meetingOrganizerUserId", "startDateTime", "endDateTime"}
PAGE = 2
FILTERS = ("contentCorrelationId", "callId", "createdDateTime", "endDateTime")
TOP_ENDS = fault("top_without_next_link", "a list of recordings or transcripts asked with $top gives no next link")
REPEATS = fault("delta_repeats", "a round of the artefacts' delta gives the older ones again")


def readable(caller: Caller, row: Row) -> bool:
    """Some time may pass from the news of an artefact until it can be read."""
    return moment_of(row["readable_from"]) <= caller.simulator.now()


def page_of(caller: Caller, kind: str, rows: list[Row]) -> Response:
    """One page of a list; with $top Graph sometimes forgets the next link."""
    name, asked = f"graph.{KINDS[kind]}", caller.request.query_params
    older = OLDER_FORM.match(asked.get("$filter", ""))
    other = ("skipToken", "$filter") if older else ("skipToken",)
    query = caller.query(name, Allows(top=100, page=PAGE, filters=() if older else FILTERS, other=other))
    found = [shown(caller.simulator, row) for row in rows]
    if "$top" in asked and caller.simulator.faults.due(TOP_ENDS, tenant=caller.tenant):
        found = [row for row in found if query.predicate(row)][: int(asked["$top"])]
    return listed(caller, kind, found, kind=name, query=query)


def _asked(request: Request, oid: str | None, function: re.Match[str]) -> tuple[Caller, str, list[Row]]:
    """The caller, the kind, and the rows of the function's arguments, oldest first."""
    kind = function["kind"].lower()
    caller, user = artefact_caller(request, oid, kind)
    if not caller.app_only:
        raise GraphError(403, "Forbidden", "This function needs an application token.")
    given = _arguments(caller, function["given"] or "")
    if given.get("meetingOrganizerUserId") != user["id"]:
        raise GraphError(400, "BadRequest", "meetingOrganizerUserId must be the user's object id.")
    found = [one for one in caller.store.where("artefacts", "organizer", user["id"]) if one["kind"] == kind]
    rows = [row for row in found if readable(caller, row)]
    return caller, kind, [row for row in rows if _within(caller, row, given)]


def _arguments(caller: Caller, text: str) -> dict[str, str]:
    found = {name: value.strip("'") for name, value in ARGUMENT.findall(text)}
    if strange := sorted(set(found) - KNOWN):
        raise GraphError(400, "BadRequest", f"The function has no parameter {', '.join(strange)}.")
    older = OLDER_FORM.match(caller.request.query_params.get("$filter", ""))
    return {"meetingOrganizerUserId": older["user"], **found} if older else found


def _within(caller: Caller, row: Row, given: dict[str, str]) -> bool:
    """By creation on the world's clock, or by appearance as callers count time: they know only the latter."""
    try:
        first = moment_of(given["startDateTime"]) if "startDateTime" in given else None
        last = moment_of(given["endDateTime"]) if "endDateTime" in given else None
    except ValueError as error:
        raise GraphError(400, "BadRequest", f"startDateTime or endDateTime is not a time: {error}.") from error
    inward = caller.simulator.clock.inward
    made, seen = moment_of(row["createdDateTime"]), moment_of(row["available"])
    if (first is None or first <= made) and (last is None or made <= last):
        return True
    return (first is None or inward(first) <= seen) and (last is None or seen <= inward(last))


def listing(request: Request, oid: str | None, function: re.Match[str]) -> Response:
    caller, kind, rows = _asked(request, oid, function)
    return page_of(caller, kind, rows)


def delta(request: Request, oid: str | None, function: re.Match[str]) -> Response:
    """What is new since the link's round. Microsoft gives older ones again at times."""
    caller, kind, rows = _asked(request, oid, function)
    query = caller.query(f"graph.{KINDS[kind]}", Allows(select=False, page=PAGE, other=("skipToken",)))
    token = request.query_params.get("skipToken")
    state: dict[str, Any] | None = {"seen": [], "left": None}
    if token is not None:
        state = caller.store.get("artefact_deltas", token)
    if state is None:
        raise GraphError(410, "syncStateNotFound", "The sync state is no longer known; start again without a token.")
    by_id = {row["id"]: row for row in rows}
    left = state["left"]
    if left is None:
        again = bool(token) and caller.simulator.faults.due(REPEATS, tenant=caller.tenant) is not None
        left = [key for key in by_id if again or key not in state["seen"]]
    page, rest = left[: query.size], left[query.size :]
    body = _body(caller, kind, [by_id[key] for key in page if key in by_id])
    word = "nextLink" if rest else "deltaLink"
    follow = {"seen": [*state["seen"], *page], "left": rest or None}
    body[f"@odata.{word}"] = _link(caller, _kept(caller, follow))
    return JSONResponse(body)


def _kept(caller: Caller, state: Row) -> str:
    key: str = caller.simulator.ids.text("artefact-delta", 40)
    caller.store.put("artefact_deltas", key, state)
    return key


def _link(caller: Caller, token: str) -> str:
    return f"{caller.simulator.settings.graph_url}{caller.request.url.path}?skipToken={token}"


def _body(caller: Caller, kind: str, rows: list[Row]) -> Row:
    context = f"{caller.simulator.settings.graph_url}/v1.0/$metadata#Collection({KINDS[kind]})"
    named = {"@odata.type": f"#microsoft.graph.{KINDS[kind]}"}
    value = [sound(named | shown(caller.simulator, row), f"graph.{KINDS[kind]}") for row in rows]
    return {"@odata.context": context, "@odata.count": len(value), "value": value}
