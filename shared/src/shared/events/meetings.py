"""Emitted by meetings. Key: organisation and meeting."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel

from shared.events.base import Event


class Attendee(BaseModel):
    email: str
    name: str | None = None


class MeetingEvent(Event):
    emitter: ClassVar[str] = "meetings"
    meeting_id: str

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.meeting_id}"


class MeetingScheduled(MeetingEvent):
    """The Teams meeting exists in the organizer's calendar with a join link; invitations are on their way."""

    topic: ClassVar[str] = "meeting.scheduled"
    user_id: str
    organizer_oid: str
    online_meeting_id: str
    join_url: str
    subject: str
    start: datetime
    end: datetime
    attendees: list[Attendee]
    auto_recording: bool


class MeetingRescheduled(MeetingEvent):
    """Subject, times or attendees changed; the join link stays."""

    topic: ClassVar[str] = "meeting.rescheduled"
    subject: str
    start: datetime
    end: datetime
    attendees: list[Attendee]


class MeetingCancelled(MeetingEvent):
    """The meeting was cancelled in Prospo; Microsoft told the attendees."""

    topic: ClassVar[str] = "meeting.cancelled"


class MeetingRecordingChanged(MeetingEvent):
    """Microsoft took that a booked meeting records by itself from now on, or no longer; emitted after the switch.

    ``reason`` says why it does not: ``switched_off`` or ``refused`` (by Microsoft).
    """

    topic: ClassVar[str] = "meeting.recording_changed"
    user_id: str
    auto_recording: bool
    reason: Literal["switched_off", "refused"] | None = None


class MeetingEnded(MeetingEvent):
    """The meeting is over, as far as ``source`` can tell; a better source emits it again with higher confidence.

    ``ended_at`` is the booked end for ``booked_end``; it is a fact only for ``call_event`` and ``artefact``.
    """

    topic: ClassVar[str] = "meeting.ended"
    user_id: str
    ended_at: datetime
    source: Literal["call_event", "artefact", "booked_end"]
    confidence: Literal["high", "medium", "low"]
    auto_recording: bool = False
