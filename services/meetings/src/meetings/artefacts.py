"""Recording and transcript in the meeting record; an older version of an artefact changes nothing.

Each returns whether the record changed.
"""

from typing import Any

from meetings.tables import MeetingRow
from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    FileDeleted,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
    TranscriptUnavailable,
)

_DELETED = {
    "person": "Whose recording it was deleted it.",
    "org_admin": "An Org Admin deleted the recording.",
    "retention": "Your organisation keeps files no longer than this recording is old.",
}


def expect(meeting: MeetingRow, event: ArtefactDetected) -> bool:
    """It is on its way; said only while nothing more is known."""
    if event.kind == "recording" and meeting.recording is None:
        seconds = (event.ended_at - event.created_at).total_seconds() if event.ended_at else None
        return _recording(meeting, event.aggregate_version, {"status": "importing", "duration_s": seconds})
    if event.kind == "transcript" and meeting.transcript is None:
        return _transcript(meeting, event.aggregate_version, {"status": "importing"})
    return False


def expect_again(meeting: MeetingRow, event: ArtefactAwaited) -> bool:
    """That it would not arrive is taken back."""
    shown = {"status": "importing"} if event.detected else None
    if event.kind == "recording" and not _imported(meeting.recording):
        return _recording(meeting, event.aggregate_version, shown)
    if event.kind == "transcript" and not _imported(meeting.transcript):
        return _transcript(meeting, event.aggregate_version, shown)
    return False


def keep_recording(meeting: MeetingRow, event: RecordingImported) -> bool:
    shown = {
        "status": "imported",
        "artefact_id": event.artefact_id,
        "file_id": event.file_id,
        "size_bytes": event.size_bytes,
        "content_url": f"/v1/files/{event.file_id}/content",
        "location": event.location,
        "duration_s": (meeting.recording or {}).get("duration_s"),
    }
    return _recording(meeting, event.aggregate_version, shown)


def miss_recording(meeting: MeetingRow, event: RecordingUnavailable) -> bool:
    return not _imported(meeting.recording) and _recording(meeting, event.aggregate_version, _unavailable(event))


def lose_recording(meeting: MeetingRow, event: FileDeleted) -> bool:
    """It was imported, and somebody deleted it since; another recording that was imported meanwhile stays."""
    if (meeting.recording or {}).get("file_id") != event.file_id:
        return False
    shown = {
        "status": "unavailable",
        "code": "file_deleted",
        "reason": _DELETED.get(event.because, "The recording was deleted."),
    }
    return _recording(meeting, meeting.recording_version, shown)


def keep_transcript(meeting: MeetingRow, event: TranscriptImported) -> bool:
    shown = {
        "status": "imported",
        "artefact_id": event.artefact_id,
        "speakers": event.speakers,
        "line_count": event.line_count,
        "content_url": f"/v1/transcripts/{event.artefact_id}",
    }
    return _transcript(meeting, event.aggregate_version, shown)


def miss_transcript(meeting: MeetingRow, event: TranscriptUnavailable) -> bool:
    return not _imported(meeting.transcript) and _transcript(meeting, event.aggregate_version, _unavailable(event))


def _unavailable(event: RecordingUnavailable | TranscriptUnavailable) -> dict[str, Any]:
    return {"status": "unavailable", "code": event.code, "reason": event.reason}


def _imported(artefact: dict[str, Any] | None) -> bool:
    return artefact is not None and artefact["status"] == "imported"


def _recording(meeting: MeetingRow, version: int, shown: dict[str, Any] | None) -> bool:
    newer = version >= meeting.recording_version
    if newer:
        meeting.recording, meeting.recording_version = shown, version
    return newer


def _transcript(meeting: MeetingRow, version: int, shown: dict[str, Any] | None) -> bool:
    newer = version >= meeting.transcript_version
    if newer:
        meeting.transcript, meeting.transcript_version = shown, version
    return newer
