"""Events are made, changed, answered and taken away: in the organizer's calendar, the attendees', and Teams."""

import html
from typing import Any

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.store import Row
from m365_simulator.teams import online
from m365_simulator.teams.policies import allowed

from . import bodies, invitations, recurrence, zones
from .calendar_shown import NEVER, tell
from .calendar_views import find, invited, own, slots
from .rules import rule

SERVER_SIDE = {
    "start",
    "end",
    "id",
    "iCalUId",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "webLink",
    "type",
}
SERVER_SIDE |= {"isOrganizer", "isCancelled", "organizer", "seriesMasterId", "responseStatus", "onlineMeeting"}
SERVER_SIDE |= {"onlineMeetingUrl", "bodyPreview", "originalStart", "originalStartTimeZone", "originalEndTimeZone"}
ONLINE = ("isOnlineMeeting", "onlineMeetingProvider")
TEAMS = "teamsForBusiness"


class Unfit(ValueError):
    """What a calendar cannot hold; the sentence says why."""


def _times(given: Row, before: Row | None = None) -> Row:
    """Start and end as UTC with their zones; what is not given stays."""
    start, first = zones.read(given["start"], "start") if "start" in given or not before else _kept(before, 0)
    end, second = zones.read(given["end"], "end") if "end" in given or not before else _kept(before, 1)
    if moment_of(end) < moment_of(start):
        raise Unfit("The end is before the start.")
    return {"start": start, "end": end, "zones": [first, second]}


def _kept(before: Row, place: int) -> tuple[str, str]:
    return str(before[("start", "end")[place]]), str(before["zones"][place])


def _wanted(body: Row) -> Row:
    kept = {name: value for name, value in body.items() if name not in SERVER_SIDE}
    if kept.get("recurrence"):
        recurrence.check(kept["recurrence"])
    if kept.get("body"):
        kept["body"] = bodies.kept(kept["body"])
    if "locations" in kept:
        kept["location"] = next((place for place in kept["locations"] or [] if place), None)
    elif "location" in kept:
        kept["locations"] = [kept["location"]] if kept["location"] else []
    if "attendees" in kept:
        kept["attendees"] = [_attendee(one) for one in kept["attendees"] or [] if one]
    return kept


def _attendee(given: Row) -> Row:
    address = given.get("emailAddress") or {}
    status = given.get("status") or {"response": "none", "time": NEVER}
    named = {"name": address.get("name") or address.get("address", ""), "address": address.get("address", "")}
    return {"type": given.get("type") or "required", "status": status, "emailAddress": named}


def create(simulator: Simulator, user: Row, body: Row, calendar: str | None = None) -> Row:
    """The organizer's row, in the default calendar or another; raises ``Unfit``, ``BadTime`` or ``BadRecurrence``."""
    given = {"start": None, "end": None, **body}
    times, kept, now = _times(given), _wanted(body), stamp(simulator.now())
    row: Row = {
        "id": f"AAMk{simulator.ids.text('event', 60)}=",
        "user": user["id"],
        "organizer_id": user["id"],
        "tenant": user["tenant"],
        "body": kept,
        **times,
        "ical": f"040000008200E00074C5B7101A82E008{simulator.ids.guid('ical').replace('-', '').upper()}",
        "created": now,
        "modified": now,
        "version": 1,
        "exceptions": {},
        "gone": [],
        "meeting": None,
        "calendar": calendar,
        "attachments": [],
    }
    with simulator.store.together():
        _go_online(simulator, user, row, kept)
        simulator.store.put("events", row["id"], row)
        tell(simulator, "created", own(row))
        _invite(simulator, row)
        invitations.invited(simulator, row)
    return row


