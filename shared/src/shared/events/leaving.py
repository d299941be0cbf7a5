"""What the services that keep subscriptions removed at Microsoft after a connection ended. Key: organisation and user.

Each tells user-auth, which sums it up in ``user.left``; other teams read that. What was made as the application is of
no person: it goes with the tenant, and is summed up in ``tenant.left``.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from shared.events.base import Event, Part, Pseudonym, known

LeftKind = Literal["subscription", "automatic_recording"]
LeftBecause = Literal["no_access", "refused", "no_answer"]


class LeftBehind(Part):
    """What stays at Microsoft, of one kind and for one reason."""

    kind: Annotated[str, known(LeftKind)]
    """``subscription``: Microsoft goes on notifying, and Prospo drops it unread. ``automatic_recording``: a booked
    meeting goes on recording by itself, and nothing of it is imported."""
    count: int
    """How many."""
    code: Annotated[str, known(LeftBecause)]
    """``no_access``: Microsoft lets Prospo act for the person no more. ``refused``: it does, and refused this.
    ``no_answer``: Microsoft, or Prospo's own service, did not answer in time."""
    until: datetime | None = None
    """When the last of them ends by itself; null for what does not, and where it is not known."""


def add_up(found: list[LeftBehind]) -> list[LeftBehind]:
    """Merge entries of the same kind and reason. A merged entry has an end when all of its parts have one."""
    alike: dict[tuple[str, str], list[LeftBehind]] = {}
    for one in found:
        alike.setdefault((one.kind, one.code), []).append(one)
    return [
        LeftBehind(kind=kind, count=sum(one.count for one in ones), code=code, until=_last(ones))
        for (kind, code), ones in sorted(alike.items())
    ]


def _last(ones: list[LeftBehind]) -> datetime | None:
    ends = [one.until for one in ones if one.until is not None]
    return max(ends) if len(ends) == len(ones) else None


class TracesRemoved(Event):
    """Told once by each service for an end of the connection. ``aggregate_version`` is the version that ended it."""

    user_id: Pseudonym
    """The person in Prospo, within the organisation."""
    removed: int
    """How many things are there no more."""
    left: list[LeftBehind]
    """What stays."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class MeetingTracesRemoved(TracesRemoved):
    """The service meetings removed its subscriptions and took back automatic recording, as far as it could."""

    topic: ClassVar[str] = "meeting.traces_removed"
    emitter: ClassVar[str] = "meetings"


class MeetingApplicationTracesRemoved(Event):
    """After the disconnect of a tenant: meetings removed the subscriptions to calls, which it made as the application.

    Told once for each disconnect, also where there was none. ``aggregate_version`` is the tenant's version that ended
    it. Key: the organisation. ``tenant.left`` sums it up; other teams read that.
    """

    topic: ClassVar[str] = "meeting.application_traces_removed"
    emitter: ClassVar[str] = "meetings"
    removed: int
    """How many subscriptions are there no more."""
    left: list[LeftBehind]
    """What stays."""


class RecordingTracesRemoved(TracesRemoved):
    """The service recording-ingest removed its subscriptions, as far as it could."""

    topic: ClassVar[str] = "recording.traces_removed"
    emitter: ClassVar[str] = "recording-ingest"


class ContactTracesRemoved(TracesRemoved):
    """The service contacts removed its subscriptions, as far as it could."""

    topic: ClassVar[str] = "contacts.traces_removed"
    emitter: ClassVar[str] = "contacts"


class MailTracesRemoved(TracesRemoved):
    """The service mail removed its subscriptions, as far as it could."""

    topic: ClassVar[str] = "mail.traces_removed"
    emitter: ClassVar[str] = "mail"
