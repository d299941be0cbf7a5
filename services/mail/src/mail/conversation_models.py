"""Models of conversations and mailboxes in the API."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from mail.addresses import key_of
from mail.models import ProblemShown
from shared.web.routes import StrictModel


class Person(BaseModel):
    name: str
    address: str


class ConversationFacts(BaseModel):
    """Mail with a contact that belongs together. ``shared``: the organisation sees it. ``mine``: the caller's own."""

    id: str
    subject: str
    participants: list[Person]
    contact_ids: list[str]
    """Contacts that the caller sees and that take part."""
    last_at: datetime
    last_direction: Literal["received", "sent"]
    has_attachments: bool
    shared: bool
    mine: bool
    owner_id: str

    @classmethod
    def of(cls, row: Any, contacts: Mapping[str, list[str]], user_id: str, **more: Any) -> Self:
        names = ("id", "subject", "participants", "last_at", "last_direction", "has_attachments", "shared")
        found = (one for address in row.addresses for one in contacts.get(address, ()))
        return cls(
            **{name: getattr(row, name) for name in names},
            contact_ids=sorted(set(found)),
            mine=row.user_id == user_id,
            owner_id=row.user_id,
            **more,
        )


class Conversation(ConversationFacts):
    messages: int
    """How many there are in its owner's mailbox."""

    @classmethod
    def of(cls, row: Any, contacts: Mapping[str, list[str]], user_id: str, **more: Any) -> Self:
        return super().of(row, contacts, user_id, messages=row.messages, **more)


class Attachment(BaseModel):
    id: str
    name: str
    size: int
    content_type: str
    inline: bool


class Message(BaseModel):
    id: str
    direction: Literal["received", "sent"]
    sender: Person | None = Field(serialization_alias="from")
    to: list[Person]
    cc: list[Person]
    subject: str
    at: datetime
    preview: str
    has_body: bool
    """False when the text is too large to be kept; Outlook has it."""
    attachments: list[Attachment]
    mail_id: str | None
    """The mail in Prospo that this is, when the caller sent it through Prospo."""
    message_id: str | None
    """The message at Microsoft, to be answered with ``answers`` of ``POST /v1/mail``; null when it is a colleague's."""

    @classmethod
    def of(cls, row: Any, preview: str, user_id: str) -> Self:
        def people(kind: str) -> list[Person]:
            return [Person(**one) for one in row.people if one["kind"] == kind]

        names = ("id", "direction", "subject", "at", "has_body", "attachments", "mail_id")
        return cls(
            **{name: getattr(row, name) for name in names},
            sender=next(iter(people("from")), None),
            to=people("to"),
            cc=people("cc"),
            preview=preview,
            message_id=row.graph_id if row.user_id == user_id else None,
        )


class WholeConversation(ConversationFacts):
    messages: list[Message]
    """The oldest first, each once however many mailboxes it went through."""
    next_cursor: str | None = None


class Sharing(StrictModel):
    shared: bool | None = None
    """Left out, nothing changes."""


class Fold(BaseModel, from_attributes=True):
    """Characters of ``text`` that repeat an earlier mail."""

    start: int
    end: int


class Body(BaseModel):
    """``html`` is null for a mail of text; ``held_images`` counts what was kept from being loaded."""

    html: str | None
    text: str
    folds: list[Fold]
    held_images: int


class FollowedFolder(BaseModel):
    id: str
    name: str
    followed: bool
    state: Literal["waiting", "reading", "read", "problem"]
    last_at: datetime | None
    messages: int
    problem: ProblemShown | None


class PastMail(BaseModel):
    contacts_left: int
    """New addresses whose past mail is still looked for."""


class Mailbox(BaseModel):
    """Why a mail may be missing. ``skipped`` counts messages by why they are not kept: ``no_contact``, ``draft``,
    ``too_old`` (for the organisation's retention), ``text_too_large`` (kept without its text)."""

    state: Literal["waiting", "in_step", "stopped", "no_mailbox"]
    problem: ProblemShown | None
    last_round_at: datetime | None
    next_round_at: datetime | None
    subscription: Literal["on", "refused", "none"]
    """Whether Microsoft tells of changes; where it refuses, Prospo looks more often."""
    folders: list[FollowedFolder]
    skipped: dict[str, int]
    backfill: PastMail


class FolderLine(BaseModel):
    id: str
    name: str
    path: str
    items: int
    followed: bool


class Folders(BaseModel):
    items: list[FolderLine]


class Following(StrictModel):
    followed: bool = False


class Retention(StrictModel):
    keep_days: int | None
    """Older mail is deleted in Prospo, not in Outlook; null keeps it."""


def addresses_of(rows: Iterable[Any]) -> list[str]:
    return sorted({address for row in rows for address in row.addresses})


def normal(address: str) -> list[str]:
    found = key_of(address)
    return [found] if found else []
