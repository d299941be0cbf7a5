"""What the API reads and shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from mail import addresses
from mail.tables import MailFile, OutgoingMail
from shared.web.routes import StrictModel
from shared.web.words import ONE_LINE, STORABLE

Status = Literal["queued", "sending", "accepted", "seen_in_sent", "failed", "unknown", "cancelled"]
Name = Annotated[str, StringConstraints(max_length=255), ONE_LINE]
Email = Annotated[str, StringConstraints(min_length=1, max_length=addresses.LONGEST), ONE_LINE,
                  AfterValidator(addresses.normal)]  # fmt: skip
FileName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), ONE_LINE]
MediaType = Annotated[str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$")]
FileId = Annotated[str, StringConstraints(min_length=1, max_length=200), STORABLE]


class Recipient(StrictModel):
    """``email`` is shown in its normal form: the domain in lower case and ASCII."""

    email: Email
    name: Name | None = None


People = Annotated[list[Recipient], Field(max_length=1000)]


class Answers(StrictModel):
    """What the mail answers. Microsoft puts it into the same thread and quotes the original below the text."""

    message_id: Annotated[str, StringConstraints(min_length=1, max_length=500), STORABLE]
    """The message at Microsoft, as ``mail.received`` names it."""
    everybody: bool = False
    """Reply to all."""


class NewMail(StrictModel):
    """A mail to send as the caller. Each address counts once: To goes before Cc, Cc before Bcc."""

    to: People = Field(default_factory=list)
    """A reply may leave it out: it then goes to the sender of the message."""
    cc: People = Field(default_factory=list)
    bcc: People = Field(default_factory=list)
    subject: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), ONE_LINE] = ""
    """A reply may leave it out: it is then ``RE:`` and the subject of the message."""
    body: Annotated[str, STORABLE] = ""
    content_type: Literal["text", "html"] = "text"
    answers: Answers | None = None
    files: Annotated[list[FileId], Field(max_length=100)] = Field(default_factory=list)
    """Ids of uploaded files, in the order in which they are attached."""

    @property
    def recipients(self) -> list[dict[str, str]]:
        lists = {"to": self.to, "cc": self.cc, "bcc": self.bcc}
        people = [
            {"kind": kind, "email": one.email, "name": one.name or ""} for kind, given in lists.items() for one in given
        ]
        return addresses.each_once(people)


class File(BaseModel):
    id: str
    name: str
    media_type: str
    size_bytes: int

    @classmethod
    def of(cls, row: MailFile) -> Self:
        return cls.model_validate(row, from_attributes=True)


class ProblemShown(BaseModel):
    code: str
    detail: str


class RecipientShown(BaseModel):
    kind: Literal["to", "cc", "bcc"]
    email: str
    name: str


class Mail(BaseModel):
    """A mail and what became of it.

    ``queued``: not given to Microsoft yet. ``sending``: Microsoft is being asked. ``accepted``: Microsoft has it.
    ``seen_in_sent``: it is in Sent Items. ``failed``: it was not sent, and ``problem`` says why. ``unknown``: the
    answer was lost; ``problem`` says whether Prospo still looks. ``cancelled``: the sender stopped it in time.
    """

    id: str
    status: Status
    subject: str
    recipients: list[RecipientShown]
    files: list[File]
    answers: Answers | None
    made_at: datetime
    accepted_at: datetime | None
    seen_at: datetime | None
    problem: ProblemShown | None
    may_cancel: bool
    may_send_again: bool
    conversation_id: str | None
    """The conversation at Microsoft, once there is a draft."""

    @classmethod
    def of(cls, row: OutgoingMail, files: Sequence[MailFile]) -> Self:
        names = {"id", "status", "subject", "recipients", "answers", "made_at", "accepted_at", "seen_at", "problem"}
        shown: dict[str, Any] = row.model_dump(include=names | {"conversation_id"})
        shown["files"] = [File.of(file) for file in files]
        return cls(**shown, may_cancel=row.status == "queued", may_send_again=may_send_again(row))


def may_send_again(row: OutgoingMail) -> bool:
    """A failed one, or one that is not looked for any more."""
    given_up = row.status == "unknown" and (row.problem or {}).get("code") == "outcome_unknown"
    return row.status == "failed" or given_up


class Step(BaseModel):
    """One step of a mail's history. ``request_id`` is what Microsoft's support asks for."""

    at: datetime
    what: str
    """drafted, composed, file_attached, sending, accepted, seen_in_sent, refused, answer_lost, still_a_draft,
    failed, cancelled, send_again."""
    status: int
    code: str
    request_id: str


class MailHistory(Mail):
    history: list[Step] = []


class Limits(BaseModel):
    """What a mail may be, to be said before anything is uploaded."""

    recipients_max: int
    files_max: int
    file_max_bytes: int
    text_max: int
    remark: str