def _go_online(simulator: Simulator, user: Row, row: Row, asked: Row) -> None:
    """Once online, an event stays so; a calendar that may not have Teams gets an event without a meeting."""
    body = row["body"]
    wanted = asked.get("isOnlineMeeting") and asked.get("onlineMeetingProvider", TEAMS) == TEAMS
    if row["meeting"] is not None:
        body |= {"isOnlineMeeting": True, "onlineMeetingProvider": TEAMS}
        return
    if not wanted or not allowed(simulator, user, "online_meetings"):
        for name in ONLINE:
            body.pop(name, None)
        return
    meeting = online.new_meeting(simulator, user, body.get("subject"), slots(row), invited_addresses(row), row["id"])
    row["meeting"] = meeting["id"]
    body |= {"isOnlineMeeting": True, "onlineMeetingProvider": TEAMS}
    body["onlineMeeting"] = {"joinUrl": meeting["join_url"], "conferenceId": meeting["vtc"], "tollNumber": None}
    words = bodies.inner(body.get("body") or {})
    link = f'<div><a class="me-email-headline" href="{html.escape(meeting["join_url"])}">Join</a></div>'
    body["body"] = {"contentType": "html", "content": bodies.document(f"<div>{words}</div>{link}")}


def invited_addresses(row: Row) -> list[str]:
    everyone = [*(row["body"].get("attendees") or [])]
    for one in row["exceptions"].values():
        everyone += one.get("body", {}).get("attendees") or []
    return list(dict.fromkeys(str(a["emailAddress"]["address"]).lower() for a in everyone))


def _slot(given: Row) -> Row:
    """A proposed time in Graph's words."""
    return {name: {"dateTime": given[name], "timeZone": "UTC"} for name in ("start", "end")}


def _copies(simulator: Simulator, row: Row) -> list[Row]:
    return [copy for copy in simulator.store.where("event_copies", "of", row["id"]) if copy["last"] is None]


def _invite(simulator: Simulator, row: Row) -> None:
    """Invitations into the mailboxes that are simulated; they follow what the organizer changes."""
    there = {copy["user"]: copy for copy in _copies(simulator, row)}
    for address in invited_addresses(row):
        guest = find_user(simulator.store, address)
        if guest is None or not guest["mailbox"] or guest["id"] == row["user"]:
            continue
        copy = there.pop(guest["id"], None)
        change = "updated" if copy and not copy["removed"] else "created"
        copy = copy or {"id": f"AAMk{simulator.ids.text('invitation', 60)}=", "user": guest["id"], "of": row["id"]}
        more: Row = {"response": "notResponded", "last": None, "own": {}, "removed": False}
        copy = {**more, **copy, "version": row["version"], "removed": False}
        simulator.store.put("event_copies", copy["id"], copy)
        tell(simulator, change, invited(simulator.store, copy))
    for copy in there.values():
        _withdraw(simulator, row, copy)


def _withdraw(simulator: Simulator, row: Row, copy: Row) -> None:
    simulator.store.put("event_copies", copy["id"], {**copy, "last": row, "version": copy["version"] + 1})
    tell(simulator, "updated", invited(simulator.store, simulator.store.get("event_copies", copy["id"]) or {}))


def change(simulator: Simulator, view: Row, body: Row) -> None:
    """By the organizer for everybody, by an attendee in their own calendar only."""
    times = {} if not {"start", "end"} & set(body) else _times(body, view)
    kept = _wanted(body)
    if not view["organizer"]:
        _change_copy(simulator, view, kept, times)
        return
    row = _organizers(simulator, view)
    before = dict(view["body"])
    if view.get("date"):
        mine = row["exceptions"].setdefault(view["date"], {"body": {}, "version": 0})
        mine["body"] |= {name: value for name, value in kept.items() if name not in ("recurrence", *ONLINE)}
        mine |= times
        mine["version"] += 1
    else:
        row["body"] |= kept
        row |= times
        _go_online(simulator, simulator.store.get("users", row["user"]) or {}, row, row["body"])
    invitations.changed(simulator, row, before, {**before, **kept}, set(body), view.get("date"))
    saved(simulator, row, view["id"])


def _organizers(simulator: Simulator, view: Row) -> Row:
    row = simulator.store.get("events", view["master"] or view["id"])
    if row is None:
        raise Unfit("The event is gone.")
    return row


def _change_copy(simulator: Simulator, view: Row, kept: Row, times: Row) -> None:
    copy = simulator.store.get("event_copies", view["master"] or view["id"]) or {}
    mine: dict[str, Any] = copy["own"]
    mine["body"] = {**mine.get("body", {}), **{name: value for name, value in kept.items() if name not in ONLINE}}
    mine["times"] = {**mine.get("times", {}), **times}
    copy["version"] += 1
    simulator.store.put("event_copies", copy["id"], copy)
    tell(simulator, "updated", invited(simulator.store, copy))


