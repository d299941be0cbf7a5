"""Recording and transcript in the meeting record; an older version of an artefact changes nothing."""

from typing import Any

from meetings.tables import MeetingRow
from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
    TranscriptUnavailable,
)


def expect(meeting: MeetingRow, event: ArtefactDetected) -> None:
    """It is on its way; said only while nothing more is known."""
    if event.kind == "recording" and meeting.recording is None:
        seconds = (event.ended_at - event.created_at).total_seconds() if event.ended_at else None
        _recording(meeting, event.aggregate_version, {"status": "importing", "duration_s": seconds})
    if event.kind == "transcript" and meeting.transcript is None:
        _transcript(meeting, event.aggregate_version, {"status": "importing"})


def expect_again(meeting: MeetingRow, event: ArtefactAwaited) -> None:
    """That it would not arrive is taken back."""
    shown = {"status": "importing"} if event.detected else None
    if event.kind == "recording" and not _imported(meeting.recording):
        _recording(meeting, event.aggregate_version, shown)
    if event.kind == "transcript" and not _imported(meeting.transcript):
        _transcript(meeting, event.aggregate_version, shown)


def keep_recording(meeting: MeetingRow, event: RecordingImported) -> None:
    shown = {
        "status": "imported",
        "size_bytes": event.size_bytes,
        "content_url": f"/v1/files/{event.file_id}/content",
        "location": event.location,
        "duration_s": (meeting.recording or {}).get("duration_s"),
    }
    _recording(meeting, event.aggregate_version, shown)


def miss_recording(meeting: MeetingRow, event: RecordingUnavailable) -> None:
    if not _imported(meeting.recording):
        _recording(meeting, event.aggregate_version, _unavailable(event))


def keep_transcript(meeting: MeetingRow, event: TranscriptImported) -> None:
    shown = {
        "status": "imported",
        "speakers": event.speakers,
        "first_lines": event.first_lines,
        "content_url": f"/v1/transcripts/{event.transcript_id}",
    }
    _transcript(meeting, event.aggregate_version, shown)


def miss_transcript(meeting: MeetingRow, event: TranscriptUnavailable) -> None:
    if not _imported(meeting.transcript):
        _transcript(meeting, event.aggregate_version, _unavailable(event))


def _unavailable(event: RecordingUnavailable | TranscriptUnavailable) -> dict[str, Any]:
    return {"status": "unavailable", "code": event.code, "reason": event.reason}


def _imported(artefact: dict[str, Any] | None) -> bool:
    return artefact is not None and artefact["status"] == "imported"


def _recording(meeting: MeetingRow, version: int, shown: dict[str, Any] | None) -> None:
    if version >= meeting.recording_version:
        meeting.recording, meeting.recording_version = shown, version
        meeting.version += 1


def _transcript(meeting: MeetingRow, version: int, shown: dict[str, Any] | None) -> None:
    if version >= meeting.transcript_version:
        meeting.transcript, meeting.transcript_version = shown, version
        meeting.version += 1
