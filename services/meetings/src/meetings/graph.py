"""Calendar events in Graph's JSON. The online meeting behind an event is in ``online``."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from meetings import agenda, repeating
from meetings.tables import MeetingRow
from shared.graph import GraphCaller
from shared.graph.errors import GraphChanged, GraphNotFound

_ANSWERS = {"accepted": "accepted", "declined": "declined", "tentativelyAccepted": "tentative"}
NOT_VISIBLE = "not_visible"
"""An attendee who did not answer, or answered without a response: Exchange tells the organizer the same of both."""
_ROLE = {"optional": " (optional)", "resource": " (resource)"}


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
    """An event as Microsoft shows it: ``parts`` are those that Prospo changes, as ``parts_of`` gives them.

    ``names`` are names by address, ``responses`` what attendees answered, by address, from the organizer's copy.
    """

    etag: str
    parts: dict[str, Any]
    cancelled: bool = False
    names: dict[str, str] = field(default_factory=dict)
    responses: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeats: dict[str, Any] | None = None
    """How it repeats, of a series."""
    zone: str = ""
    """Microsoft's name of the zone in which the event is booked. A part only where it was changed (``changing``)."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An occurrence of a series. ``original_start`` stays the same when the occurrence is moved."""

    event_id: str
    original_start: datetime
    shown: Shown

    @property
    def starts(self) -> datetime:
        return datetime.fromisoformat(self.shown.parts["start"])

    @property
    def ends(self) -> datetime:
        return datetime.fromisoformat(self.shown.parts["end"])


async def book(caller: GraphCaller, meeting: MeetingRow) -> Booked:
    """Create the calendar event. The meeting's id as ``transactionId`` makes a repeat give the same event."""
    wanted = _times_and_people(meeting) | {
        "isOnlineMeeting": True,
        "onlineMeetingProvider": "teamsForBusiness",
        "transactionId": meeting.id,
    }
    if meeting.body:
        wanted["body"] = {"contentType": "html", "content": agenda.written(meeting.body)}
    if meeting.repeats:
        wanted["recurrence"] = repeating.recurrence(meeting.repeats, meeting.starts_at, meeting.zone)
    event = await caller.post("/me/events", wanted)
    return Booked(event["id"], _join_url(event), bool(event.get("isOnlineMeeting")), _shown(event))


async def join_url(caller: GraphCaller, event_id: str) -> str | None:
    """The event's link; None while Microsoft has not made it."""
    return _join_url(await caller.get(_event_path(event_id), {"$select": "id,onlineMeeting"}))


async def instances(caller: GraphCaller, event_id: str, window: tuple[datetime, datetime], most: int) -> list[Instance]:
    """Occurrences of a series between two moments, the earliest first, and at most so many."""
    params = dict(zip(("startDateTime", "endDateTime"), map(moment_text, window), strict=True))
    found: list[Instance] = []
    async for items in caller.lists(f"{_event_path(event_id)}/instances", params, page_size=min(most, 100)):
        found += [_instance(item) for item in items if not item.get("isCancelled")]
        if len(found) >= most:
            break
    return sorted(found, key=lambda one: one.starts)[:most]


def _instance(event: dict[str, Any]) -> Instance:
    shown = _shown(event)
    given = str(event.get("originalStart") or "")
    original = datetime.fromisoformat(given[:19]).replace(tzinfo=UTC) if given else None
    return Instance(str(event["id"]), original or datetime.fromisoformat(shown.parts["start"]), shown)


async def read(caller: GraphCaller, event_id: str) -> Shown:
    """Raises ``GraphNotFound`` when the event is gone."""
    return _shown(await caller.get(_event_path(event_id)))


def moment_text(value: datetime) -> str:
    """A moment in the form of Graph's parameters and of an event's parts: UTC, whole seconds."""
    return value.astimezone(UTC).isoformat(timespec="seconds")


async def change(caller: GraphCaller, meeting: MeetingRow, names: Collection[str], etag: str) -> Shown:
    """Bring these parts of the event to the record, and no other.

    Of the event's text, which carries the join information, the agenda alone is replaced. Raises ``GraphChanged`` when
    the event is not the one of ``etag`` any more.
    """
    path = _event_path(meeting.event_id or "")
    if "zone" in names:
        names = {*names, "start", "end"}
    wanted = {name: value for name, value in _times_and_people(meeting).items() if name in names}
    if "agenda" in names:
        event = await caller.get(path)
        if event.get("@odata.etag") != etag:
            raise GraphChanged("The event changed since it was read.", status=412)
        content = agenda.replaced(_content(event), meeting.body or "")
        wanted["body"] = {"contentType": "html", "content": content}
    if not wanted:
        return await read(caller, meeting.event_id or "")
    return _shown(await caller.patch(path, wanted, etag=etag))


