"""Emitted by tenant-connector. Key: the organisation."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from shared.events.base import Event, Part, Pseudonym, known
from shared.events.leaving import LeftBehind

Capability = Literal[
    "consent",
    "permissions",
    "transcript_access",
    "speaker_attribution",
    "application_access_policy",
    "mail_permissions",
    "contacts_access",
    "licences",
    "mailbox",
    "notifications",
    "call_events",
    "credential_expiry",
    "storage_write",
]
Verdict = Literal["ready", "waiting", "action_needed", "not_needed", "unknown"]
Who = Literal["org_admin", "microsoft_admin", "teams_admin", "operator"]
TenantLeftBecause = Literal["by_org_admin", "unknown_at_microsoft"]


class Features(Part):
    """The Org Admin's four switches, with the defaults a new connection gets."""

    outlook_email: bool = True
    """Prospo may send mail as people and show their conversations."""
    auto_recording: bool = False
    """Meetings record by themselves, and recording and transcript are imported."""
    contacts_import: bool = True
    """People may import their Outlook contacts."""
    sharepoint_storage: bool = False
    """Files go to a chosen place in SharePoint."""


class TenantEvent(Event):
    emitter: ClassVar[str] = "tenant-connector"


class TenantConnected(TenantEvent):
    """The organisation's Microsoft tenant is proven by an app-only token and ``GET /organization``."""

    topic: ClassVar[str] = "tenant.connected"
    tid: str
    """The tenant's id at Microsoft."""
    display_name: str
    """The tenant's name at Microsoft."""
    features: Features
    """The switches as they are now."""


class TenantDisconnected(TenantEvent):
    """An Org Admin disconnected the tenant, or Microsoft no longer knows us there. Data is kept."""

    topic: ClassVar[str] = "tenant.disconnected"
    tid: str | None
    """The tenant that was connected."""
    code: Annotated[str, known(TenantLeftBecause)]
    """Whether an Org Admin did it, or Microsoft knows the tenant or our application in it no more."""
    reason: str
    """The same as a sentence for people."""
    leaving_until: datetime | None = None
    """Until when, at the latest, what Prospo set at Microsoft is being removed; null where Microsoft no longer lets it.
    ``tenant.left`` tells the end."""


class TenantLeft(TenantEvent):
    """What was removed at Microsoft after an Org Admin disconnected, over all people and of the application's own, and
    what stays.

    Emitted when all have told, or when the time for it is over; again, whole, when one tells later.
    """

    topic: ClassVar[str] = "tenant.left"
    people: int
    """How many people were connected."""
    people_unknown: int
    """For how many of these people not every service told what it removed. What was set for them ends by itself within
    a week, but for automatic recording."""
    removed: int
    """How many subscriptions and automatic recordings are there no more."""
    left: list[LeftBehind]
    """What stays at Microsoft, why, and until when."""
    application_unknown: bool = False
    """Whether it was not told what became of the subscriptions that Prospo made as the application. They end by
    themselves within a day."""


class TenantFeaturesChanged(TenantEvent):
    """An Org Admin changed a switch; ``features`` is the state after the change.

    Or another tenant than the last one was connected, which does not have the place that was chosen for files.
    """

    topic: ClassVar[str] = "tenant.features_changed"
    features: Features
    """All switches as they are now."""
    changed_by: Pseudonym
    """The ``user_id`` of the Org Admin."""


class TenantReadinessChanged(TenantEvent):
    """A capability's verdict changed.

    Emitted once per change, never when a check found the same again. Its ``aggregate_version`` counts the changes of
    the organisation's board, and is not comparable with that of other events.
    """

    topic: ClassVar[str] = "tenant.readiness_changed"
    capability: Annotated[str, known(Capability)]
    """What was looked at."""
    verdict: Annotated[str, known(Verdict)]
    """What was found; ``waiting`` is expected to become ready by itself."""
    reason: str | None = None
    """Why, as a sentence for people."""
    previous: Annotated[str, known(Verdict)] | None = None
    """The verdict before; null for the first one."""
    remedy: str | None = None
    """What mends it, to follow or to copy."""
    who: Annotated[str, known(Who)] | None = None
    """Who must act; null when nobody must."""
    until: datetime | None = None
    """How long Microsoft may still need, when the verdict is ``waiting``."""


class TenantState(TenantEvent):
    """The whole current state after any change of the tenant; compacted, for late joiners and local copies."""

    topic: ClassVar[str] = "tenant.state"
    connected: bool
    """Whether the organisation's tenant is connected and proven."""
    tid: str | None
    """The tenant's id at Microsoft; null when none is known."""
    features: Features
    """The switches; they are kept while no tenant is connected."""
    changed_at: datetime
    """When this state began."""
    leaving_until: datetime | None = None
    """Until when, at the latest, what Prospo set at Microsoft is being removed; nothing else is asked of Microsoft."""
