"""What the application mounts of Outlook beside the calendar, and the verbs that come with it."""

from . import (
    attachment_sessions,
    attachments,
    contact_verbs,
    contacts,
    mail,
    mail_folders,
    mail_sending,
    mail_verbs,
    photos,
)

ROUTERS = (
    contacts.router,
    photos.router,
    mail_folders.router,
    attachments.router,
    mail_sending.router,
    mail.router,
)
OTHER_HOST = (attachment_sessions.upload_router,)
VERBS = (contact_verbs, mail_verbs)
"""Imported, so registered."""
