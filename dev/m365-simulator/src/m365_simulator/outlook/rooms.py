"""What the application mounts of Outlook beside events, and the verbs that come with it."""

from . import (
    attachment_sessions,
    attachments,
    contact_verbs,
    contacts,
    free_busy,
    mail,
    mail_folders,
    mail_sending,
    mail_verbs,
    photos,
)

ROUTERS = (
    free_busy.router,
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
