"""Attendees of other people's meetings, and what the organizer shares with them."""

from typing import Any

from meetings.tables import MeetingRow
from shared.connections import Connection

BOOKED = ("scheduled", "ended", "cancelled")
"""Statuses in which an attendee has an invitation, once there is a join link."""


def addresses_of(person: Connection) -> tuple[str, ...]:
    """Addresses by which a person is an attendee: those of a connected account in the organisation's own tenant.

    An address that a person only writes of themselves, or has elsewhere, opens nothing.
    """
    account = person.account
    return account.addresses if person.works and account.tid == person.tenant.tid else ()


def attends(meeting: MeetingRow, person: Connection) -> bool:
    mine = addresses_of(person)
    booked = meeting.status in BOOKED and meeting.join_url is not None and meeting.repeats is None
    return booked and any(one["email"].lower() in mine for one in meeting.attendees)


def reads(meeting: MeetingRow, person: Connection, kind: str, id_: str) -> bool:
    """Whether the person, as an attendee, reads this recording (a file) or transcript (an artefact) of the meeting."""
    return meeting.shared_with_attendees and attends(meeting, person) and _has(meeting, kind, id_)


def _has(meeting: MeetingRow, kind: str, id_: str) -> bool:
    name = "file_id" if kind == "recording" else "artefact_id"
    arrived: list[dict[str, Any]] = [one for one in meeting.artefacts if one["status"] == "imported"]
    return any(one["kind"] == kind and one.get(name) == id_ for one in arrived)