def parts_of(meeting: MeetingRow) -> dict[str, Any]:
    """The parts of an event that Prospo changes, in a form to compare: times in UTC, addresses of attendees.

    ``options`` are not the event's.
    """
    return {
        "subject": meeting.subject,
        "start": moment_text(meeting.starts_at),
        "end": moment_text(meeting.ends_at),
        "attendees": sorted({_written(person["email"], person.get("type")) for person in meeting.attendees}),
        "agenda": agenda.same(meeting.body or ""),
        "zone": meeting.zone,
        "options": meeting.options,
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
    if "zone" in names:
        meeting.zone = there["zone"]
    if "options" in names:
        meeting.options = there["options"]
    if "agenda" in names:
        meeting.body = there["agenda"]
    if "attendees" in names:
        known = {person["email"].lower(): person for person in meeting.attendees}
        meeting.attendees = [_person(one, known, shown.names) for one in there["attendees"]]


def _person(written: str, known: dict[str, dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    email, _, role = written.partition(" (")
    person = known.get(email, {"email": email, "name": names.get(email)})
    return person | {"type": role.rstrip(")") or "required"}


def _written(email: str, role: str | None) -> str:
    return email.lower() + _ROLE.get(role or "", "")


def _shown(event: dict[str, Any]) -> Shown:
    people = [one for one in event.get("attendees") or [] if (one.get("emailAddress") or {}).get("address")]
    by_address = {one["emailAddress"]["address"].lower(): one for one in people}
    parts = {
        "subject": event.get("subject") or "",
        "start": _utc(event.get("start")),
        "end": _utc(event.get("end")),
        "attendees": sorted(_written(address, one.get("type")) for address, one in by_address.items()),
    }
    said = agenda.read(_content(event))
    if said is not None:
        parts["agenda"] = agenda.same(said)
    names = {address: str(one["emailAddress"].get("name") or "") for address, one in by_address.items()}
    responses = {address: _response(one) for address, one in by_address.items()}
    named = {address: name for address, name in names.items() if name and name.lower() != address}
    etag = str(event.get("@odata.etag") or "")
    repeats = repeating.read(event.get("recurrence"))
    zone = str(event.get("originalStartTimeZone") or "")
    return Shown(etag, parts, bool(event.get("isCancelled")), named, responses, repeats, zone)


def _response(attendee: dict[str, Any]) -> dict[str, Any]:
    status, proposed = attendee.get("status") or {}, attendee.get("proposedNewTime") or {}
    said = _ANSWERS.get(status.get("response") or "", NOT_VISIBLE)
    found: dict[str, Any] = {"response": said, "at": status.get("time") if said != NOT_VISIBLE else None}
    if proposed.get("start") and proposed.get("end"):
        found["proposed"] = {"start": _utc(proposed["start"]), "end": _utc(proposed["end"])}
    return found


def _content(event: dict[str, Any]) -> str:
    return str((event.get("body") or {}).get("content") or "")


def _join_url(event: dict[str, Any]) -> str | None:
    return (event.get("onlineMeeting") or {}).get("joinUrl") or None


def _utc(moment: dict[str, str] | None) -> str:
    """Graph answers in UTC unless another zone is asked for, with seven digits of a second; empty when it says none."""
    if not moment:
        return ""
    return moment_text(datetime.fromisoformat(moment["dateTime"][:19]).replace(tzinfo=UTC))


async def cancel(caller: GraphCaller, event_id: str) -> None:
    """Cancel the event and tell the attendees; an event that is gone is cancelled."""
    try:
        await caller.post(_event_path(event_id) + "/cancel", {"comment": "Cancelled in Prospo."})
    except GraphNotFound:
        return


def _event_path(event_id: str) -> str:
    return f"/me/events/{quote(event_id, safe='')}"


def _times_and_people(meeting: MeetingRow) -> dict[str, Any]:
    return {
        "subject": meeting.subject,
        "start": moment(meeting.starts_at, meeting.zone),
        "end": moment(meeting.ends_at, meeting.zone),
        "attendees": [_attendee(person) for person in meeting.attendees],
    }


def moment(value: datetime, zone: str) -> dict[str, str]:
    """A moment in the meeting's zone, as people see it in Outlook; in UTC where the clock shows the time twice."""
    local = value.astimezone(ZoneInfo(zone))
    if local.replace(tzinfo=None, fold=0).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) != value.astimezone(UTC):
        local, zone = value.astimezone(UTC), "UTC"
    return {"dateTime": local.strftime("%Y-%m-%dT%H:%M:%S"), "timeZone": zone}


def _attendee(person: dict[str, Any]) -> dict[str, Any]:
    address = {"address": person["email"]}
    if person.get("name"):
        address["name"] = person["name"]
    return {"emailAddress": address, "type": person.get("type") or "required"}
