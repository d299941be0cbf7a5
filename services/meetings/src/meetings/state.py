"""The versions of a meeting's record, and the state topic that tells each."""

from datetime import UTC, datetime

from meetings.tables import MeetingRow
from shared.database.outbox import Outbox
from shared.events import MeetingState


def changed(meeting: MeetingRow, outbox: Outbox) -> None:
    """The record has a new version. Called when all of the change is in it, for ``meeting.state`` tells it whole."""
    meeting.version += 1
    tell(meeting, outbox)


def tell(meeting: MeetingRow, outbox: Outbox) -> None:
    """Publish the record on ``meeting.state``: ids, times and statuses, no words and no addresses.

    A series is no meeting: only its occurrences are published.
    """
    if meeting.repeats is not None:
        return
    told = meeting.model_dump(
        include={"org_id", "user_id", "organizer_oid", "status", "ended_at", "ended_source", "ended_confidence"}
        | {
            "auto_recording",
            "recording",
            "recording_version",
            "transcript",
            "transcript_version",
            "shared_with_attendees",
        }
    )
    told |= {"aggregate_version": meeting.version, "meeting_id": meeting.id}
    told |= {"start": meeting.starts_at, "end": meeting.ends_at, "changed_at": datetime.now(UTC)}
    outbox.add(MeetingState.model_validate(told))
