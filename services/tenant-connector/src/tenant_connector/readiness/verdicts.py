"""Terms of the readiness board: capabilities, verdicts, remedies, and the features that each verdict blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.events.tenant import Verdict, Who

_EVERYTHING = ("schedule", "auto_recording", "transcript", "speaker_names", "recording", "contacts", "mail", "storage")
AFFECTS: dict[str, tuple[str, ...]] = {
    "consent": _EVERYTHING,
    "permissions": _EVERYTHING,
    "mail_permissions": ("mail",),
    "transcript_access": ("transcript", "speaker_names"),
    "speaker_attribution": ("speaker_names",),
    "application_access_policy": (),
    "licences": ("schedule", "auto_recording", "transcript", "recording", "contacts", "mail"),
    "mailbox": ("schedule", "contacts", "mail"),
    "contacts_access": ("contacts",),
    "notifications": ("recording", "transcript", "mail", "contacts"),
    "call_events": ("meeting_end",),
    "credential_expiry": _EVERYTHING,
    "storage_write": ("storage",),
}
"""Capability → the parts of the product that need it; in the order in which the board shows them."""
SPREAD_BY_CONSENT = frozenset({"consent", "permissions", "storage_write"})
"""Capabilities that a consent changes at Microsoft; a refusal right after it may pass by itself."""
NEEDS: dict[str, tuple[str, ...]] = {
    "outlook_email": ("consent", "permissions", "mail_permissions"),
    "auto_recording": ("consent", "permissions"),
    "contacts_import": ("consent", "permissions"),
    "sharepoint_storage": ("consent", "permissions", "storage_write"),
}
"""Switch → what it cannot do without: it is not switched on while one of these is ``action_needed``."""
WARNS: dict[str, tuple[str, ...]] = {
    "outlook_email": ("licences", "mailbox", "notifications"),
    # A recording arrives without a transcript, so what stops transcripts does not stop recording.
    "auto_recording": ("transcript_access", "speaker_attribution", "licences", "notifications"),
    "contacts_import": ("licences", "mailbox", "contacts_access"),
    "sharepoint_storage": (),
}
"""Switch → what makes it less than whole."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """``who`` must act; ``text`` says how, ``command`` is one to paste, where there is one."""

    who: Who
    text: str
    command: str | None = None

    @property
    def whole(self) -> str:
        return f"{self.text}\n{self.command}" if self.command else self.text

    def row(self) -> dict[str, Any]:
        return {"who": self.who, "text": self.text, "command": self.command}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Microsoft was asked and said; the path is without anybody's id."""

    method: str
    path: str
    status: int
    at: datetime
    code: str = ""
    request_id: str = ""

    def row(self) -> dict[str, Any]:
        said = {"method": self.method, "path": self.path, "status": self.status, "at": self.at.isoformat()}
        return said | {"code": self.code or None, "request_id": self.request_id or None}


@dataclass(frozen=True, slots=True)
class Found:
    """The result of checking one capability.

    ``propagates``: a refusal that may pass once all of Microsoft knows what was changed. ``confirm_s``: one that is
    believed when it is still there after so long. ``decided``: False when the question itself was refused, or could not
    be put, which takes nothing back that was proven.
    """

    capability: str
    verdict: Verdict
    reason: str
    remedy: Remedy | None = None
    evidence: tuple[Evidence, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    propagates: bool = False
    confirm_s: float = 0
    decided: bool = True


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody could say: the verdict before stays."""

    capability: str
    reason: str


Outcome = Found | Unanswered


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a switch is not switched on."""

    capability: str
    reason: str
    remedy: dict[str, Any] | None


def obstacle(feature: str, red: Mapping[str, Obstacle]) -> Obstacle | None:
    """The first thing that forbids a feature, of those capabilities that need an action."""
    return next((red[name] for name in NEEDS[feature] if name in red), None)


def warnings(feature: str, wanting: Mapping[str, Obstacle]) -> list[Obstacle]:
    return [wanting[name] for name in WARNS[feature] if name in wanting]


def unanswered(capabilities: Iterable[str], reason: str) -> list[Outcome]:
    return [Unanswered(name, reason) for name in capabilities]
