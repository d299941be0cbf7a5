"""The integration events, one file per producer. Imports pydantic and the standard library only."""

from shared.events.base import Event, schema_id
from shared.events.contacts import ContactsChanged, ContactsImported
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
    TenantReadinessChanged,
    TenantState,
)
from shared.events.user import UserConnected, UserConnectionExpired, UserDisconnected, UserReconnected, UserState

ALL: dict[str, type[Event]] = {
    event.topic: event
    for event in (
        ArtefactAwaited,
        ArtefactDetected,
        ContactsChanged,
        ContactsImported,
        FileDeleted,
        FileStored,
        GapRepaired,
        MailFailed,
        MailReceived,
        MailSent,
        MeetingAttendeeResponded,
        MeetingCancelled,
        MeetingEnded,
        MeetingRecordingChanged,
        MeetingRescheduled,
        MeetingScheduled,
        MeetingState,
        RecordingImported,
        RecordingUnavailable,
        StorageLocationChanged,
        StorageLocationSelected,
        TenantConnected,
        TenantDisconnected,
        TenantFeaturesChanged,
        TenantReadinessChanged,
        TenantState,
        TranscriptImported,
        TranscriptUnavailable,
        UserConnected,
        UserConnectionExpired,
        UserDisconnected,
        UserReconnected,
        UserState,
    )
}
"""Topic → event class, of everything the platform publishes."""
TO_COME: set[str] = set()
"""Topics that are settled and that nobody emits yet."""

__all__ = [
    "ALL",
    "TO_COME",
    "ArtefactAwaited",
    "ArtefactDetected",
    "Attendee",
    "ContactsChanged",
    "ContactsImported",
    "Event",
    "Features",
    "FileDeleted",
    "FileStored",
    "GapRepaired",
    "MailFailed",
    "MailReceived",
    "MailSent",
    "MeetingAttendeeResponded",
    "MeetingCancelled",
    "MeetingEnded",
    "MeetingRecordingChanged",
    "MeetingRescheduled",
    "MeetingScheduled",
    "MeetingState",
    "RecordingImported",
    "RecordingUnavailable",
    "StorageLocationChanged",
    "StorageLocationSelected",
    "TenantConnected",
    "TenantDisconnected",
    "TenantFeaturesChanged",
    "TenantReadinessChanged",
    "TenantState",
    "TranscriptImported",
    "TranscriptUnavailable",
    "UserConnected",
    "UserConnectionExpired",
    "UserDisconnected",
    "UserReconnected",
    "UserState",
    "schema_id",
]
