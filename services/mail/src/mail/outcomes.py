"""The outcomes of a mail: each is written here, with its event and what is left to tidy."""

from datetime import UTC, datetime, timedelta

from mail import file_queries, queries
from mail.refusals import Problem
from mail.settings import Settings
from mail.tables import OutgoingMail
from mail.work import ForgetFile, SyncMailbox, TidyMail
from shared.database.unit_of_work import UnitOfWork
from shared.events import MailFailed, MailSent
from shared.events.mail import FailureCode
from shared.mailboxes import folders

TIDY_S = 3600
"""Seconds after its end when a mail's left drafts are deleted: a draft that was created late is there by then."""


async def accepted(
    work: UnitOfWork,
    row: OutgoingMail,
    *,
    seen: bool = False,
    message_id: str | None = None,
    conversation_id: str | None = None,
) -> None:
    """Microsoft has it (202), or it was ``seen`` in Sent Items, under this id. The first of both is told.

    At both the mailbox is looked at, so that the conversation has the mail as soon as Sent Items has it.
    """
    work.queue(SyncMailbox(user_id=row.user_id))
    await work.write_jobs()  # before folders and mailbox are locked, as that job has its own row locked first
    await folders.mark_dirty(work.session, {"org_id": row.org_id, "user_id": row.user_id, "account": row.account})
    first = row.accepted_at is None
    await queries.accept(work.session, row, seen=seen, message_id=message_id, conversation_id=conversation_id)
    await queries.note(work.session, row, "seen_in_sent" if seen else "accepted")
    if first:
        await file_queries.forget_bytes(work.session, row.org_id, row.id)
        work.outbox.add(
            MailSent(
                org_id=row.org_id,
                aggregate_version=await queries.next_version(work.session, row.org_id, row.user_id),
                user_id=row.user_id,
                mail_id=row.id,
                message_id=message_id or row.draft_id or "",
                conversation_id=conversation_id or row.conversation_id or "",
            )
        )
        _tidy(work, row)


async def failed(work: UnitOfWork, row: OutgoingMail, why: tuple[FailureCode, str], settings: Settings) -> None:
    """Microsoft surely did not send it, and it is not tried again by itself."""
    code, detail = why
    row.status, row.problem = "failed", {"code": code, "detail": detail}
    await queries.note(work.session, row, "failed", code=code)
    work.outbox.add(
        MailFailed(
            org_id=row.org_id,
            aggregate_version=await queries.next_version(work.session, row.org_id, row.user_id),
            user_id=row.user_id,
            mail_id=row.id,
            code=code,
        )
    )
    forget_at = datetime.now(UTC) + timedelta(seconds=settings.mail_file_keep_s)
    for file in (await file_queries.files_of(work.session, row.org_id, [row.id]))[row.id]:
        work.queue(ForgetFile(file_id=file.id), run_at=forget_at)
    _tidy(work, row, at_once=True)


async def cancelled(work: UnitOfWork, row: OutgoingMail) -> None:
    row.status, row.problem = "cancelled", None
    await queries.note(work.session, row, "cancelled")
    await file_queries.forget_bytes(work.session, row.org_id, row.id)
    _tidy(work, row, at_once=True)


async def doubtful(work: UnitOfWork, row: OutgoingMail, problem: Problem) -> None:
    """Nobody knows whether Microsoft sent it."""
    row.status, row.problem = "unknown", problem


def _tidy(work: UnitOfWork, row: OutgoingMail, *, at_once: bool = False) -> None:
    """A mail that was sent leaves a draft only where a second one was asked for."""
    if row.draft_asked if at_once else row.draft_doubted:
        run_at = None if at_once else datetime.now(UTC) + timedelta(seconds=TIDY_S)
        work.queue(TidyMail(mail_id=row.id), run_at=run_at)
