"""What the API shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from recording_ingest import planning
from recording_ingest.absences import Absence
from recording_ingest.graph import KINDS
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting, StepRow, TranscriptRow, UnassignedRow
from shared.connections.obstacles import FEATURE_OFF
from shared.web.routes import StrictModel

_BY_HAND = "Automatic recording is off for this meeting; it arrives if somebody presses record."


class LineShown(BaseModel):
    """``number`` counts the lines of its transcript from 1."""

    number: int
    speaker: str | None
    start_ms: int
    end_ms: int
    text: str


class TranscriptShown(BaseModel):
    """What was said; times in milliseconds from the start of the recording, negative before it."""

    id: str
    meeting_id: str
    language: str | None
    speakers: list[str]
    attributed: bool
    """False when the organisation's Teams does not tell applications who said what."""
    line_count: int
    """Lines of the whole transcript; 0 when nothing was said."""
    lines: list[LineShown]
    """One page of them, or those that were looked for."""
    next_cursor: str | None

    @classmethod
    def of(cls, row: TranscriptRow, lines: Sequence[Any], limit: int) -> Self:
        shown = [LineShown.model_validate(dict(line._mapping)) for line in lines[:limit]]  # noqa: SLF001 - its public name
        more = str(shown[-1].number) if len(lines) > limit else None
        return cls.model_validate(row.model_dump() | {"lines": shown, "next_cursor": more})


class Hit(LineShown):
    """A line that was found, and where."""

    transcript_id: str
    meeting_id: str


class ArtefactShown(BaseModel):
    """``status``: expected, not_expected, detected, importing, paused, imported or unavailable.

    A pair has the same ``pair_id``.
    """

    kind: str
    status: str
    id: str | None = None
    expected_by: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    detected_at: datetime | None = None
    size_bytes: int | None = None
    file_id: str | None = None
    pair_id: str | None = None
    code: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, row: ArtefactRow, meeting: LedgerMeeting) -> Self:
        shown = cls.model_validate(row.model_dump() | {"pair_id": row.content_correlation_id})
        told = meeting.absences.get(row.kind)
        if told and shown.reason is None and told.get("artefact_id", row.id) == row.id:
            shown.code, shown.reason = told["code"], told["reason"]
        return shown

    @classmethod
    def unseen(cls, kind: str, meeting: LedgerMeeting, expected_by: datetime | None, halt: Absence | None) -> Self:
        told = meeting.absences.get(kind)
        if told:
            return cls(
                kind=kind, status="unavailable", expected_by=expected_by, code=told["code"], reason=told["reason"]
            )
        if halt and halt.code == FEATURE_OFF:
            return cls(kind=kind, status="not_expected", code=halt.code, reason=halt.reason)
        reason = None if meeting.auto_recording else _BY_HAND
        return cls(kind=kind, status="expected", expected_by=expected_by, reason=reason)


class StepShown(BaseModel):
    """``what``: scheduled, rescheduled, cancelled, recording_option, ended, notified, looked, assigned,
    left_unassigned, moved_away, import_begun, imported, unavailable or expected_again. ``details`` are ids,
    codes and numbers."""

    at: datetime
    what: str
    details: dict[str, Any]


class Story(BaseModel):
    """All that happened to a meeting's recordings and transcripts, oldest first, at most the newest 300 steps."""

    meeting_id: str
    status: str
    start: datetime | None
    end: datetime | None
    ended_at: datetime | None
    series_id: str | None
    original_start: datetime | None
    steps: list[StepShown]

    @classmethod
    def of(cls, meeting: LedgerMeeting, steps: Sequence[StepRow]) -> Self:
        told = [{"at": step.at, "what": step.what, "details": step.details} for step in steps]
        times = {"start": meeting.starts_at, "end": meeting.ends_at}
        return cls.model_validate(meeting.model_dump() | times | {"steps": told})


class MissingCount(BaseModel):
    """So many meetings miss this kind for this reason."""

    kind: str
    code: str
    meetings: int
    newest: datetime | None
    """When the newest of them was over."""
    reason: str
    """As a sentence for people, of one of them."""


class MissingOf(BaseModel):
    """What one meeting misses. No subject and no words: these are its organizer's."""

    meeting_id: str
    user_id: str | None
    start: datetime | None
    over: datetime | None
    recording: str | None
    """The code of the reason; null when none is missing."""
    transcript: str | None

    @classmethod
    def of(cls, row: Any) -> Self:
        codes = {kind: row.absences.get(kind, {}).get("code") for kind in KINDS}
        return cls(meeting_id=row.meeting_id, user_id=row.user_id, start=row.start, over=row.over, **codes)


class Missing(BaseModel):
    """What is missing in the organisation and why; ``counts`` are of all meetings, ``items`` one page."""

    counts: list[MissingCount]
    items: list[MissingOf]
    next_cursor: str | None


class Choice(BaseModel):
    """A meeting behind the join link; ``score`` says how well it fits, 0 to about 2."""

    meeting_id: str
    subject: str
    start: datetime | None
    end: datetime | None
    status: str
    score: float | None


class UnassignedShown(BaseModel):
    """``why``: ``close`` when two meetings fit about as well, ``far`` when none fits. The best choice comes first."""

    id: str
    kind: str
    created_at: datetime
    ended_at: datetime | None
    noticed_at: datetime
    why: str
    choices: list[Choice]

    @classmethod
    def of(cls, row: UnassignedRow | ArtefactRow, meetings: Sequence[LedgerMeeting]) -> Self:
        about = row.model_dump()
        if isinstance(row, ArtefactRow):  # it had a meeting, and was set adrift when that was moved
            about |= {"noticed_at": row.detected_at, **(row.adrift or {})}
        scores = {one["meeting_id"]: one["score"] for one in about["scores"]}
        away = {one.meeting_id: abs((one.starts_at or row.created_at) - row.created_at) for one in meetings}
        best = sorted(meetings, key=lambda one: (-scores.get(one.meeting_id, -1), away[one.meeting_id]))
        choices = [
            Choice(
                meeting_id=one.meeting_id,
                subject=one.subject,
                start=one.starts_at,
                end=one.ends_at,
                status=one.status,
                score=scores.get(one.meeting_id),
            )
            for one in best[:_MOST_CHOICES]
        ]
        return cls.model_validate(about | {"choices": choices})


_MOST_CHOICES = 10


class NewCheck(StrictModel):
    """Nothing to say: all of the meeting is looked for."""


class Assignment(StrictModel):
    """Nothing to say: the path names both."""


class Ledger(BaseModel):
    """What is expected of a meeting, seen, imported, or absent and why."""

    meeting_id: str
    subject: str
    status: str
    auto_recording: bool
    artefacts: list[ArtefactShown]

    @classmethod
    def of(cls, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], halt: Absence | None, settings: Settings) -> Self:
        by = planning.expected_by(meeting, settings)
        shown: list[ArtefactShown] = []
        for kind in KINDS:
            seen = [ArtefactShown.of(row, meeting) for row in rows if row.kind == kind]
            if seen or meeting.status != "cancelled":
                shown += seen or [ArtefactShown.unseen(kind, meeting, by, halt)]
        return cls(
            meeting_id=meeting.meeting_id,
            subject=meeting.subject,
            status=meeting.status,
            auto_recording=meeting.auto_recording,
            artefacts=shown,
        )
