"""What the application mounts of Outlook beside the calendar, and the verbs that come with it."""

from . import contact_verbs, contacts, photos

ROUTERS = (contacts.router, photos.router)
VERBS = (contact_verbs,)
"""Imported, so registered."""
