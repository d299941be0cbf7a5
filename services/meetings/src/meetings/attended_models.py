"""A meeting as attendees and the Org Admin see it."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from meetings.models import Ended, Organizer, RecordedPart, TranscriptPart, not_recording, parts_of
from meetings.tables import MeetingRow


class OrganizerShown(BaseModel):
    name: str


class AttendedMeeting(BaseModel):
    """A meeting of somebody else, for who attends it: what the invitation says, and what the organizer shares.

    Who else attends and what they answered is not in it: the organizer may have hidden it in Outlook.
    """

    id: str
    organizer: OrganizerShown
    subject: str
    start: datetime
    end: datetime
    time_zone: str
    status: str
    series_id: str | None
    original_start: datetime | None
    """Set for an occurrence only: its series, and the start that the series gives it."""
    body: str | None
    """The agenda."""
    join_url: str | None
    ended: Ended | None
    shared_with_attendees: bool
    """Whether the organizer shares recordings and transcripts. If not, nothing is said of them."""
    recordings: list[RecordedPart]
    """Every recording in the order in which they were made, each with its transcript."""
    transcripts: list[TranscriptPart]
    """Transcripts that were made without a recording."""

    @classmethod
    def of(cls, row: MeetingRow) -> Self:
        shown: dict[str, Any] = row.model_dump(
            include={"id", "subject", "status", "series_id", "original_start", "body", "join_url"}
            | {"shared_with_attendees"}
        )
        shown |= {"organizer": {"name": row.organizer_name}, "start": row.starts_at, "end": row.ends_at}
        shown |= {"time_zone": row.zone, "ended": _ended(row), "recordings": [], "transcripts": []}
        if row.shared_with_attendees:
            parts = parts_of(row)
            shown |= {name: parts[name] for name in ("recordings", "transcripts")}
        return cls.model_validate(shown)


class Outcome(BaseModel):
    """What came of the newest recording or transcript."""

    status: str
    code: str | None = None
    reason: str | None = None


class MeetingOfOrganisation(BaseModel):
    """The record of a meeting without its content: no subject, agenda, link, attendees, recording or transcript."""

    id: str
    organizer: Organizer
    start: datetime
    end: datetime
    status: str
    series_id: str | None
    ended: Ended | None
    auto_recording: bool
    auto_recording_reason: str | None
    """Why it does not record by itself, for people."""
    recording: Outcome | None
    """Null while nothing is known of one; else how far it got, or why it will not arrive."""
    transcript: Outcome | None

    @classmethod
    def of(cls, row: MeetingRow) -> Self:
        shown: dict[str, Any] = row.model_dump(
            include={"id", "status", "series_id", "auto_recording", "recording", "transcript"}
        )
        shown |= {"organizer": {"user_id": row.user_id, "name": row.organizer_name}}
        shown |= {"start": row.starts_at, "end": row.ends_at, "ended": _ended(row)}
        shown["auto_recording_reason"] = not_recording(row)
        return cls.model_validate(shown)


def _ended(row: MeetingRow) -> dict[str, Any] | None:
    known = {"at": row.ended_at, "source": row.ended_source, "confidence": row.ended_confidence}
    return known if row.ended_at else None
