"""HTTP in: mails to send, below /v1/mail."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from mail import composing, file_queries, files, outcomes, queries
from mail.models import File, FileName, Limits, Mail, MailHistory, MediaType, NewMail, Step, may_send_again
from mail.settings import Settings
from mail.tables import OutgoingMail
from mail.work import SendMail
from shared.connections import connection_of
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork
from shared.problems import BadInput, Conflict, NotFound
from shared.web.dependencies import Db, Envelope_
from shared.web.idempotency import IdempotencyKey
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import Caller, Cursor, Id, Page, Work, needs_header, provided, with_header
from shared.web.words import whole_number

router = APIRouter(prefix="/v1/mail", tags=["mail"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
NEEDS_KEY = needs_header(
    "Idempotency-Key", "A key that you choose for this mail. Send the same one when you try again."
)
LOCATED = with_header("Location", "Where the mail is read.")
BYTES = {"schema": {"type": "string", "format": "binary"}}
TAKES_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": BYTES}}}
Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/limits")
async def limits(_caller: Caller, settings: Knobs) -> Limits:
    """How large a mail may be, how many people it may go to."""
    return Limits(
        recipients_max=settings.mail_recipients_max,
        files_max=settings.mail_files_max,
        file_max_bytes=settings.mail_file_max_bytes,
        text_max=settings.mail_text_max,
        remark="Your organisation may allow less for a whole mail (35 MB unless its administrator changed it). "
        "Microsoft says so only when the mail is sent; it then fails with the code too_large, and nothing is sent.",
    )


@router.post(
    "/files",
    status_code=201,
    openapi_extra=TAKES_BYTES,
    dependencies=[limited("mail_files", per_hour="mail_files_per_hour")],
)
async def upload(
    request: Request,
    caller: Caller,
    db: Db,
    envelope: Envelope_,
    settings: Knobs,
    name: Annotated[FileName, Query()],
    media_type: Annotated[MediaType, Query()] = "application/octet-stream",
) -> File:
    """The bytes of one file for a mail; name its id in ``files``. It is kept for a day unless a mail takes it.

    413 ``file_too_large`` before anything is read, where ``Content-Length`` tells it. 409 as for a mail.
    """
    length = whole_number(request.headers.get("content-length", "0"))
    if length is None or length > settings.mail_file_max_bytes:
        raise files.too_large(settings)
    return File.of(await files.keep(db, envelope, settings, caller, name, media_type, request.stream()))


@router.delete("/files/{file_id}", status_code=204)
async def forget_file(file_id: Id, caller: Caller, work: Work) -> Response:
    """Forget an uploaded file that no mail took."""
    row = await file_queries.file(work.session, caller.org_id, file_id, lock=True)
    if row is None or row.user_id != caller.user_id or row.mail_id is not None:
        raise NotFound("file_not_found", "There is no such file that waits for a mail of yours. Upload it again.")
    await file_queries.forget(work.session, caller.org_id, file_id)
    return Response(status_code=204)


@router.post(
    "",
    status_code=202,
    responses={202: LOCATED},
    openapi_extra=NEEDS_KEY,
    dependencies=[limited("mails", per_hour="mails_per_hour")],
)
async def send(
    wanted: NewMail,
    caller: Caller,
    work: Work,
    envelope: Envelope_,
    settings: Knobs,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Mail:
    """Queue a mail, to be sent as the caller. It is sent once, however often this is asked with the same key.

    409 with the code of what stands between the caller and Microsoft; ``link`` leads to where it is mended.
    """
    mail_id = uuid7()

    async def make() -> None:
        person = await connection_of(work.session, caller.org_id, caller.user_id)
        composing.require_way(person)
        composing.check(wanted, settings)
        await composing.queue(work, caller, person, wanted, mail_id, envelope)

    asked, keep_days = wanted.model_dump(mode="json"), settings.request_keys_keep_days
    mail_id = await queries.KEYS.once(
        work.session, caller, idempotency_key, asked, make, made=mail_id, keep_days=keep_days
    )
    response.headers["Location"] = f"/v1/mail/{mail_id}"
    return await _shown(work, await _own(work, caller, mail_id))


@router.get("")
async def outbox(caller: Caller, work: Work, cursor: Cursor = None, limit: Limit = 50) -> Page[Mail]:
    """The mails that the caller sends through Prospo, newest first."""
    if cursor is not None:
        last = await queries.mail(work.session, caller.org_id, cursor)
        if last is None or last.user_id != caller.user_id:
            raise BadInput("unknown_cursor", "There is no such page. Take next_cursor of the page before, or none.")
    rows = await queries.mails_of(work.session, caller.org_id, caller.user_id, before=cursor, limit=limit + 1)
    found = await file_queries.files_of(work.session, caller.org_id, [row.id for row in rows])
    shown = [Mail.of(row, found[row.id]) for row in rows[:limit]]
    return Page[Mail](items=shown, next_cursor=shown[-1].id if len(rows) > limit else None)


@router.get("/{mail_id}")
async def one_mail(mail_id: Id, caller: Caller, work: Work) -> MailHistory:
    """The mail with its history, Microsoft's request ids among it."""
    row = await _own(work, caller, mail_id)
    shown = await _shown(work, row)
    history = [Step.model_validate(one) for one in await queries.steps(work.session, row)]
    return MailHistory(**shown.model_dump(), history=history)


@router.post("/{mail_id}/cancel")
async def cancel_mail(mail_id: Id, caller: Caller, work: Work) -> Mail:
    """Stop a mail that was not given to Microsoft yet. Again changes nothing.

    409 ``too_late`` once Microsoft was asked to send it: then nobody can call it back.
    """
    row = await _own(work, caller, mail_id, lock=True)
    if row.status != "cancelled":
        if row.status == "failed":
            raise Conflict("mail_failed", "The mail was not sent, so there is nothing to cancel.")
        if row.status != "queued":
            detail = "Microsoft was asked to send the mail already, so it cannot be cancelled. Look at its state."
            raise Conflict("too_late", detail)
        await outcomes.cancelled(work, row)
    return await _shown(work, row)


@router.post("/{mail_id}/send-again")
async def send_again(mail_id: Id, caller: Caller, work: Work, settings: Knobs) -> Mail:
    """Send a failed mail once more, or one whose outcome nobody knows: the recipients may then have it twice."""
    work.queue(SendMail(mail_id=mail_id))
    await work.write_jobs()  # before the mail is locked, as the job does it
    row = await _own(work, caller, mail_id, lock=True)
    if not may_send_again(row):
        raise Conflict("not_to_be_sent_again", f"The mail is {row.status}, so it is not sent again.")
    person = await connection_of(work.session, caller.org_id, caller.user_id)
    composing.require_way(person, row.account)
    found = (await file_queries.files_of(work.session, row.org_id, [row.id]))[row.id]
    if not all(file.whole for file in found):
        detail = "The files of the mail were kept for a day and are gone. Write the mail again with its files."
        raise Conflict("files_gone", detail)
    await composing.begin_anew(work, row, person)
    return await _shown(work, row)


async def _shown(work: UnitOfWork, row: OutgoingMail) -> Mail:
    return Mail.of(row, (await file_queries.files_of(work.session, row.org_id, [row.id]))[row.id])


async def _own(work: UnitOfWork, caller: Identity, mail_id: str, *, lock: bool = False) -> OutgoingMail:
    row = await queries.mail(work.session, caller.org_id, mail_id, lock=lock)
    if row is None or row.user_id != caller.user_id:
        raise NotFound("mail_not_found", "There is no such mail of yours. Open it from your list of mails.")
    return row
