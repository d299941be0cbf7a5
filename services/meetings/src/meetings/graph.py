"""Microsoft's words for a meeting. Nobody else sees Graph's JSON."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from meetings.tables import MeetingRow
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound


@dataclass(frozen=True, slots=True)
class Booked:
    """A calendar event with its Teams link.

    ``offered`` says whether the calendar makes online meetings at all; ``join_url`` is None while it has made none yet.
    """

    event_id: str
    join_url: str | None
    offered: bool
    shown: "Shown"


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as Microsoft shows it: ``parts`` are those that Prospo changes, as ``parts_of`` gives them."""

    etag: str
    parts: dict[str, Any]
    cancelled: bool = False


async def book(caller: GraphCaller, meeting: MeetingRow) -> Booked:
    """Create the calendar event. The meeting's id as ``transactionId`` makes a repeat give the same event."""
    wanted = _times_and_people(meeting) | {
        "isOnlineMeeting": True,
        "onlineMeetingProvider": "teamsForBusiness",
        "transactionId": meeting.id,
    }
    if meeting.body:
        wanted["body"] = {"contentType": "text", "content": meeting.body}
    event = await caller.post("/me/events", wanted)
    return Booked(event["id"], _join_url(event), bool(event.get("isOnlineMeeting")), _shown(event))


async def join_url(caller: GraphCaller, event_id: str) -> str | None:
    """The event's link; None while Microsoft has not made it."""
    return _join_url(await caller.get(_event_path(event_id), {"$select": "id,onlineMeeting"}))


async def online_meeting_id(caller: GraphCaller, join_url: str) -> str | None:
    """The id behind a join link; None while Microsoft does not know it yet, which is normal just after booking."""
    quoted = join_url.replace("'", "''")
    try:
        found = await caller.get("/me/onlineMeetings", {"$filter": f"JoinWebUrl eq '{quoted}'"})
    except GraphNotFound:
        return None
    entity = _entity(found)
    return str(entity["id"]) if entity.get("id") else None


async def turn_recording(caller: GraphCaller, online_id: str, *, on: bool) -> bool:
    """Ask for automatic recording, or for none; what Microsoft says it is now.

    Off leaves it allowed to record by hand. A meeting in progress goes on as it began.
    """
    options = {"recordAutomatically": on} | ({"allowRecording": True, "allowTranscription": True} if on else {})
    answer = await caller.patch(f"/me/onlineMeetings/{quote(online_id, safe='')}", options)
    return bool(_entity(answer).get("recordAutomatically", on))


async def read(caller: GraphCaller, event_id: str) -> Shown:
    """Raises ``GraphNotFound`` when the event is gone."""
    return _shown(await caller.get(_event_path(event_id)))


def moment_text(value: datetime) -> str:
    """As Graph's parameters and the parts of an event have it: UTC, whole seconds."""
    return _text(value)


async def change(caller: GraphCaller, meeting: MeetingRow, names: Collection[str], etag: str) -> Shown:
    """Bring these parts of the event to the record, and no other; the body carries the join information.

    Raises ``GraphChanged`` when the event is not the one of ``etag`` any more.
    """
    wanted = {name: value for name, value in _times_and_people(meeting).items() if name in names}
    return _shown(await caller.patch(_event_path(meeting.event_id or ""), wanted, etag=etag))


def parts_of(meeting: MeetingRow) -> dict[str, Any]:
    """What Prospo changes of an event, so that two can be compared: times in UTC, the addresses of attendees."""
    return {
        "subject": meeting.subject,
        "start": _text(meeting.starts_at),
        "end": _text(meeting.ends_at),
        "attendees": sorted({person["email"].lower() for person in meeting.attendees}),
    }


def take(meeting: MeetingRow, shown: Shown, names: Collection[str]) -> None:
    """Bring these parts of the record to the event."""
    there = shown.parts
    if "subject" in names:
        meeting.subject = there["subject"]
    if "start" in names:
        meeting.starts_at = datetime.fromisoformat(there["start"])
    if "end" in names:
        meeting.ends_at = datetime.fromisoformat(there["end"])
    if "attendees" in names:
        known = {person["email"].lower(): person for person in meeting.attendees}
        meeting.attendees = [known.get(email, {"email": email, "name": None}) for email in there["attendees"]]


def _shown(event: dict[str, Any]) -> Shown:
    attendees = [(person.get("emailAddress") or {}).get("address") or "" for person in event.get("attendees") or []]
    parts = {
        "subject": event.get("subject") or "",
        "start": _utc(event.get("start")),
        "end": _utc(event.get("end")),
        "attendees": sorted({address.lower() for address in attendees if address}),
    }
    return Shown(str(event.get("@odata.etag") or ""), parts, bool(event.get("isCancelled")))


def _join_url(event: dict[str, Any]) -> str | None:
    return (event.get("onlineMeeting") or {}).get("joinUrl") or None


def _text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


def _utc(moment: dict[str, str] | None) -> str:
    """Graph answers in UTC unless another zone is asked for, with seven digits of a second; empty when it says none."""
    if not moment:
        return ""
    return _text(datetime.fromisoformat(moment["dateTime"][:19]).replace(tzinfo=UTC))


async def cancel(caller: GraphCaller, event_id: str) -> None:
    """Cancel the event and tell the attendees; an event that is gone is cancelled."""
    try:
        await caller.post(_event_path(event_id) + "/cancel", {"comment": "Cancelled in Prospo."})
    except GraphNotFound:
        return


def _entity(answer: dict[str, Any]) -> dict[str, Any]:
    """The meeting of an answer: some of Microsoft's are a list of one, some wrap it, some are the meeting itself."""
    value = answer.get("value", answer)
    found: dict[str, Any] = next(iter(value), {}) if isinstance(value, list) else value or {}
    return found


def _event_path(event_id: str) -> str:
    return f"/me/events/{quote(event_id, safe='')}"


def _times_and_people(meeting: MeetingRow) -> dict[str, Any]:
    return {
        "subject": meeting.subject,
        "start": _moment(meeting.starts_at),
        "end": _moment(meeting.ends_at),
        "attendees": [_attendee(person) for person in meeting.attendees],
    }


def _moment(value: datetime) -> dict[str, str]:
    return {"dateTime": value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "timeZone": "UTC"}


def _attendee(person: dict[str, Any]) -> dict[str, Any]:
    address = {"address": person["email"]}
    if person.get("name"):
        address["name"] = person["name"]
    return {"emailAddress": address, "type": "required"}
