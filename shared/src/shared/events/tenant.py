"""Emitted by tenant-connector. Key: the organisation."""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel

from shared.events.base import Event


class Features(BaseModel):
    """The Org Admin's four switches, with the defaults a new connection gets."""

    outlook_email: bool = True
    auto_recording: bool = False
    contacts_import: bool = True
    sharepoint_storage: bool = False


class TenantEvent(Event):
    emitter: ClassVar[str] = "tenant-connector"


class TenantConnected(TenantEvent):
    """The organisation's Microsoft tenant is proven by an app-only token and ``GET /organization``."""

    topic: ClassVar[str] = "tenant.connected"
    tid: str
    display_name: str
    features: Features


class TenantDisconnected(TenantEvent):
    """An Org Admin disconnected the tenant, or Microsoft no longer knows us there. Data is kept."""

    topic: ClassVar[str] = "tenant.disconnected"
    tid: str | None
    reason: str


class TenantFeaturesChanged(TenantEvent):
    """An Org Admin changed a switch; ``features`` is the state after the change.

    Or another tenant than the last one was connected, which does not have the place that was chosen for files.
    """

    topic: ClassVar[str] = "tenant.features_changed"
    features: Features
    changed_by: str


class TenantReadinessChanged(TenantEvent):
    """A capability's verdict changed.

    Emitted once per change, never when a check found the same again. ``verdict`` and ``previous`` are one of ready,
    waiting, action_needed, not_needed, unknown; ``aggregate_version`` counts the changes of the organisation's board.
    """

    topic: ClassVar[str] = "tenant.readiness_changed"
    capability: str
    verdict: str
    reason: str | None = None
    previous: str | None = None
    remedy: str | None = None
    """What mends it, to follow or to copy."""
    who: str | None = None
    """Who must act: org_admin, microsoft_admin, teams_admin, operator or nobody."""
    until: datetime | None = None
    """How long Microsoft may still need, when the verdict is waiting."""


class TenantState(TenantEvent):
    """The whole current state after any change of the tenant; compacted, for late joiners and local copies."""

    topic: ClassVar[str] = "tenant.state"
    connected: bool
    tid: str | None
    features: Features
    changed_at: datetime
