"""A mail that a person sends, and the files that go with it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


def _moment(*, nullable: bool = True) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


def _json(*, nullable: bool = True) -> Any:
    return Column(JSONB(none_as_null=True), nullable=nullable)


class OutgoingMail(Table, table=True):
    """The intent to send one mail, stored before anything is asked of Microsoft, and what became of it."""

    __tablename__ = "outgoing_mail"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    account: str
    """The Microsoft account (``oid``) that sends it."""
    status: str = "queued"
    turn: int = 1
    """Grows when the person asks for it to be sent again; each turn is a mail of its own at Microsoft."""
    subject: str
    recipients: list[dict[str, str]] = Field(sa_column=_json(nullable=False))
    """``kind`` (to, cc, bcc), ``email``, ``name``; each address once."""
    content_type: str = "text"
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Sealed."""
    answers: dict[str, Any] | None = Field(default=None, sa_column=_json())
    """``message_id`` (Microsoft's id of what it answers) and ``everybody``."""
    draft_asked: bool = False
    draft_doubted: bool = False
    """It was requested again because the first answer was lost, so there may be a second draft."""
    """A draft may exist at Microsoft although ``draft_id`` does not tell it."""
    draft_id: str | None = None
    composed: bool = False
    """The draft of an answer holds the person's own text."""
    internet_message_id: str | None = None
    conversation_id: str | None = None
    attempts: int = 0
    """How often Microsoft may have been asked to send the draft."""
    attempted_at: datetime | None = Field(default=None, sa_column=_moment())
    accepted_at: datetime | None = Field(default=None, sa_column=_moment())
    seen_at: datetime | None = Field(default=None, sa_column=_moment())
    queued_at: datetime = Field(sa_column=_moment(nullable=False))
    made_at: datetime = Field(sa_column=_moment(nullable=False))
    problem: dict[str, Any] | None = Field(default=None, sa_column=_json())

    @property
    def key(self) -> str:
        """The key in the draft by which it is found again; each try has its own."""
        return f"{self.id}.{self.turn}"


class MailFile(Table, table=True):
    """A file to be sent. Its bytes are in ``mail_file_part`` while the mail waits."""

    __tablename__ = "mail_file"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    mail_id: str | None = None
    name: str
    media_type: str
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    whole: bool = False
    position: int = 0
    """Its place among the files of its mail."""
    attached: bool = False
    """The draft at Microsoft has it."""
    session: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    """Sealed: the upload session that its bytes go to."""
    made_at: datetime = Field(sa_column=_moment(nullable=False))