def attach(simulator: Simulator, view: Row, attachments: list[Row]) -> None:
    """What is attached from now on: by the organizer for everybody, by an attendee in their own calendar only."""
    if not view["organizer"]:
        copy = simulator.store.get("event_copies", view["master"] or view["id"]) or {}
        copy["own"]["attachments"] = attachments
        copy["version"] += 1
        simulator.store.put("event_copies", copy["id"], copy)
        tell(simulator, "updated", invited(simulator.store, copy))
        return
    row = _organizers(simulator, view)
    if view.get("date"):
        mine = row["exceptions"].setdefault(view["date"], {"body": {}, "version": 0})
        mine |= {"attachments": attachments, "version": mine["version"] + 1}
    else:
        row["attachments"] = attachments
    saved(simulator, row, view["id"])


def saved(simulator: Simulator, row: Row, key: str) -> None:
    """Keep the organizer's row, and tell Teams, the attendees and whoever subscribed."""
    row |= {"version": row["version"] + 1, "modified": stamp(simulator.now())}
    simulator.store.put("events", row["id"], row)
    if row["meeting"] is not None:
        online.moved(simulator, row["meeting"], row["body"].get("subject"), slots(row), invited_addresses(row))
    view = find(simulator.store, {"id": row["user"]}, key) or own(row)
    tell(simulator, "updated", view)
    _invite(simulator, row)


def remove(simulator: Simulator, view: Row) -> None:
    """By the organizer the meeting is cancelled for everybody; an attendee takes it out of their own calendar."""
    if not view["organizer"]:
        copy = simulator.store.get("event_copies", view["master"] or view["id"]) or {}
        simulator.store.put("event_copies", copy["id"], {**copy, "removed": True})
        tell(simulator, "deleted", view)
        return
    row = _organizers(simulator, view)
    if view.get("date"):
        row["gone"].append(view["date"])
        row["exceptions"].pop(view["date"], None)
        invitations.cancelled(simulator, row, view["body"], view["date"])
        saved(simulator, row, row["id"])
        if not rule(simulator, "instance_deleted_silent"):
            tell(simulator, "deleted", view)
        return
    simulator.store.delete("events", row["id"])
    simulator.store.put("events_deleted", row["id"], row)
    invitations.cancelled(simulator, row, row["body"])
    tell(simulator, "deleted", view)
    for copy in _copies(simulator, row):
        _withdraw(simulator, row, copy)
    if row["meeting"] is not None:
        online.cancelled(simulator, row["meeting"])


def restore(simulator: Simulator, key: str) -> Row | None:
    """The organizer puts a deleted event back: its attendees are invited anew. None when there is none."""
    row = simulator.store.delete("events_deleted", key)
    if row is None:
        return None
    row |= {"version": row["version"] + 1, "modified": stamp(simulator.now())}
    simulator.store.put("events", row["id"], row)
    if row["meeting"] is not None:
        online.restored(simulator, row["meeting"])
    tell(simulator, "created", own(row))
    _invite(simulator, row)
    invitations.invited(simulator, row)
    return row


def answer_invitation(
    simulator: Simulator, view: Row, response: str, *, tells: bool = True, proposed: Row | None = None
) -> None:
    """accepted, declined or tentativelyAccepted; a declined invitation leaves the calendar.

    Only the organizer's copy learns of it, and nobody when the attendee sends no response (``tells``).
    """
    copy = simulator.store.get("event_copies", view["master"] or view["id"]) or {}
    guest = simulator.store.get("users", copy["user"]) or {}
    copy |= {"response": response, "version": copy["version"] + 1, "removed": response == "declined"}
    simulator.store.put("event_copies", copy["id"], copy)
    tell(simulator, "deleted" if copy["removed"] else "updated", view)
    row = simulator.store.get("events", copy["of"])
    if row is None or not tells:
        return
    for one in row["body"].get("attendees") or []:
        if str(one["emailAddress"]["address"]).lower() == guest["address"]:
            one["status"] = {"response": response, "time": stamp(simulator.now())}
            one |= {"proposedNewTime": _slot(proposed)} if proposed else {}
    row |= {"version": row["version"] + 1}
    simulator.store.put("events", row["id"], row)
    tell(simulator, "updated", own(row))
