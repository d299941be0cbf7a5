"""Upload sessions: ranges in order, each durable before it is acknowledged; a whole file is announced once."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.database.unit_of_work import Database, UnitOfWork
from shared.events import FileStored
from shared.problems import BadInput, Conflict, NotFound, TooLarge
from shared.secrets import digest
from storage import locations, queries
from storage.parts import Parts
from storage.work import GiveUpUploads, HashFile, TidyObjects

CHUNK_MULTIPLE = 320 * 1024
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


async def session_of(db: Database, token: str) -> Any:
    """The upload's row; the token alone is the credential. Raises ``NotFound``."""
    async with db.system_work() as work:
        row = (await work.session.execute(queries.BY_TOKEN, {"token_hash": digest(token)})).first()
    if row is None:
        raise NotFound("upload_not_found", "This upload session does not exist any more. Ask for a new one.")
    return row


def parse_range(header: str, size_bytes: int, limit_bytes: int) -> tuple[int, int]:
    """Start and end (exclusive) of a ``Content-Range``. Raises ``BadInput`` or ``TooLarge``."""
    match = _RANGE.fullmatch(header)
    if match is None:
        raise BadInput("bad_content_range", "Send Content-Range as: bytes <first>-<last>/<size>.")
    first, last, total = map(int, match.groups())
    if total != size_bytes or not first <= last < total:
        raise BadInput("bad_content_range", f"The range does not fit a file of {size_bytes} bytes.")
    if last + 1 - first > limit_bytes:
        raise TooLarge("range_too_large", f"Send at most {limit_bytes} bytes at a time.")
    return first, last + 1


async def exactly(body: AsyncIterator[bytes], wanted: int) -> AsyncIterator[bytes]:
    """The body, checked to be as long as its range says."""
    taken = 0
    async for chunk in body:
        taken += len(chunk)
        if taken > wanted:
            raise BadInput("body_does_not_fit", "The body is longer than its Content-Range.")
        yield chunk
    if taken != wanted:
        raise BadInput("body_does_not_fit", "The body is shorter than its Content-Range.")


async def receive(
    db: Database, parts: Parts, token: str, span: tuple[int, int], body: AsyncIterator[bytes]
) -> tuple[Any, bool]:
    """Store one range; an old one is acknowledged again. Returns the row afterwards, and whether the file is whole."""
    row = await session_of(db, token)
    start, end = span
    if start > row.received_bytes or start < row.received_bytes < end:
        raise Conflict("range_out_of_order", f"Go on at byte {row.received_bytes}.", next_expected=row.received_bytes)
    if start == row.received_bytes:
        row = await _add_part(db, parts, token, row, span, body)
    if row.received_bytes < row.size_bytes:
        return row, False
    await complete(db, parts, row)
    return row, True


async def _add_part(
    db: Database, parts: Parts, token: str, row: Any, span: tuple[int, int], body: AsyncIterator[bytes]
) -> Any:
    """The part counts when the row names it; one that came too late, or to an old address, is nobody's."""
    start, end = span
    part = await parts.add(row.org_id, row.id, start, end, exactly(body, end - start))
    values = {"token_hash": digest(token), "start": start, "end": end, "part": part}
    async with db.system_work() as work:
        advanced = (await work.session.execute(queries.ADVANCE, values)).first()
    if advanced is None:
        await parts.delete(row.org_id, row.id, part)
        return await session_of(db, token)
    return advanced


async def complete(db: Database, parts: Parts, row: Any) -> None:
    """Announce a file whose bytes are all there; safe to do again after a crash at any point, and by two at once."""
    if row.completed_at is not None:
        return
    async with db.unit_of_work(row.org_id) as work:
        if (await work.session.execute(queries.COMPLETE, {"org_id": row.org_id, "id": row.id})).first():
            work.outbox.add(
                FileStored(
                    org_id=row.org_id,
                    aggregate_version=1,
                    file_id=row.id,
                    path=row.path,
                    size_bytes=row.size_bytes,
                    content_type=row.content_type,
                )
            )
            tidy_later(work, row)
            work.queue(HashFile(file_id=row.id))
            await locations.follow(work, row.id)
        elif (await work.session.execute(queries.THERE, {"org_id": row.org_id, "id": row.id})).first() is None:
            await parts.remove(await parts.listed(row.org_id, row.id))  # erased while its last range came
            raise NotFound("upload_not_found", "This file was erased meanwhile.")


def give_up_later(work: UnitOfWork, keep_s: float) -> None:
    """Have an upload given up when nobody continues it; one job per organisation does that for all of them."""
    run_at = datetime.now(UTC) + timedelta(seconds=keep_s)
    work.queue(GiveUpUploads(), run_at=run_at)


def tidy_later(work: UnitOfWork, row: Any) -> None:
    """Delete what nobody names by a job of the same transaction: a process that dies leaves none behind."""
    work.queue(TidyObjects(file_id=row.id))
