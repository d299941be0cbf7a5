"""The ledger of meetings, their artefacts, and the transcripts."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, FetchedValue
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


def _moment(*, nullable: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


class LedgerMeeting(Table, table=True):
    """A meeting scheduled through Prospo. What only ``meeting.scheduled`` tells is None until that has arrived."""

    __tablename__ = "ledger_meeting"

    org_id: str = Field(primary_key=True)
    meeting_id: str = Field(primary_key=True)
    user_id: str | None = None
    organizer_oid: str | None = None
    online_meeting_id: str | None = None
    subject: str = ""
    starts_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    ends_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    call: str | None = None
    """``held`` or ``none`` where Microsoft told whether people met; None where it does not tell."""
    auto_recording: bool = False
    auto_recording_code: str | None = None
    """Why it is false: ``switched_off`` by an Org Admin, ``refused`` by Microsoft; None of older meetings."""
    status: str = "scheduled"
    meeting_version: int = Field(default=0, sa_type=BigInteger)
    """The newest version of the meeting that was told to us."""
    recording_version: int = Field(default=0, sa_type=BigInteger)
    """The version of the meeting that ``auto_recording`` is from."""
    revision: int = Field(default=0, sa_type=BigInteger)
    """Counts the reconciliations begun; the job of an older one ends."""
    version: int = Field(default=0, sa_type=BigInteger)
    """Counts what we told others; leaves with every event as the aggregate version."""
    looked_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When it was last compared with Microsoft's lists."""
    series_id: str | None = None
    """The series that it is an occurrence of; None of a single meeting."""
    original_start: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When the series has this occurrence, wherever it was moved to."""
    absences: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    """Kind → code and reason of what was declared absent, and the artefact when it is about one."""


class ArtefactRow(Table, table=True):
    """One recording or transcript that Microsoft has."""

    __tablename__ = "artefact"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    meeting_id: str
    kind: str
    graph_id: str
    call_id: str | None = None
    content_correlation_id: str | None = None
    created_at: datetime = Field(sa_column=_moment())
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    detected_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=FetchedValue(), nullable=False)
    )
    resumed_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """When an import that had paused went on; its time to succeed counts from then."""
    status: str = "detected"
    by_person: bool = False
    """Whether a person said which meeting it belongs to; nothing moves it then."""
    adrift: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """``why`` and ``scores``, once it fits none: then it is unassigned, and ``meeting_id`` is where it was."""
    file_id: str | None = None
    location: str | None = None
    """The place of the file, as storage says; None for files imported before it was kept."""
    size_bytes: int | None = Field(default=None, sa_type=BigInteger)
    code: str | None = None
    reason: str | None = None

    @property
    def tried_since(self) -> datetime:
        return self.resumed_at or self.detected_at


class TranscriptRow(Table, table=True):
    """What was said. ``id`` is the artefact's."""

    __tablename__ = "transcript"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    meeting_id: str
    user_id: str
    language: str | None = None
    speakers: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    line_count: int = 0
    attributed: bool = True
    """Whether the tenant let us know who said what."""


class LineRow(Table, table=True):
    """Something said; ``number`` counts from 1. The database adds ``words``, the index of its text."""

    __tablename__ = "transcript_line"

    org_id: str = Field(primary_key=True)
    transcript_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    speaker: str | None = None
    start_ms: int = Field(sa_type=BigInteger)
    end_ms: int = Field(sa_type=BigInteger)
    text: str


class UnassignedRow(Table, table=True):
    """A recording or transcript behind a join link of ours, of which no occurrence is sure enough."""

    __tablename__ = "unassigned"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    online_meeting_id: str
    kind: str
    graph_id: str
    call_id: str | None = None
    content_correlation_id: str | None = None
    created_at: datetime = Field(sa_column=_moment())
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    noticed_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=FetchedValue(), nullable=False)
    )
    why: str
    """``close``: two occurrences fit about as well. ``far``: none fits."""
    scores: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))


class StepRow(Table, table=True):
    """What happened to a meeting's recordings and transcripts here. No words, names or addresses.

    It has no foreign key: that would wait for the lock of a meeting which another transaction is placing things into.
    """

    __tablename__ = "meeting_step"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    meeting_id: str
    at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), server_default=FetchedValue(), nullable=False)
    )
    what: str
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class GapRow(Table, table=True):
    """An interval in which nothing was fetched for a person; ``version`` counts the person's."""

    __tablename__ = "gap"

    org_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    cause: str
    began_at: datetime = Field(sa_column=_moment())
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    """None while it lasts."""
    meetings: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    """Meetings that are looked at again since the gap is over."""
    repaired: bool = False
    """Whether that was announced."""


class WatchRow(Table, table=True):
    """When a person's meetings were last known to be followed."""

    __tablename__ = "watch"

    org_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    watched_at: datetime = Field(sa_column=_moment())
