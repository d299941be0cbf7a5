"""What the API reads and shows."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from meetings import artefacts, calls
from meetings.graph import NOT_VISIBLE
from meetings.tables import MeetingRow
from shared.connections import Connection
from shared.web.routes import StrictModel
from shared.web.words import ONE_LINE

_WHY_NOT = {
    "switched_off": "An Org Admin has auto-recording switched off. The meeting does not record by itself, and what is "
    "recorded by hand is not brought to Prospo while it is off.",
    "chosen_off": "It was chosen that this meeting does not record by itself.",
    "disconnected": "The organizer's Microsoft account, or the organisation, was disconnected from Prospo. The meeting "
    "does not record by itself. It is set again after a reconnect.",
    "refused": "Microsoft did not accept automatic recording for this meeting; start it by hand.",
}
_UNCHANGEABLE = "The meeting stays in your calendar as it is, and cannot be changed from Prospo until then."
_YEARS = range(2000, 2200)


def _of_these_times(value: datetime) -> datetime:
    if value.year not in _YEARS:
        raise ValueError(f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return value


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, LookupError) as error:
        raise ValueError("must be a time zone of the IANA list, such as Europe/Berlin") from error


Zone = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$"), AfterValidator(_zone)
]
Lobby = Literal["organizer", "invited", "organization", "organizationAndFederated", "everyone"]
"""Who comes in without waiting in the lobby."""
Presenters = Literal["organizer", "organization", "everyone"]
Agenda = Annotated[str, StringConstraints(max_length=20_000)]
Moment = Annotated[AwareDatetime, AfterValidator(_of_these_times)]
Subject = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), ONE_LINE]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320), ONE_LINE]


class Person(StrictModel):
    email: Email
    name: Annotated[str, StringConstraints(max_length=255), ONE_LINE] | None = None
    type: Literal["required", "optional", "resource"] = "required"
    """``resource`` is a room that was invited in Outlook; it is kept when the list is sent back."""


def _each_once(people: list[Person]) -> list[Person]:
    """Exchange knows no case in an address; of two the first stays."""
    return list({person.email.lower(): person for person in reversed(people)}.values())[::-1]


People = Annotated[list[Person], Field(max_length=200), AfterValidator(_each_once)]


class NewMeeting(StrictModel):
    """Times are RFC 3339 with an offset; ``time_zone`` is the one in which Outlook shows them to attendees."""

    subject: Subject
    start: Moment
    end: Moment
    attendees: People = Field(default_factory=list)
    body: Agenda | None = None
    """The agenda, as plain text."""
    time_zone: Zone = "UTC"
    lobby: Lobby | None = None
    presenters: Presenters | None = None
    auto_recording: bool = True
    """False: this meeting does not record by itself, whatever the Org Admin's switch says."""

    def rule(self) -> dict[str, Any] | None:
        """How it repeats; None of a single meeting."""
        return None


class MeetingChange(StrictModel):
    """What is left out stays as it is."""

    subject: Subject | None = None
    start: Moment | None = None
    end: Moment | None = None
    attendees: People | None = None
    body: Agenda | None = None
    time_zone: Zone | None = None
    lobby: Lobby | None = None
    presenters: Presenters | None = None
    auto_recording: bool | None = None
    shared_with_attendees: bool | None = None
    """Whether attendees who are connected read the recordings and transcripts of this meeting in Prospo."""


class Proposed(BaseModel):
    start: datetime
    end: datetime


class Organizer(BaseModel):
    user_id: str
    name: str


class AttendeeShown(BaseModel):
    email: str
    name: str | None = None
    type: str = "required"


class Answer(BaseModel):
    """What an attendee said to the invitation, as the organizer's calendar shows it."""

    email: str
    response: str
    """accepted, declined, tentative; not_visible of who did not answer, or answered without a response."""
    responded_at: datetime | None = None
    proposed: Proposed | None = None
    """Another time that the attendee proposed."""


class Ended(BaseModel):
    at: datetime
    source: str
    confidence: str


class Recording(BaseModel):
    status: str
    size_bytes: int | None = None
    duration_s: float | None = None
    content_url: str | None = None
    location: str | None = None
    code: str | None = None
    reason: str | None = None


class Transcript(BaseModel):
    status: str
    speakers: list[str] = []
    line_count: int | None = None
    """How many things were said."""
    content_url: str | None = None
    code: str | None = None
    reason: str | None = None


class RecordedPart(Recording):
    """One recording with the transcript made with it."""

    id: str
    began: datetime | None
    """When it began, as Microsoft says; null of one that was imported before Prospo kept it."""
    ended: datetime | None
    transcript: "TranscriptPart | None"
    """Null when Microsoft is not known to have made one with this recording."""


class TranscriptPart(Transcript):
    """One transcript."""

    id: str
    began: datetime | None
    ended: datetime | None


