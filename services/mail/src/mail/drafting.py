"""The draft of a mail at Microsoft, with its files: each step may be done again and gives the same draft.

Before the draft is asked for the mail says so (``draft_asked``). After a lost answer, or a death, it is looked for by
our property before another one is made. One that Microsoft made late is an orphan: ``tidy`` deletes it.
"""

import base64
import html

from mail import file_queries, files, queries
from mail import graph as outlook
from mail.refusals import FILE_GONE, ORIGINAL_GONE
from mail.tables import MailFile, OutgoingMail
from shared.database.unit_of_work import UnitOfWork
from shared.events.mail import FailureCode
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound, GraphRetry, GraphSessionGone
from shared.graph.upload import UploadSession
from shared.jobs.job import Job
from shared.secrets import Envelope


class CannotBeSent(Exception):
    """The mail as it is will never be sent; ``why`` is its problem."""

    def __init__(self, why: tuple[FailureCode, str]) -> None:
        super().__init__(why[1])
        self.why = why


class Stopped(Exception):
    """The mail is not to go on: it was cancelled, or another job has it."""


def place(row: OutgoingMail) -> str:
    """The associated data of the sealed text of a mail."""
    return f"outgoing_mail|{row.id}"


async def ready(job: Job, caller: GraphCaller, row: OutgoingMail, envelope: Envelope) -> OutgoingMail:
    """The mail whose draft stands at Microsoft with everything that belongs to it."""
    if row.draft_id is None:
        row = await _made(job, caller, row, envelope)
    if row.answers is not None and not row.composed:
        row = await _composed(job, caller, row, envelope)
    async with job.unit_of_work() as work:
        found = await file_queries.files_of(work.session, row.org_id, [row.id])
    await _attach(job, caller, row, [file for file in found[row.id] if not file.attached], envelope)
    return row


async def _made(job: Job, caller: GraphCaller, row: OutgoingMail, envelope: Envelope) -> OutgoingMail:
    known = await outlook.find(caller, "drafts", row) if row.draft_asked else []
    async with job.unit_of_work() as work:
        row = await still(work, row)
        row.draft_doubted, row.draft_asked = row.draft_doubted or row.draft_asked, True
        content = (await envelope.open(work.session, row.org_id, place(row), row.body)).decode()
    drafts = [one for one in known if one.is_draft]
    if drafts:
        draft = drafts[0]
    elif row.answers is not None:
        try:
            draft = await outlook.make_answer(caller, row)
        except GraphNotFound:
            raise CannotBeSent(ORIGINAL_GONE) from None
    else:
        draft = await outlook.make_draft(caller, row, content)
    async with job.unit_of_work() as work:
        row = await still(work, row)
        row.draft_id, row.conversation_id = draft.id, draft.conversation_id
        if row.answers is None:
            row.internet_message_id = draft.internet_message_id or row.internet_message_id
        await queries.note(work.session, row, "drafted", request_id=caller.answered)
    return row


async def _composed(job: Job, caller: GraphCaller, row: OutgoingMail, envelope: Envelope) -> OutgoingMail:
    """Whether a former run did it is told by the draft's message id, which is set with the text."""
    draft = await outlook.read_draft(caller, row.draft_id or "")
    if draft.internet_message_id != row.internet_message_id:
        async with job.unit_of_work() as work:
            content = (await envelope.open(work.session, row.org_id, place(row), row.body)).decode()
        body = above(row.content_type, content, draft.body or {})
        draft = await outlook.compose_answer(caller, draft.id, row, body)
    async with job.unit_of_work() as work:
        row = await still(work, row)
        row.composed, row.internet_message_id = True, draft.internet_message_id or row.internet_message_id
        await queries.note(work.session, row, "composed", request_id=caller.answered)
    return row


