"""Calendar events and the Teams meetings they bring."""

import base64
import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.clock import moment_of, stamp
from m365_simulator.store import Row
from m365_simulator.teams import artefacts
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of

router = APIRouter(prefix="/v1.0/me", route_class=GraphRoute)


def _mailbox(request: Request) -> tuple[Caller, Row]:
    caller = Caller(request).need(delegated="Calendars.ReadWrite", place="outlook")
    return caller, caller.mailbox(None)


def _instant(value: Row | None, name: str) -> str:
    """A dateTimeTimeZone as UTC."""
    given = value or {}
    try:
        local = datetime.datetime.fromisoformat(given["dateTime"])
        zone = ZoneInfo(given.get("timeZone") or "UTC")
        return stamp(local if local.tzinfo else local.replace(tzinfo=zone))
    except (KeyError, ValueError, ZoneInfoNotFoundError) as error:
        raise GraphError(400, "ErrorInvalidRequest", f"The property '{name}' is not a valid time: {error}.") from error


def _times(body: Row) -> tuple[str, str]:
    start, end = _instant(body.get("start"), "start"), _instant(body.get("end"), "end")
    if moment_of(end) < moment_of(start):
        raise GraphError(400, "ErrorPropertyValidationFailure", "The end is before the start.")
    return start, end


def _own(caller: Caller, user: Row, key: str) -> Row:
    row: Row | None = caller.store.get("events", key)
    if row is None or row["user"] != user["id"]:
        raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return row


def _shown(caller: Caller, row: Row, status: int = 200) -> Response:
    return answer(caller.simulator, "users/events/$entity", row["body"], status, kind="graph.event")


@router.post("/events")
async def create(request: Request) -> Response:
    caller, user = _mailbox(request)
    body = await body_of(request, "graph.event")
    again = body.get("transactionId")
    for row in caller.store.all("events"):
        if again and row["user"] == user["id"] and row["body"].get("transactionId") == again:
            return _shown(caller, row, 201)
    start, end = _times(body)
    key = f"AAMk{caller.simulator.ids.text('event', 60)}="
    shown = {
        **body,
        "id": key,
        "iCalUId": caller.simulator.ids.guid("ical").replace("-", "").upper(),
        "createdDateTime": stamp(caller.simulator.now()),
        "isCancelled": False,
        "isOrganizer": True,
        "type": "singleInstance",
        "webLink": f"https://outlook.office365.com/owa/?itemid={quote(key)}",
        "organizer": {"emailAddress": {"name": user["name"], "address": user["address"]}},
    }
    row = {"id": key, "user": user["id"], "tenant": user["tenant"], "body": shown, "meeting": None}
    online = body.get("isOnlineMeeting") and body.get("onlineMeetingProvider", "teamsForBusiness") == "teamsForBusiness"
    with caller.store.together():
        if online:
            meeting = _new_meeting(caller, user, body, start, end)
            row["meeting"] = meeting["id"]
            shown |= {"onlineMeetingProvider": "teamsForBusiness", "onlineMeeting": {"joinUrl": meeting["join_url"]}}
        caller.store.put("events", key, row)
    return _shown(caller, row, 201)


def _new_meeting(caller: Caller, user: Row, body: Row, start: str, end: str) -> Row:
    thread = f"19:meeting_{caller.simulator.ids.text('thread', 32)}@thread.v2"
    context = quote(f'{{"Tid":"{user["tenant"]}","Oid":"{user["id"]}"}}', safe="")
    key = "MSo" + base64.urlsafe_b64encode(f"{user['id']}*0**{thread}".encode()).rstrip(b"=").decode()
    row: Row = {
        "id": key,
        "tenant": user["tenant"],
        "organizer": user["id"],
        "join_url": f"https://teams.microsoft.com/l/meetup-join/{quote(thread, safe='')}/0?context={context}",
        "subject": body.get("subject"),
        "start": start,
        "end": end,
        "attendees": _invited(body),
        "options": {},
        "recordAutomatically": False,
        "allowTranscription": True,
        "recorded_by_hand": False,
        "happened": False,
        "cancelled": False,
        "delay_s": 0,
        "created": stamp(caller.simulator.now()),
    }
    caller.store.put("meetings", key, row)
    artefacts.plan(caller.simulator, row)
    return row


def _invited(body: Row) -> list[str]:
    return [(a.get("emailAddress") or {}).get("address", "").lower() for a in body.get("attendees") or []]


@router.get("/events/{key}")
async def read(request: Request, key: str) -> Response:
    caller, user = _mailbox(request)
    return _shown(caller, _own(caller, user, key))


@router.patch("/events/{key}")
async def change(request: Request, key: str) -> Response:
    caller, user = _mailbox(request)
    row = _own(caller, user, key)
    body = await body_of(request, "graph.event")
    merged = {**row["body"], **body}
    start, end = _times(merged)
    row["body"] = merged
    caller.store.put("events", key, row)
    meeting = caller.store.get("meetings", row["meeting"] or "")
    if meeting is not None:
        meeting |= {"start": start, "end": end, "subject": merged.get("subject"), "attendees": _invited(merged)}
        caller.store.put("meetings", meeting["id"], meeting)
        artefacts.plan(caller.simulator, meeting)
    return _shown(caller, row)


def _cancel_meeting(caller: Caller, row: Row) -> None:
    meeting = caller.store.get("meetings", row["meeting"] or "")
    if meeting is not None:
        artefacts.plan(caller.simulator, caller.store.put("meetings", meeting["id"], meeting | {"cancelled": True}))


@router.delete("/events/{key}")
async def delete(request: Request, key: str) -> Response:
    caller, user = _mailbox(request)
    _cancel_meeting(caller, _own(caller, user, key))
    caller.store.delete("events", key)
    return Response(status_code=204)


@router.post("/events/{key}/cancel")
async def cancel(request: Request, key: str) -> Response:
    """Tells the attendees and removes the event from the organizer's calendar."""
    caller, user = _mailbox(request)
    _cancel_meeting(caller, _own(caller, user, key))
    caller.store.delete("events", key)
    return Response(status_code=202)