class CallShown(BaseModel):
    """A call that Microsoft told of, or in which something was recorded. Of others nothing is known here."""

    began: datetime
    ended: datetime | None
    """Null while the call goes on, and where Microsoft does not say when it, or what was recorded, stopped."""
    known_by: str
    """``call_event`` where Microsoft told of the call; ``artefact`` where only what was recorded shows it."""
    part: str
    """``rehearsal`` long before the booked start, ``meeting``, or ``afterwards`` long after the booked end."""


class CallEvents(BaseModel):
    """Whether Microsoft tells when calls of the meeting begin and end, which makes the end certain and early."""

    status: str
    """heard, watched, later, nothing_heard or not_permitted."""
    detail: str
    """The same for people."""
    said: str | None = None
    """Where it is not permitted: Microsoft's words, and the id of the request that its support asks for."""
    request_id: str | None = None


class ProblemShown(BaseModel):
    code: str
    detail: str


def parts_of(row: MeetingRow) -> dict[str, Any]:
    found = calls.pairs(artefacts.present(row))
    recordings = [_part(pair.recording) | {"transcript": _part(pair.transcript)} for pair in found if pair.recording]
    alone = [_part(pair.transcript) for pair in found if not pair.recording]
    told = [_call(one) for one in calls.calls_of(row)]
    return {"recordings": recordings, "transcripts": alone, "calls": told}


def _call(call: calls.Call) -> dict[str, Any]:
    known_by = "call_event" if call.told else "artefact"
    return {"began": call.began, "ended": call.ended, "part": call.part, "known_by": known_by}


def not_recording(row: MeetingRow) -> str | None:
    """Why it does not record by itself, for people."""
    return _WHY_NOT.get(row.auto_recording_reason or "")


def _part(entry: dict[str, Any] | None) -> Any:
    if entry is None:
        return None
    times = {"began": entry.get("created_at"), "ended": entry.get("ended_at")}
    return artefacts.shown(entry) | times | {"id": entry["artefact_id"]}


class Meeting(BaseModel):
    """The record of a meeting."""

    id: str
    subject: str
    start: datetime
    end: datetime
    status: str
    organizer: Organizer
    series_id: str | None
    original_start: datetime | None
    """Set for an occurrence only: its series, and the start that the series gives it."""
    attendees: list[AttendeeShown]
    answers: list[Answer]
    body: str | None
    """The agenda."""
    time_zone: str
    lobby: str | None
    presenters: str | None
    join_url: str | None
    auto_recording: bool
    auto_recording_wanted: bool
    """False where the organizer chose that it does not record by itself."""
    auto_recording_reason: str | None
    """Why it does not record by itself, for people."""
    ended: Ended | None
    recording: Recording | None
    """The newest that has arrived, else the newest; ``recordings`` has them all."""
    transcript: Transcript | None
    """The newest that has arrived, else the newest."""
    recordings: list[RecordedPart] = []
    """Every recording in the order in which they were made, each with its transcript."""
    transcripts: list[TranscriptPart] = []
    """Transcripts that were made without a recording."""
    calls: list[CallShown] = []
    """The calls behind the join link in the order in which they began."""
    call_events: CallEvents | None = None
    """What is heard of its calls; in a list null."""
    shared_with_attendees: bool
    """Whether the organizer lets attendees read recordings and transcripts in Prospo."""
    problem: ProblemShown | None
    version: int

    @classmethod
    def of(cls, row: MeetingRow) -> Self:
        shown: dict[str, Any] = row.model_dump(
            include={"id", "subject", "status", "attendees", "body", "join_url", "series_id", "original_start"}
            | {"shared_with_attendees", "auto_recording", "recording", "transcript", "problem", "version"}
        )
        ended = {"at": row.ended_at, "source": row.ended_source, "confidence": row.ended_confidence}
        shown |= {"start": row.starts_at, "end": row.ends_at, "ended": ended if row.ended_at else None}
        shown |= {"time_zone": row.zone, "auto_recording_wanted": row.recording_wanted}
        shown |= {name: row.options.get(name) for name in ("lobby", "presenters")}
        shown["answers"] = [_answer(person["email"], row.responses) for person in row.attendees]
        shown["organizer"] = {"user_id": row.user_id, "name": row.organizer_name}
        shown |= parts_of(row)
        shown["auto_recording_reason"] = not_recording(row)
        return cls.model_validate(shown)

    @classmethod
    def as_connected(cls, row: MeetingRow, person: Connection) -> Self:
        """The record as the connection of now makes it; nothing is written when that changes."""
        shown = cls.of(row)
        found = person.obstacle(made_by=row.organizer_oid)
        if found is not None and row.status == "scheduled" and row.problem is None:
            shown.problem = ProblemShown(code=found.code, detail=f"{found.sentence()} {_UNCHANGEABLE}")
        return shown


def _answer(email: str, responses: dict[str, Any]) -> dict[str, Any]:
    said = responses.get(email.lower(), {})
    about = {"response": said.get("response", NOT_VISIBLE), "responded_at": said.get("at")}
    return {"email": email, **about, "proposed": said.get("proposed")}
