"""Emitted by recording-ingest. Key: organisation and meeting. An artefact is a recording or a transcript."""

from datetime import datetime
from typing import ClassVar, Literal

from shared.events.base import Event


class ArtefactEvent(Event):
    emitter: ClassVar[str] = "recording-ingest"
    meeting_id: str

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.meeting_id}"


class ArtefactDetected(ArtefactEvent):
    """Microsoft has a recording or transcript of one of our meetings; its transfer is queued."""

    topic: ClassVar[str] = "artefact.detected"
    artefact_id: str
    kind: Literal["recording", "transcript"]
    created_at: datetime
    ended_at: datetime | None = None


class ArtefactAwaited(ArtefactEvent):
    """What the Org Admin's switch or a lost connection kept away is waited for again.

    Takes back that it would not arrive; ``detected`` says that Microsoft has it and that its transfer goes on.
    """

    topic: ClassVar[str] = "artefact.awaited"
    kind: Literal["recording", "transcript"]
    detected: bool


class RecordingImported(ArtefactEvent):
    """The recording is stored, whole and size-checked."""

    topic: ClassVar[str] = "recording.imported"
    artefact_id: str
    file_id: str
    size_bytes: int
    content_type: str
    location: str
    """Where it lies, for people: ``Prospo storage`` or the SharePoint folder."""


class TranscriptImported(ArtefactEvent):
    """The transcript is parsed and readable at ``GET /v1/transcripts/{transcript_id}``."""

    topic: ClassVar[str] = "transcript.imported"
    transcript_id: str
    speakers: list[str]
    first_lines: list[str]
    """At most three, as ``Speaker: words``, each at most 200 characters."""
    line_count: int


class RecordingUnavailable(ArtefactEvent):
    """No recording will arrive, with the reason for people."""

    topic: ClassVar[str] = "recording.unavailable"
    code: str
    reason: str


class TranscriptUnavailable(ArtefactEvent):
    """No transcript will arrive, with the reason for people."""

    topic: ClassVar[str] = "transcript.unavailable"
    code: str
    reason: str
