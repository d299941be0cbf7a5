"""The meeting record and the keys of requests already made."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


CANCELLED_IN_OUTLOOK = "cancelled_in_outlook"
"""The code of the problem of a meeting that was cancelled there, and can come back there."""


def _moment(*, nullable: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


class MeetingRow(Table, table=True):
    """One meeting, or a series of them.

    ``version`` counts its changes and leaves with every event as the aggregate version.
    """

    __tablename__ = "meeting"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    organizer_name: str
    organizer_oid: str
    subject: str
    body: str | None = None
    starts_at: datetime = Field(sa_column=_moment())
    ends_at: datetime = Field(sa_column=_moment())
    attendees: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    status: str = "scheduling"
    version: int = Field(default=1, sa_type=BigInteger)
    join_url: str | None = None
    event_id: str | None = None
    online_meeting_id: str | None = None
    shown: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """The event as Microsoft last showed it: ``etag``, subject, start, end, attendees. None for older meetings."""
    zone: str = "UTC"
    """The IANA zone in which the event's times are written."""
    options: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    """``lobby`` and ``presenters`` where the organizer chose them, in Graph's words."""
    responses: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    """Address in lower case → ``response``, ``at``, ``proposed`` times, as the organizer's copy shows them."""
    repeats: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """How a series repeats (``meetings.repeating``); None for a meeting. A series is no meeting itself."""
    series_id: str | None = None
    original_start: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Set for an occurrence only: its series, and the start that the series gives it. Both are its identity."""
    recording_wanted: bool = True
    """False where the organizer chose that this meeting does not record by itself."""
    auto_recording: bool = False
    auto_recording_reason: str | None = None
    """Why it is false: ``switched_off`` by an Org Admin, ``refused`` by Microsoft, ``chosen_off`` by the organizer, or
    ``disconnected``."""
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    ended_source: str | None = None
    ended_confidence: str | None = None
    end_taken_back: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """The end that was published before it was moved in Outlook; the next one corrects it."""
    recording: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    recording_version: int = Field(default=0, sa_type=BigInteger)
    transcript: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    transcript_version: int = Field(default=0, sa_type=BigInteger)
    artefacts: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    """Each recording and transcript that Microsoft made, oldest first; ``artefacts.py`` writes and reads it."""
    call_marks: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    """When calls began and ended, as Microsoft told; of a series those of the last days, of whichever occurrence."""
    calls_watched_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """Since when Microsoft tells of its calls; None where it was never asked, or refused."""
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    shared_with_attendees: bool = False
    """Whether the organizer lets attendees read recordings and transcripts in Prospo."""


class AttendanceRow(Table, table=True):
    """One address that is invited to a meeting, in lower case. The database writes it with the meeting."""

    __tablename__ = "attendance"

    org_id: str = Field(primary_key=True)
    address: str = Field(primary_key=True)
    meeting_id: str = Field(primary_key=True)


class CallRefusalRow(Table, table=True):
    """Microsoft's refusal to tell the organisation's application of calls."""

    __tablename__ = "call_refusal"

    org_id: str = Field(primary_key=True)
    code: str
    detail: str
    request_id: str
    refused_at: datetime = Field(sa_column=_moment())
