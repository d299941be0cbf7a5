"""Emitted by recording-ingest. Key: organisation and meeting. An artefact is a recording or a transcript."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from shared.events.base import Direct, Event, Pseudonym, known

AbsenceCode = Literal[
    "account_not_connected",
    "admin_required",
    "another_account",
    "artefact_empty",
    "artefact_expired",
    "artefact_gone",
    "auto_recording_changed",
    "auto_recording_off",
    "auto_recording_refused",
    "download_blocked",
    "feature_off",
    "import_failed",
    "late_start",
    "meeting_gone",
    "microsoft_refused",
    "nobody_joined",
    "not_recorded",
    "not_transcribed",
    "permission_missing",
    "recording_not_allowed",
    "recording_policy",
    "storage_location_stopped",
    "tenant_not_connected",
    "transcript_unreadable",
    "transcription_not_allowed",
    "transcripts_disabled",
]


GapCause = Literal[
    "account_not_connected",
    "another_account",
    "feature_off",
    "permission_missing",
    "tenant_not_connected",
    "outage",
]


class ArtefactEvent(Event):
    emitter: ClassVar[str] = "recording-ingest"
    meeting_id: str
    """The meeting in Prospo; its owner is in ``meeting.state``. These events may come before ``meeting.scheduled``."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.meeting_id}"


class ArtefactDetected(ArtefactEvent):
    """Microsoft has a recording or transcript of one of our meetings; its transfer is queued.

    A meeting has as many as people started and stopped recording, each detected once.
    """

    topic: ClassVar[str] = "artefact.detected"
    artefact_id: str
    """The artefact in Prospo; ``recording.imported`` and ``transcript.imported`` name it again."""
    kind: Literal["recording", "transcript"]
    """A recording or a transcript. No other kind will be added."""
    created_at: datetime
    """When recording or transcription began, as Microsoft says."""
    ended_at: datetime | None = None
    """When it stopped, as Microsoft says; null when it does not say so."""
    call_id: str | None = None
    """The call in which it was made; people who leave and meet again make another. Null where Microsoft has none."""
    pair_id: str | None = None
    """A recording and a transcript with the same value were made together; null where Microsoft does not say."""


class ArtefactAwaited(ArtefactEvent):
    """A recording or transcript that was reported unavailable is expected again.

    The Org Admin's switch is on again, or the connection works again. This supersedes the earlier ``*.unavailable``.
    """

    topic: ClassVar[str] = "artefact.awaited"
    kind: Literal["recording", "transcript"]
    """Which kind is waited for. No other will be added."""
    detected: bool
    """Whether Microsoft is known to have it, so that its transfer goes on."""
    artefact_id: str | None = None
    """The artefact, as in ``artefact.detected``; null when Microsoft is not known to have any."""


class ArtefactMoved(ArtefactEvent):
    """A recording or transcript belongs to this meeting no longer: its series was changed, and it fits another.

    Whoever shows it here takes it away. The other meeting tells it by events of its own: ``artefact.detected``, and
    ``recording.imported`` or ``transcript.imported`` with the same artefact and file.
    """

    topic: ClassVar[str] = "artefact.moved"
    artefact_id: str
    """The artefact, as in ``artefact.detected``."""
    kind: Literal["recording", "transcript"]
    """A recording or a transcript. No other kind will be added."""
    to_meeting_id: str | None = None
    """The meeting that it belongs to now; null while it is unassigned, until the organizer says."""


class RecordingImported(ArtefactEvent):
    """The recording is stored, whole and size-checked. Takes back an earlier ``recording.unavailable``.

    A meeting that was recorded more than once has one of these for each recording.
    """

    topic: ClassVar[str] = "recording.imported"
    artefact_id: str
    """The artefact, as in ``artefact.detected``."""
    file_id: str
    """The stored file; the organizer reads it at ``GET /v1/files/{file_id}/content``."""
    size_bytes: int
    """Bytes of the whole file; may exceed 2^31."""
    content_type: str
    """Its media type, such as ``video/mp4``."""
    location: str
    """Where it lies, for people to read: ``Prospo storage`` or the SharePoint folder. Programs use ``file_id``."""
    created_at: datetime
    """When the recording began, as Microsoft says."""
    ended_at: datetime | None = None
    """When the recording stopped, as Microsoft says; null when it does not say so."""


class TranscriptImported(ArtefactEvent):
    """The transcript is parsed; the organizer reads it at ``GET /v1/transcripts/{artefact_id}``.

    Takes back an earlier ``transcript.unavailable``. What was said is never in an event.
    """

    topic: ClassVar[str] = "transcript.imported"
    artefact_id: str
    """The artefact, as in ``artefact.detected``."""
    speakers: list[Direct]
    """The names of those who spoke, at most 100; empty when the organisation's transcripts name nobody."""
    line_count: int
    """How many things were said."""
    created_at: datetime
    """When the transcription began, as Microsoft says."""
    ended_at: datetime | None = None
    """When the transcription stopped, as Microsoft says; null when it does not say so."""


class RecordingUnavailable(ArtefactEvent):
    """No recording will arrive as things are, or the one in ``artefact_id`` will not; others of the meeting may have.

    Emitted at once for what is known for sure, else when the deadline after the meeting has passed. When the cause is
    mended, ``artefact.awaited`` or ``recording.imported`` may follow.
    """

    topic: ClassVar[str] = "recording.unavailable"
    code: Annotated[str, known(AbsenceCode)]
    """Why."""
    reason: str
    """Why, and who mends it how, as a sentence for people."""
    artefact_id: str | None = None
    """The artefact, as in ``artefact.detected``; null when Microsoft is not known to have any."""


class TranscriptUnavailable(ArtefactEvent):
    """No transcript will arrive as things are, or the one in ``artefact_id`` will not; others of the meeting may have.

    Emitted at once for what is known for sure, else when the deadline after the meeting has passed. When the cause is
    mended, ``artefact.awaited`` or ``transcript.imported`` may follow.
    """

    topic: ClassVar[str] = "transcript.unavailable"
    code: Annotated[str, known(AbsenceCode)]
    """Why."""
    reason: str
    """Why, and who mends it how, as a sentence for people."""
    artefact_id: str | None = None
    """The artefact, as in ``artefact.detected``; null when Microsoft is not known to have any."""


class GapRepaired(Event):
    """For some time nothing was fetched for a person; what was missed was looked for at Microsoft since.

    Emitted once for each interval, when every meeting of it was compared with Microsoft's lists. Imports that this
    began are told by their own events. ``aggregate_version`` counts the person's gaps.
    """

    topic: ClassVar[str] = "gap.repaired"
    emitter: ClassVar[str] = "recording-ingest"
    user_id: Pseudonym
    """The organizer in Prospo whose meetings these are."""
    cause: Annotated[str, known(GapCause)]
    """What kept Prospo from Microsoft: the connection, the Org Admin's switch, or an outage of Prospo."""
    began_at: datetime
    """When it began. Of an outage: when the person's meetings were last known to be followed."""
    ended_at: datetime
    """When it was over."""
    meetings: int
    """How many meetings were looked at again."""
    found: int
    """How many recordings and transcripts were found that had been missed."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"
