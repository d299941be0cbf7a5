"""Emitted by mail. Key: organisation and user."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.base import Event, Pseudonym, known

FailureCode = Literal[
    "admin_required",
    "another_account",
    "draft_gone",
    "file_gone",
    "mailbox_full",
    "microsoft_refused",
    "microsoft_unavailable",
    "no_mailbox",
    "not_sent",
    "original_gone",
    "recipients_refused",
    "send_as_denied",
    "too_large",
    "waited_too_long",
]


class MailEvent(Event):
    emitter: ClassVar[str] = "mail"
    user_id: Pseudonym
    """The person in Prospo whose mailbox it is."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class MessageEvent(MailEvent):
    message_id: str
    """The message at Microsoft; it stays the same when the message is moved."""
    conversation_id: str
    """The conversation at Microsoft that the message belongs to."""


class MailSent(MessageEvent):
    """Microsoft accepted a mail that was sent as the user through Prospo: once for each mail.

    ``message_id`` is that of the draft, which the copy in Sent Items keeps as a rule. Whether the mail reached
    everybody is not known. The body is never in the event.
    """

    topic: ClassVar[str] = "mail.sent"
    mail_id: str
    """The mail in Prospo."""


class MailFailed(MailEvent):
    """A mail was surely not sent, and is not tried again by itself. Its sender may send it again: then
    ``mail.sent`` or another of these follows."""

    topic: ClassVar[str] = "mail.failed"
    mail_id: str
    """The mail in Prospo."""
    code: Annotated[str, known(FailureCode)]
    """Why; further codes may be added."""


class MailReceived(MessageEvent):
    """A message with a contact arrived in a mailbox that is followed, once for each; past mail is not told.

    Neither subject, body nor addresses are in the event.
    """

    topic: ClassVar[str] = "mail.received"
    received_at: datetime | None = None
    """When Microsoft received it; null in events of version 0.1."""
    kept_in: str = ""
    """The conversation in Prospo: ``GET /v1/mail/conversations/{id}``, for the person alone unless they share it."""
    contact_ids: list[str] = Field(default_factory=list)
    """Contacts in Prospo who take part, as the person sees them; a hundred at most."""
    has_attachments: bool = False
    """Files, pictures within the text not counted."""
