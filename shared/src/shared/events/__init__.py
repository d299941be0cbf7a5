"""The integration events, one file per producer. Imports pydantic and the standard library only."""

from shared.events.base import Event, schema_id
from shared.events.contacts import ContactsChanged, ContactsImported
from shared.events.leaving import (
    ContactTracesRemoved,
    LeftBehind,
    MailTracesRemoved,
    MeetingApplicationTracesRemoved,
    MeetingTracesRemoved,
    RecordingTracesRemoved,
    TracesRemoved,
)
from shared.events.mail import MailFailed, MailReceived, MailSent
from shared.events.meetings import (
    Attendee,
    MeetingAttendeeResponded,
    MeetingCancelled,
    MeetingEnded,
    MeetingRecordingChanged,
    MeetingRescheduled,
    MeetingScheduled,
    MeetingState,
)
from shared.events.recordings import (
    ArtefactAwaited,
    ArtefactDetected,
    ArtefactMoved,
    GapRepaired,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
    TranscriptUnavailable,
)
from shared.events.storage import FileDeleted, FileStored, StorageLocationChanged, StorageLocationSelected
from shared.events.tenant import (
    Features,
    TenantConnected,
    TenantDisconnected,
    TenantFeaturesChanged,
    TenantLeft,
    TenantReadinessChanged,
    TenantState,
)
from shared.events.user import (
    UserConnected,
    UserConnectionExpired,
    UserDisconnected,
    UserLeft,
    UserReconnected,
    UserState,
)


def _below(kind: type[Event]) -> list[type[Event]]:
    return [event for one in kind.__subclasses__() for event in (one, *_below(one))]


ALL: dict[str, type[Event]] = {event.topic: event for event in _below(Event) if event.topic}
"""Topic → event class, of everything the platform publishes."""

__all__ = [
    "ALL",
    "ArtefactAwaited",
    "ArtefactDetected",
    "ArtefactMoved",
    "Attendee",
    "ContactTracesRemoved",
    "ContactsChanged",
    "ContactsImported",
    "Event",
    "Features",
    "FileDeleted",
    "FileStored",
    "GapRepaired",
    "LeftBehind",
    "MailFailed",
    "MailReceived",
    "MailSent",
    "MailTracesRemoved",
    "MeetingApplicationTracesRemoved",
    "MeetingAttendeeResponded",
    "MeetingCancelled",
    "MeetingEnded",
    "MeetingRecordingChanged",
    "MeetingRescheduled",
    "MeetingScheduled",
    "MeetingState",
    "MeetingTracesRemoved",
    "RecordingImported",
    "RecordingTracesRemoved",
    "RecordingUnavailable",
    "StorageLocationChanged",
    "StorageLocationSelected",
    "TenantConnected",
    "TenantDisconnected",
    "TenantFeaturesChanged",
    "TenantLeft",
    "TenantReadinessChanged",
    "TenantState",
    "TracesRemoved",
    "TranscriptImported",
    "TranscriptUnavailable",
    "UserConnected",
    "UserConnectionExpired",
    "UserDisconnected",
    "UserLeft",
    "UserReconnected",
    "UserState",
    "schema_id",
]
