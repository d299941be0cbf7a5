"""Taking in a mail: what it may be, and the intent that is stored before anything is asked of Microsoft."""

import uuid
from datetime import UTC, datetime

from mail import drafting, file_queries, queries
from mail.models import NewMail
from mail.refusals import SWITCH
from mail.settings import Settings
from mail.tables import MailFile, OutgoingMail
from mail.work import SendMail
from shared.connections import Connection
from shared.connections.refusing import conflict
from shared.database.unit_of_work import UnitOfWork
from shared.problems import BadInput, TooLarge
from shared.secrets import Envelope
from shared.web.identity import Identity


def require_way(person: Connection, account: str | None = None) -> None:
    """Raises ``Conflict`` naming what stands between the person and Microsoft, and who mends it."""
    found = person.obstacle(switch=SWITCH, made_by=account)
    if found is not None:
        raise conflict(found, "then send it again")


def check(wanted: NewMail, settings: Settings) -> None:
    """Raises what is wrong with a mail as a whole."""
    count = len(wanted.recipients)
    if count > settings.mail_recipients_max:
        detail = (
            f"A mail goes to {settings.mail_recipients_max} people at most; this one has {count}. Send it to fewer."
        )
        raise BadInput("too_many_recipients", detail)
    if not count and wanted.answers is None:
        raise BadInput("no_recipients", "Nobody is named to send it to. Fill in to, cc or bcc.")
    if len(wanted.body) > settings.mail_text_max:
        detail = f"The text has more than {settings.mail_text_max} characters. Shorten it, or attach it as a file."
        raise TooLarge("text_too_long", detail)
    if len(wanted.files) > settings.mail_files_max:
        raise BadInput("too_many_files", f"A mail has {settings.mail_files_max} files at most. Attach fewer.")


async def queue(
    work: UnitOfWork, caller: Identity, person: Connection, wanted: NewMail, mail_id: str, envelope: Envelope
) -> None:
    """The intent and its job, in one transaction."""
    now = datetime.now(UTC)
    row = OutgoingMail(
        org_id=caller.org_id,
        id=mail_id,
        user_id=caller.user_id,
        account=person.account.oid or "",
        subject=wanted.subject,
        recipients=wanted.recipients,
        content_type=wanted.content_type,
        body=b"",
        answers=wanted.answers.model_dump() if wanted.answers else None,
        internet_message_id=_message_id(person),
        queued_at=now,
        made_at=now,
    )
    row.body = await envelope.seal(work.session, row.org_id, drafting.place(row), wanted.body.encode())
    work.session.add(row)
    await _take_files(work, row, list(dict.fromkeys(wanted.files)))
    work.queue(SendMail(mail_id=row.id))


async def _take_files(work: UnitOfWork, row: OutgoingMail, ids: list[str]) -> None:
    names: set[str] = set()
    for position, file_id in enumerate(ids):
        file = await file_queries.file(work.session, row.org_id, file_id, lock=True)
        if file is None or file.user_id != row.user_id or file.mail_id is not None or not file.whole:
            raise BadInput("file_not_found", "A file is not there, or another mail has it. Upload it again.")
        file.mail_id, file.position, file.name = row.id, position, _unlike(file, names)
        names.add(file.name)


def _unlike(file: MailFile, names: set[str]) -> str:
    """Within a mail each name is there once: by it Microsoft's list tells what was attached already."""
    name, number = file.name, 1
    stem, dot, kind = file.name.rpartition(".")
    while name in names:
        number += 1
        name = f"{stem} ({number}).{kind}" if dot and stem else f"{file.name} ({number})"
    return name


async def begin_anew(work: UnitOfWork, row: OutgoingMail, person: Connection) -> None:
    """The next turn: a mail of its own at Microsoft, with a day of its own."""
    row.status, row.problem, row.turn, row.attempts = "queued", None, row.turn + 1, 0
    row.draft_asked = row.draft_doubted = row.composed = False
    row.draft_id = row.conversation_id = None
    row.internet_message_id, row.queued_at = _message_id(person), datetime.now(UTC)
    await file_queries.attach_anew(work.session, row.org_id, row.id)
    await queries.note(work.session, row, "send_again")


def _message_id(person: Connection) -> str:
    """Under the domain of the sender's address, as mail programs expect it."""
    domain = (person.account.email or "").rpartition("@")[2] or "mail.invalid"
    return f"<{uuid.uuid4()}@{domain}>"
