"""Emitted by mail. Key: organisation and user."""

from typing import ClassVar

from shared.events.base import Event, Pseudonym


class MailEvent(Event):
    emitter: ClassVar[str] = "mail"
    user_id: Pseudonym
    """The person in Prospo whose mailbox it is."""
    message_id: str
    """The message at Microsoft; it stays the same when the message is moved."""
    conversation_id: str
    """The conversation at Microsoft that the message belongs to."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class MailSent(MailEvent):
    """A message was sent as the user through Prospo. The body is never in the event."""

    topic: ClassVar[str] = "mail.sent"


class MailReceived(MailEvent):
    """A message of a followed conversation arrived. The body is never in the event."""

    topic: ClassVar[str] = "mail.received"
