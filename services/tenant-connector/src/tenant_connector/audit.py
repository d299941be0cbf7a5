"""Actors in the audit trail beside people; ``note`` adds a line."""

from shared.web.audit import Outcome, note

__all__ = ["LINK", "SERVICE", "Outcome", "note"]

SERVICE = "service:tenant-connector"
LINK = "service:consent-link"
"""Whoever holds a link that an Org Admin sent; the line's details name the Org Admin as ``user_id``."""
