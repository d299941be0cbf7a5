"""Emitted by meetings. Key: organisation and meeting.

``start`` and ``end`` are what is booked. A name in ``_at`` is a moment that happened.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from shared.events.base import Direct, Event, Part, Pseudonym, known, personal
from shared.events.recordings import AbsenceCode

MeetingStatus = Literal["scheduling", "scheduled", "failed", "cancelled", "ended"]
NotRecordingBecause = Literal["switched_off", "refused", "chosen_off", "disconnected"]
EndSource = Literal["call_event", "artefact", "booked_end"]
Confidence = Literal["high", "medium", "low"]
CallTold = Literal["held", "none"]
ArtefactStatus = Literal["importing", "imported", "unavailable"]
Origin = Literal["prospo", "outlook"]
Response = Literal["accepted", "declined", "tentative", "not_visible"]
AttendeeType = Literal["required", "optional", "resource"]


class Attendee(Part):
    """Somebody who was invited; the organizer is not among them."""

    email: Direct
    """The address that the invitation went to."""
    name: Direct | None = None
    """The name, where the organizer gave one."""
    type: Annotated[str, known(AttendeeType)] = "required"
    """Whether the person has to come; ``resource`` is a room, which only Outlook invites."""


class MeetingEvent(Event):
    emitter: ClassVar[str] = "meetings"
    meeting_id: str
    """The meeting in Prospo."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.meeting_id}"


class BookedEvent(MeetingEvent):
    """What is booked changed: in Prospo, or in Outlook, which is a second author of every meeting.

    An occurrence of a series is a meeting of its own; all of a series share ``online_meeting_id`` and ``join_url``.
    """

    series_id: str | None = None
    """The series that this meeting is an occurrence of; null for a single meeting."""
    original_start: datetime | None = None
    """When the series has this occurrence, which stays the same when it is moved; null for a single meeting."""
    origin: Annotated[str, known(Origin)] = "prospo"
    """Where it was changed."""
    time_zone: str | None = None
    """The zone in which it is booked, by its IANA name; null in events of versions that did not tell it."""


class MeetingScheduled(BookedEvent):
    """The Teams meeting exists in the organizer's calendar with a join link; invitations are on their way.

    Only for meetings scheduled through Prospo. Version 1 was the request, so this is 2 or higher."""

    topic: ClassVar[str] = "meeting.scheduled"
    user_id: Pseudonym
    """The organizer in Prospo, who owns the meeting."""
    organizer_oid: Pseudonym
    """The organizer's account at Microsoft: what ``oid`` is in ``user.state``."""
    online_meeting_id: Pseudonym
    """The online meeting at Microsoft; it holds the organizer's ``oid``."""
    join_url: Direct
    """The link by which anybody who has it may ask to join."""
    subject: Direct
    """What the organizer wrote as the subject."""
    start: datetime
    """The booked start."""
    end: datetime
    """The booked end."""
    attendees: Annotated[list[Attendee], personal("direct")]
    """Who was invited; of very many the first, as many as an event has room for."""
    attendees_more: int = 0
    """How many more were invited than ``attendees`` names."""
    auto_recording: bool
    """Whether Microsoft took that the meeting records by itself."""
    auto_recording_code: Annotated[str, known(NotRecordingBecause)] | None = None
    """Why it does not: an Org Admin's switch, the organizer's choice, a disconnect, or Microsoft refused. Null when it
    does."""


class MeetingRescheduled(BookedEvent):
    """Subject, times, time zone or attendees were changed and Microsoft has it; the join link stays.

    One event for one change: that Prospo reads its own change back from Outlook is not told again.
    """

    topic: ClassVar[str] = "meeting.rescheduled"
    subject: Direct
    """The subject as it is now."""
    start: datetime
    """The booked start as it is now."""
    end: datetime
    """The booked end as it is now."""
    attendees: Annotated[list[Attendee], personal("direct")]
    """All who are invited now; of very many the first, as many as an event has room for."""
    attendees_more: int = 0
    """How many more are invited than ``attendees`` names."""


class MeetingCancelled(BookedEvent):
    """The meeting was cancelled, in Prospo or in Outlook; Microsoft told the attendees."""

    topic: ClassVar[str] = "meeting.cancelled"


class MeetingAttendeeResponded(MeetingEvent):
    """An attendee answered the invitation, or answered otherwise than before, as the organizer's calendar shows it."""

    topic: ClassVar[str] = "meeting.attendee_responded"
    email: Direct
    """The address that the invitation went to, in lower case."""
    response: Annotated[str, known(Response)]
    """The answer. ``not_visible``: the earlier one does not count any more, for the meeting was moved, say."""
    responded_at: datetime | None
    """When; null for ``not_visible``."""
    proposed_start: datetime | None
    """The start of another time that the attendee proposed; null when there is none."""
    proposed_end: datetime | None
    """The end of that time."""


