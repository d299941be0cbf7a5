"""Online meetings: looked up by what people have of them, made without an event, changed, deleted."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.clock import moment_of, stamp
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from . import every, lifecycle, online
from .access import LATE, NEEDED, access_policy, meeting_caller, meeting_of, transcript_access

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
FILTER = re.compile(r"^(?P<name>[\w/]+) eq '(?P<value>(?:[^']|'')*)'$", re.IGNORECASE)
NAMES = {"joinweburl": "join_url", "joinmeetingidsettings/joinmeetingid": "join_id", "videoteleconferenceid": "vtc"}
"""Only the first is proven of the present service."""
READ_ONLY = {
    "id",
    "joinWebUrl",
    "creationDateTime",
    "chatInfo",
    "expiryDateTime",
    "meetingOptionsWebUrl",
    "meetingType",
}
READ_ONLY |= {"videoTeleconferenceId", "joinInformation", "audioConferencing", "externalId", "isBroadcast"}
KIND = "graph.onlineMeeting"


def _entity(caller: Caller, row: Row, status: int = 200) -> Response:
    shown = caller.query(KIND, Allows()).shape(online.shown(caller.simulator, row))
    return answer(caller.simulator, "onlineMeetings/$entity", shown, status, kind=KIND)


@router.get("/me/onlineMeetings")
@router.get("/users/{oid}/onlineMeetings")
async def look_up(request: Request, oid: str | None = None) -> Response:
    caller, user = meeting_caller(request, oid)
    row = _looked_up(caller)
    return _found(caller, [] if row is None else [meeting_of(caller, user, row["id"])])


@router.get("/communications/onlineMeetings")
@router.get("/communications/onlineMeetings/")
async def look_up_any(request: Request) -> Response:
    """By VideoTeleconferenceId or join URL, for applications: whatever meeting of the tenant it is."""
    caller = Caller(request).need(role="OnlineMeetings.Read.All OnlineMeetings.ReadWrite.All", place="teams")
    row = _looked_up(caller)
    if row is not None and row["tenant"] != caller.tenant:
        raise GraphError(404, "NotFound", "3004: No meeting is known by this.")
    return _found(caller, [] if row is None else [row])


def _looked_up(caller: Caller) -> Row | None:
    """None while the meeting is too new to be found."""
    wanted = FILTER.match(caller.request.query_params.get("$filter", "").strip())
    name = NAMES.get(wanted["name"].lower()) if wanted else None
    if wanted is None or name is None:
        raise GraphError(400, "BadRequest", "A filter of the form JoinWebUrl eq '…' is required.")
    value = online.plain(wanted["value"].replace("''", "'"))
    if (late := caller.simulator.faults.due(LATE, tenant=caller.tenant)) is not None:
        if late.get("answer") == "404":
            raise GraphError(404, "NotFound", "3004: No meeting is known by this.")
        return None
    rows: list[Row] = caller.store.all("meetings")
    found = next((row for row in rows if online.plain(row.get(name) or "") == value), None)
    if found is not None:
        return found
    raise GraphError(404, "NotFound", "3004: No meeting is known by this.")


def _found(caller: Caller, rows: list[Row]) -> Response:
    query = caller.query(KIND, Allows(other=("$filter",)))
    shown = [online.shown(caller.simulator, row) for row in rows]
    return listed(caller, "onlineMeetings", shown, kind=KIND, query=query)


@router.post("/me/onlineMeetings")
@router.post("/users/{oid}/onlineMeetings")
async def create(request: Request, oid: str | None = None) -> Response:
    """Standalone: without a calendar event, so its recordings and transcripts can never be had."""
    caller, user = _creator(request, oid)
    return _entity(caller, _make(caller, user, await body_of(request, KIND)), 201)


@router.post("/me/onlineMeetings/createOrGet")
@router.post("/users/{oid}/onlineMeetings/createOrGet")
async def create_or_get(request: Request, oid: str | None = None) -> Response:
    caller, user = _creator(request, oid)
    body = await body_of(request, KIND)
    if not body.get("externalId"):
        raise GraphError(400, "BadRequest", "externalId is required.")
    for row in caller.store.all("meetings"):
        if row.get("external_id") == body["externalId"] and row["organizer"] == user["id"]:
            return _entity(caller, row)
    return _entity(caller, _make(caller, user, body), 201)


def _creator(request: Request, oid: str | None) -> tuple[Caller, Row]:
    caller = Caller(request)
    caller.need(delegated="OnlineMeetings.ReadWrite", role="OnlineMeetings.ReadWrite.All", place="teams")
    user = caller.user(oid, place="teams")
    access_policy(caller, user, create=True)
    return caller, user


def _make(caller: Caller, user: Row, body: Row) -> Row:
    start = body.get("startDateTime") or stamp(caller.simulator.now())
    slots = [_slot({"startDateTime": start, "endDateTime": body.get("endDateTime") or start})]
    row = online.new_meeting(caller.simulator, user, body.get("subject"), slots, _invited(caller, body), None)
    row["external_id"] = body.get("externalId")
    row["passcode"] = caller.simulator.ids.text("passcode", 6)
    return _apply(caller, row, {name: value for name, value in body.items() if name not in READ_ONLY})


def _invited(caller: Caller, body: Row) -> list[str]:
    """Addresses of the participants, by upn or by object id."""
    found = []
    for one in filter(None, (body.get("participants") or {}).get("attendees") or []):
        named = ((one.get("identity") or {}).get("user") or {}).get("id") or ""
        user = caller.store.get("users", named) or {}
        found.append(str(one.get("upn") or user.get("address") or "").lower())
    return [address for address in found if address]


def _apply(caller: Caller, row: Row, body: Row) -> Row:
    row |= {name: body[name] for name in ("recordAutomatically", "allowTranscription", "subject") if name in body}
    kept = {name: value for name, value in body.items() if name not in online.OWN and name != "participants"}
    row["options"] |= {name: _merged(row["options"].get(name), value) for name, value in kept.items()}
    caller.store.put("meetings", row["id"], row)
    return row


def _merged(before: Any, value: Any) -> Any:
    """A part of the meeting's settings, such as the lobby's, keeps what a change does not name."""
    return {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value


@router.get("/me/onlineMeetings/{key}")
async def my_meeting(request: Request, key: str) -> Response:
    return await a_meeting_or_function(request, None, key)


@router.get("/users/{oid}/onlineMeetings/{key}")
async def a_meeting_or_function(request: Request, oid: str | None, key: str) -> Response:
    function = every.FUNCTION.match(key)
    if function is not None:
        return every.listing(request, oid, function)
    caller, user = meeting_caller(request, oid)
    return _entity(caller, meeting_of(caller, user, key))


@router.patch("/me/onlineMeetings/{key}")
@router.patch("/users/{oid}/onlineMeetings/{key}")
async def change(request: Request, key: str, oid: str | None = None) -> Response:
    caller, row = _organizers(request, oid, key)
    body = await body_of(request, KIND)
    if fixed := sorted(READ_ONLY & set(body)):
        raise GraphError(400, "BadRequest", f"{', '.join(fixed)} cannot be changed.")
    if len({"startDateTime", "endDateTime"} & set(body)) == 1:
        raise GraphError(400, "BadRequest", "startDateTime and endDateTime must be given together.")
    if _in_progress(caller, row):
        body.pop("recordAutomatically", None)  # it does not affect a meeting in progress
    slots = [_slot(body)] if "startDateTime" in body else None
    if "participants" in body:
        row["attendees"] = _invited(caller, body)
    _apply(caller, row, body)
    if slots is not None:
        online.moved(caller.simulator, row["id"], row["subject"], slots, row["attendees"])
    online.tell(caller.simulator, "updated", row)
    return _entity(caller, row)


def _slot(body: Row) -> list[str]:
    if not body["startDateTime"] or not body["endDateTime"]:
        raise GraphError(400, "BadRequest", "startDateTime and endDateTime cannot be null.")
    start, end = moment_of(body["startDateTime"]), moment_of(body["endDateTime"])
    if end < start:
        raise GraphError(400, "BadRequest", "The endDateTime is before the startDateTime.")
    return [stamp(start), stamp(end)]


def _in_progress(caller: Caller, row: Row) -> bool:
    now = caller.simulator.now()
    slots = row.get("slots") or [[row["start"], row["end"]]]
    booked = any(moment_of(start) <= now < moment_of(end) for start, end in slots)
    return booked or lifecycle.call_of(caller.simulator, row["id"]) is not None


def _organizers(request: Request, oid: str | None, key: str) -> tuple[Caller, Row]:
    caller, user = meeting_caller(request, oid, write=True)
    row = meeting_of(caller, user, key)
    if user["id"] != row["organizer"]:
        raise GraphError(403, "Forbidden", "Only the organizer may change the meeting.")
    return caller, row


@router.delete("/me/onlineMeetings/{key}")
@router.delete("/users/{oid}/onlineMeetings/{key}")
async def delete(request: Request, key: str, oid: str | None = None) -> Response:
    caller, row = _organizers(request, oid, key)
    online.cancelled(caller.simulator, row["id"])
    caller.store.delete("meetings", row["id"])
    return Response(status_code=204)


__all__ = ["NEEDED", "router", "transcript_access"]
