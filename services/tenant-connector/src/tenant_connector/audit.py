"""The audit trail: written in the transaction of what it tells about."""

from typing import Any, Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.outbox import uuid7
from tenant_connector.tables import AuditRow

Action = Literal[
    "consent.start",
    "consent.complete",
    "consent.sign_in",
    "consent_link.make",
    "consent_link.revoke",
    "tenant.connect",
    "tenant.disconnect",
    "features.change",
    "readiness.check",
    "readiness.change",
]
Outcome = Literal["done", "refused", "failed"]
SERVICE = "service:tenant-connector"
LINK = "service:consent-link"
"""Whoever holds a link that an Org Admin sent; the line's details name the Org Admin as ``user_id``."""


def note(
    session: AsyncSession, org_id: str, actor: str, action: Action, outcome: Outcome = "done", **details: Any
) -> None:
    """Add a line. ``details`` hold ids, codes and switches, never a state, a key or a token."""
    session.add(AuditRow(org_id=org_id, id=uuid7(), actor=actor, action=action, outcome=outcome, details=details))
