"""Files that are to be sent: they come in parts, wait sealed, and go when their mail is done.

A part is sealed by itself, so neither the upload nor the sending holds more than one in memory.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta

from mail import composing, file_queries
from mail.settings import Settings
from mail.tables import MailFile
from mail.work import ForgetFile
from shared.connections import connection_of
from shared.database.outbox import uuid7
from shared.database.unit_of_work import Database
from shared.problems import BadInput, TooLarge, TooMany
from shared.secrets import Envelope
from shared.web.identity import Identity

PART = 1024 * 1024
_MB = 1024 * 1024


def too_large(settings: Settings) -> TooLarge:
    most = settings.mail_file_max_bytes // _MB
    detail = (
        f"Microsoft takes files of up to {most} MB in a mail. Store this one in Prospo's files and send a link to it."
    )
    return TooLarge("file_too_large", detail, max_bytes=settings.mail_file_max_bytes)


async def keep(
    db: Database,
    envelope: Envelope,
    settings: Settings,
    caller: Identity,
    name: str,
    media_type: str,
    content: AsyncIterator[bytes],
) -> MailFile:
    """Take in a file. Nothing of it is used before it is whole.

    Raises ``Conflict`` when the person cannot send mail, ``TooLarge``, ``TooMany`` or ``BadInput``.
    """
    row = MailFile(
        org_id=caller.org_id,
        id=uuid7(),
        user_id=caller.user_id,
        name=name,
        media_type=media_type,
        made_at=datetime.now(UTC),
    )
    async with db.unit_of_work(caller.org_id, caller.user_id) as work:
        composing.require_way(await connection_of(work.session, caller.org_id, caller.user_id))
        if await file_queries.kept_bytes(work.session, caller.org_id, caller.user_id) > settings.mail_files_kept_bytes:
            detail = "Too many of your files wait for a mail. Send those mails, or wait until they are sent."
            raise TooMany("too_many_files", detail, retry_after_s=60)
        work.session.add(row)
        forget_at = datetime.now(UTC) + timedelta(seconds=settings.mail_file_keep_s)
        work.queue(ForgetFile(file_id=row.id), run_at=forget_at)
    size = number = 0
    async for piece in _pieces(content):
        size += len(piece)
        if size > settings.mail_file_max_bytes:
            await forget(db, row)
            raise too_large(settings)
        async with db.unit_of_work(caller.org_id, caller.user_id) as work:
            sealed = await envelope.seal(work.session, row.org_id, place(row, number), piece)
            await file_queries.put_part(work.session, row, number, sealed)
        number += 1
    if not size:
        await forget(db, row)
        raise BadInput("file_empty", "The file is empty. Choose another one.")
    async with db.unit_of_work(caller.org_id, caller.user_id) as work:
        kept = await file_queries.file(work.session, row.org_id, row.id, lock=True)
        if kept is None:
            raise BadInput("file_gone", "The upload took too long. Upload the file again.")
        kept.size_bytes, kept.whole = size, True
    return kept


async def forget(db: Database, row: MailFile) -> None:
    async with db.unit_of_work(row.org_id, row.user_id) as work:
        await file_queries.forget(work.session, row.org_id, row.id)


async def _pieces(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in parts of ``PART``, the last one shorter."""
    held = bytearray()
    async for some in content:
        held += some
        while len(held) >= PART:
            yield bytes(held[:PART])
            del held[:PART]
    if held:
        yield bytes(held)


async def read(db: Database, envelope: Envelope, row: MailFile, start: int = 0) -> AsyncGenerator[bytes, None]:
    """Its bytes from ``start`` on, a part at a time. Ends early when a part is not there any more."""
    for number in range(start // PART, -(-row.size_bytes // PART)):
        async with db.unit_of_work(row.org_id, row.user_id) as work:
            sealed = await file_queries.part(work.session, row, number)
            if sealed is None:
                return
            content = await envelope.open(work.session, row.org_id, place(row, number), sealed)
        yield content[max(start - number * PART, 0) :]


def place(row: MailFile, number: int) -> str:
    """The associated data of a sealed part."""
    return f"mail_file|{row.id}|{number}"
