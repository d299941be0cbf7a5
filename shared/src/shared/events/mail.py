"""Emitted by mail. Key: organisation and user."""

from typing import ClassVar

from shared.events.base import Event


class MailEvent(Event):
    emitter: ClassVar[str] = "mail"
    user_id: str
    message_id: str
    conversation_id: str

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class MailSent(MailEvent):
    """A message was sent as the user through Prospo. The body is never in the event."""

    topic: ClassVar[str] = "mail.sent"


class MailReceived(MailEvent):
    """A message of a followed conversation arrived. The body is never in the event."""

    topic: ClassVar[str] = "mail.received"
