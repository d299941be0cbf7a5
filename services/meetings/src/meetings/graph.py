"""Microsoft's words for a meeting. Nobody else sees Graph's JSON."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from meetings.tables import MeetingRow
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound


@dataclass(frozen=True, slots=True)
class Booked:
    """A calendar event with its Teams link; ``join_url`` is None when the calendar made no online meeting."""

    event_id: str
    join_url: str | None


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
    return Booked(event["id"], (event.get("onlineMeeting") or {}).get("joinUrl"))


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


async def move(caller: GraphCaller, meeting: MeetingRow) -> None:
    """Bring the event to the record's subject, times and people. The body stays: it carries the join information."""
    await caller.patch(_event_path(meeting.event_id or ""), _times_and_people(meeting))


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