def above(content_type: str, content: str, quote: dict[str, str]) -> dict[str, str]:
    """The person's text above Microsoft's quote; HTML as soon as one of them is."""
    quoted = quote.get("content", "")
    if content_type == "text" and quote.get("contentType", "").lower() != "html":
        return {"contentType": "text", "content": f"{content}\r\n{quoted}"}
    own = content if content_type == "html" else _as_html(content)
    if quote.get("contentType", "").lower() != "html":
        return {"contentType": "html", "content": f"{own}{_as_html(quoted)}"}
    start = quoted.lower().find("<body")
    inside = quoted.find(">", start) + 1 if start >= 0 else 0
    return {"contentType": "html", "content": f"{quoted[:inside]}{own}{quoted[inside:]}"}


def _as_html(content: str) -> str:
    lines = "<br>".join(html.escape(line) for line in content.splitlines())
    return f"<div>{lines}</div>"


async def still(work: UnitOfWork, row: OutgoingMail) -> OutgoingMail:
    """The mail, locked, while it is to be sent. Raises ``Stopped``."""
    now = await queries.locked(work.session, row.org_id, row.id)
    if now.status != "queued" or now.turn != row.turn:
        raise Stopped
    return now


async def _attach(
    job: Job, caller: GraphCaller, row: OutgoingMail, missing: list[MailFile], envelope: Envelope
) -> None:
    """Names are unique within a mail, so what the draft has by name was attached by a former run."""
    if not missing:
        return
    draft_id = row.draft_id or ""
    known = await outlook.attached(caller, draft_id)
    for file in missing:
        if file.name not in known:
            if file.size_bytes <= outlook.INLINE_BYTES:
                await _attach_small(job, caller, draft_id, file, envelope)
            else:
                await _upload(job, caller, draft_id, file, envelope)
        async with job.unit_of_work() as work:
            await still(work, row)
            now = await file_queries.file(work.session, row.org_id, file.id, lock=True)
            if now is None:
                raise CannotBeSent(FILE_GONE)
            now.attached, now.session = True, None
            await queries.note(work.session, row, "file_attached", request_id=caller.answered)


async def _attach_small(job: Job, caller: GraphCaller, draft_id: str, file: MailFile, envelope: Envelope) -> None:
    content = b"".join([piece async for piece in files.read(job.db, envelope, file)])
    if len(content) != file.size_bytes:
        raise CannotBeSent(FILE_GONE)
    await outlook.attach(caller, draft_id, file, base64.b64encode(content).decode())


async def _upload(job: Job, caller: GraphCaller, draft_id: str, file: MailFile, envelope: Envelope) -> None:
    """A session that a former run began goes on where it stands; its last range may have been the end."""
    session, start = await _kept_session(job, file, envelope), None
    if session is None:
        session, start = await outlook.begin_upload(caller, draft_id, file), 0
        async with job.unit_of_work() as work:
            now = await file_queries.file(work.session, file.org_id, file.id, lock=True)
            if now is None or not now.whole:
                raise CannotBeSent(FILE_GONE)
            now.session = await envelope.seal(work.session, file.org_id, _session(file), session.secret().encode())
    try:
        await caller.upload(session, file.size_bytes).send(
            lambda at: files.read(job.db, envelope, file, at), start=start
        )
    except GraphSessionGone:
        if file.name in await outlook.attached(caller, draft_id):
            return
        async with job.unit_of_work() as work:
            now = await file_queries.file(work.session, file.org_id, file.id, lock=True)
            if now is not None:
                now.session = None
        raise GraphRetry("The upload of a file is begun anew.", after_s=1) from None


async def _kept_session(job: Job, file: MailFile, envelope: Envelope) -> UploadSession | None:
    if file.session is None:
        return None
    async with job.unit_of_work() as work:
        secret = await envelope.open(work.session, file.org_id, _session(file), file.session)
    return UploadSession.of_secret(secret.decode())


def _session(file: MailFile) -> str:
    return f"mail_file|{file.id}|session"