class MeetingRecordingChanged(MeetingEvent):
    """Automatic recording of a scheduled meeting was turned on or off at Microsoft, after the Org Admin's switch or the
    organizer's choice."""

    topic: ClassVar[str] = "meeting.recording_changed"
    user_id: Pseudonym
    """The organizer in Prospo."""
    auto_recording: bool
    """Whether it records by itself now."""
    code: Annotated[str, known(NotRecordingBecause)] | None = None
    """Why it does not: an Org Admin's switch, the organizer's choice, a disconnect, or Microsoft refused. Null when it
    does."""


class MeetingEnded(MeetingEvent):
    """The meeting is over, as far as ``source`` can tell; a better source emits it again with higher confidence.

    People who come back make another call. The end is then corrected: the event is emitted again with the other
    ``ended_at``, and ``corrects`` has the one that was told before. A meeting that is moved in Outlook to another time
    after that is scheduled again (``meeting.rescheduled``, ``meeting.state``), and its end is told anew; ``corrects``
    has the one that was taken back.
    """

    topic: ClassVar[str] = "meeting.ended"
    user_id: Pseudonym
    """The organizer in Prospo."""
    ended_at: datetime
    """When it ended. A fact for ``call_event`` and ``artefact``; for ``booked_end`` only the booked end."""
    source: Annotated[str, known(EndSource)]
    """How it is known: Microsoft's call, a recording or transcript that ended, or only that the booked end passed."""
    confidence: Annotated[str, known(Confidence)]
    """How sure the source is."""
    auto_recording: bool = False
    """Whether it was to record by itself."""
    corrects: datetime | None = None
    """The ``ended_at`` that an earlier event told and that this one replaces; null for the first."""
    call: Annotated[str, known(CallTold)] | None = None
    """``held`` when Microsoft told that people met, ``none`` when it was asked to tell and told of no call; null where
    it does not tell."""


ShownCode = Literal[AbsenceCode, "file_deleted"]


class ArtefactOfMeeting(Part):
    """What is known of a meeting's newest recording or transcript."""

    status: Annotated[str, known(ArtefactStatus)]
    """How far it got."""
    artefact_id: str | None = None
    """The artefact, as in ``artefact.detected``; null until it is imported."""
    file_id: str | None = None
    """The stored file of a recording; null until it is imported, and for transcripts."""
    code: Annotated[str, known(ShownCode)] | None = None
    """Why it is unavailable, as in ``recording.unavailable`` and ``transcript.unavailable``; ``file_deleted`` for a
    recording that was imported and deleted since."""


class MeetingState(MeetingEvent):
    """The whole current state of a meeting after any change; compacted, for late joiners and local copies.

    Ids, times and statuses only: subject, attendees, link and words are read from the API by who may. A tombstone
    follows when the meeting is erased.
    """

    topic: ClassVar[str] = "meeting.state"
    user_id: Pseudonym
    """The organizer in Prospo, who owns the meeting."""
    organizer_oid: Pseudonym
    """The organizer's account at Microsoft: what ``oid`` is in ``user.state``."""
    status: Annotated[str, known(MeetingStatus)]
    """``scheduling`` until Microsoft has it; ``failed`` when it will not; then ``cancelled`` or ``ended``."""
    start: datetime
    """The booked start."""
    end: datetime
    """The booked end."""
    ended_at: datetime | None
    """When it ended; null until it is known to have."""
    ended_source: Annotated[str, known(EndSource)] | None
    """How the end is known, as ``source`` in ``meeting.ended``."""
    ended_confidence: Annotated[str, known(Confidence)] | None
    """How sure that is."""
    auto_recording: bool
    """Whether Microsoft took that the meeting records by itself."""
    recording: ArtefactOfMeeting | None
    """The newest recording; null while nothing is known of one."""
    recording_version: int
    """The version of recording-ingest's event that ``recording`` is from; 0 when there was none."""
    transcript: ArtefactOfMeeting | None
    """The newest transcript; null while nothing is known of one."""
    transcript_version: int
    """The version of recording-ingest's event that ``transcript`` is from; 0 when there was none."""
    changed_at: datetime
    """When this state began."""
    shared_with_attendees: bool = False
    """Whether the organizer lets attendees who are connected read recordings and transcripts in Prospo."""
