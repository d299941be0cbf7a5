"""Files of people: begun, sent in ranges or at once, checked by their SHA-256, announced once.

Their bytes come to Prospo's own storage, whatever place is chosen: a person's browser gets no address of SharePoint.
A file that belongs in the chosen place follows from there (``moving.py``).
"""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from shared.database.unit_of_work import Database, UnitOfWork
from shared.events import FileStored
from shared.problems import BadInput, Conflict, NoRoom, NotFound, TooLarge, TooMany
from shared.web.identity import Identity
from storage import locations, people_queries, queries
from storage.parts import Parts
from storage.settings import Settings
from storage.uploads import exactly, give_up_later, tidy_later
from storage.work import HashFile

CHECKED_AT_ONCE = 64 * 1024 * 1024
"""A file up to this size is read and checked while its sender waits; a larger one by a job."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody says of a file before its bytes come. ``sha256`` is in hex, when they know it."""

    name: str
    content_type: str
    size_bytes: int
    shared: bool
    sha256: str | None


async def begin(work: UnitOfWork, knobs: Settings, caller: Identity, wanted: Wanted, key: str) -> Any:
    """The file's row; the same ``key`` of the same person is the same file.

    Raises ``TooLarge``, ``TooMany`` and ``NoRoom`` before a byte is taken, ``Conflict`` for a key of another file.
    """
    if wanted.size_bytes > knobs.person_file_max_bytes:
        most = knobs.person_file_max_bytes
        raise TooLarge("file_too_large", f"A file may have {most} bytes at most. Split it.", max_bytes=most)
    values: dict[str, Any] = {"org_id": work.org_id, "id": str(uuid.uuid4())}
    values |= {"user_id": caller.user_id, "name": wanted.name}
    values |= {"dedupe_key": json.dumps(["person", caller.user_id, key]), "path": f"people/{values['id']}"}
    values |= {"content_type": wanted.content_type, "size_bytes": wanted.size_bytes, "shared": wanted.shared}
    await work.session.execute(people_queries.QUOTA, {"org_id": work.org_id})
    row = (await work.session.execute(people_queries.BEGIN, values | {"sha256": wanted.sha256})).one()
    if row.id == values["id"]:
        await _refuse_without_room(work, knobs)
        give_up_later(work, knobs.unfinished_upload_keep_s)
    elif Wanted(row.file_name, row.content_type, row.size_bytes, wanted.shared, row.wanted_sha256) != wanted:
        raise Conflict("idempotency_key_reused", "This Idempotency-Key came with another file. Send a new one.")
    return row


async def _refuse_without_room(work: UnitOfWork, knobs: Settings) -> None:
    """Counted with the new one, which is rolled back. Recordings count, and are never refused for it."""
    kept = (await work.session.execute(people_queries.KEPT_BYTES, {"org_id": work.org_id})).scalar_one()
    if kept > knobs.organisation_quota_bytes:
        raise NoRoom(
            "quota_reached",
            "Your organisation's room for files in Prospo is used up. Delete files that nobody needs, or ask an Org "
            "Admin to have files kept in SharePoint.",
            quota_bytes=knobs.organisation_quota_bytes,
        )
    unfinished = (await work.session.execute(queries.UNFINISHED, {"org_id": work.org_id})).one()
    if unfinished.sessions > knobs.unfinished_uploads or unfinished.bytes > knobs.unfinished_upload_bytes:
        detail = "So many uploads are unfinished. Finish some of them first."
        raise TooMany("too_many_uploads", detail, retry_after_s=60)


async def own(work: UnitOfWork, caller: Identity, file_id: uuid.UUID) -> Any:
    """The row of the caller's own upload, whole or not. Raises ``NotFound``."""
    values = {"org_id": work.org_id, "id": str(file_id), "user_id": caller.user_id}
    row = (await work.session.execute(people_queries.OWN, values)).first()
    if row is None:
        raise NotFound("upload_not_found", "You have no such upload. Begin a new one.")
    return row


async def take(db: Database, parts: Parts, row: Any, span: tuple[int, int], body: AsyncIterator[bytes]) -> Any:
    """Store one range; an old one is acknowledged again. Returns the row afterwards."""
    start, end = span
    if start > row.received_bytes or start < row.received_bytes < end:
        raise Conflict("range_out_of_order", f"Go on at byte {row.received_bytes}.", next_expected=row.received_bytes)
    if start < row.received_bytes:
        return row
    part = await parts.add(row.org_id, row.id, start, end, exactly(body, end - start))
    values = {"org_id": row.org_id, "id": row.id, "user_id": row.owner_id, "start": start, "end": end, "part": part}
    async with db.unit_of_work(row.org_id) as work:
        advanced = (await work.session.execute(people_queries.ADVANCE, values)).first()
    if advanced is None:  # another request was quicker, or the upload is gone
        await parts.delete(row.org_id, row.id, part)
        raise Conflict("range_out_of_order", "Another request sent this range. Ask where the upload stands.")
    return advanced


async def complete(db: Database, parts: Parts, row: Any) -> Any:
    """All bytes are there: check them, now or by a job, and announce the file. Returns the row afterwards.

    Raises ``Conflict`` while bytes are missing, ``BadInput`` when they are not those that were meant.
    """
    if row.completed_at is not None or row.checking:
        return row
    if row.received_bytes < row.size_bytes:
        detail = f"The upload has {row.received_bytes} of {row.size_bytes} bytes. Go on there, then complete it."
        raise Conflict("upload_incomplete", detail, next_expected=row.received_bytes)
    values = {"org_id": row.org_id, "id": row.id, "user_id": row.owner_id}
    async with db.unit_of_work(row.org_id) as work:
        checking = (await work.session.execute(people_queries.CHECKING, values)).first()
        if checking is None:
            raise NotFound("upload_not_found", "You have no such upload. Begin a new one.")
        work.queue(HashFile(file_id=row.id))  # also when this process dies now
    if row.size_bytes > CHECKED_AT_ONCE:
        return checking
    whole = await check(db, parts, checking)
    if whole is None:
        raise BadInput(
            "sha256_mismatch",
            "The bytes that arrived are not the file that was announced. Nothing of them is kept; send it again from "
            "byte 0.",
        )
    return whole


async def check(db: Database, parts: Parts, row: Any) -> Any | None:
    """Read what arrived and compare. Returns the whole file's row, or None when the upload begins anew."""
    found = await parts.sha256(row)
    values = {"org_id": row.org_id, "id": row.id, "sha256": found}
    async with db.unit_of_work(row.org_id) as work:
        if row.wanted_sha256 not in {None, found}:
            await work.session.execute(people_queries.ANEW, values)
            tidy_later(work, row)
            return None
        whole = (await work.session.execute(people_queries.WHOLE, values)).first()
        if whole is None:  # by somebody else meanwhile
            return (await work.session.execute(queries.PARTS, {"org_id": row.org_id, "id": row.id})).first()
        announce(work, whole)
        tidy_later(work, whole)
        await locations.follow(work, whole.id)
    return whole


def announce(work: UnitOfWork, row: Any) -> None:
    """Once per file, in the transaction that makes it whole."""
    work.outbox.add(
        FileStored(
            org_id=row.org_id,
            aggregate_version=1,
            file_id=row.id,
            path=row.path,
            size_bytes=row.size_bytes,
            content_type=row.content_type,
            sha256=row.sha256,
        )
    )
