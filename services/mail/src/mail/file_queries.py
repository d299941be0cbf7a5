"""SQL of files that are to be sent, and of their bytes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from mail.tables import MailFile

_KEPT = text(
    """SELECT coalesce(sum(octet_length(content)), 0)::bigint AS bytes FROM mail_file_part
       WHERE org_id = :org_id AND user_id = :user_id"""
)
_PUT = text(
    """INSERT INTO mail_file_part (org_id, file_id, number, user_id, content)
       VALUES (:org_id, :file_id, :number, :user_id, :content)"""
)
_PART = text("SELECT content FROM mail_file_part WHERE org_id = :org_id AND file_id = :file_id AND number = :number")
_FORGET_PARTS = text("DELETE FROM mail_file_part WHERE org_id = :org_id AND file_id = :file_id")
_FORGET = text("DELETE FROM mail_file WHERE org_id = :org_id AND id = :file_id")
_FORGET_BYTES = text(
    """DELETE FROM mail_file_part WHERE org_id = :org_id AND file_id IN
       (SELECT id FROM mail_file WHERE org_id = :org_id AND mail_id = :mail_id)"""
)
_NOTHING_LEFT = text("UPDATE mail_file SET whole = false, session = NULL WHERE org_id = :org_id AND mail_id = :mail_id")
_DONE_WITH = text("""SELECT status = 'failed' AS failed FROM outgoing_mail WHERE org_id = :org_id AND id = :mail_id""")
_ANEW = text("UPDATE mail_file SET attached = false, session = NULL WHERE org_id = :org_id AND mail_id = :mail_id")


async def file(session: AsyncSession, org_id: str, file_id: str, *, lock: bool = False) -> MailFile | None:
    query = select(MailFile).where(MailFile.org_id == org_id, MailFile.id == file_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def files_of(session: AsyncSession, org_id: str, mail_ids: Sequence[str]) -> dict[str, list[MailFile]]:
    """Mail id → its files, in order."""
    query = select(MailFile).where(MailFile.org_id == org_id, col(MailFile.mail_id).in_(mail_ids))
    found: dict[str, list[MailFile]] = {mail_id: [] for mail_id in mail_ids}
    for one in await session.exec(query.order_by(col(MailFile.position))):
        found[str(one.mail_id)].append(one)
    return found


async def kept_bytes(session: AsyncSession, org_id: str, user_id: str) -> int:
    """Sealed bytes of all files of a person that are here, unfinished uploads too."""
    return int((await session.execute(_KEPT, {"org_id": org_id, "user_id": user_id})).scalar_one())


async def put_part(session: AsyncSession, file: MailFile, number: int, content: bytes) -> None:
    """``content`` is sealed."""
    values: dict[str, Any] = {"org_id": file.org_id, "file_id": file.id, "user_id": file.user_id}
    await session.execute(_PUT, values | {"number": number, "content": content})


async def part(session: AsyncSession, file: MailFile, number: int) -> bytes | None:
    values = {"org_id": file.org_id, "file_id": file.id, "number": number}
    found = (await session.execute(_PART, values)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def forget(session: AsyncSession, org_id: str, file_id: str) -> None:
    """The file and its bytes."""
    await session.execute(_FORGET_PARTS, {"org_id": org_id, "file_id": file_id})
    await session.execute(_FORGET, {"org_id": org_id, "file_id": file_id})


async def forget_bytes(session: AsyncSession, org_id: str, mail_id: str) -> None:
    """The mail is done: its files stay named, their bytes go."""
    await session.execute(_FORGET_BYTES, {"org_id": org_id, "mail_id": mail_id})
    await session.execute(_NOTHING_LEFT, {"org_id": org_id, "mail_id": mail_id})


async def attach_anew(session: AsyncSession, org_id: str, mail_id: str) -> None:
    """The next draft has none of the mail's files."""
    await session.execute(_ANEW, {"org_id": org_id, "mail_id": mail_id})


async def is_done_with(session: AsyncSession, file: MailFile) -> bool:
    """Whether its mail failed, and was not asked to be sent again."""
    values = {"org_id": file.org_id, "mail_id": file.mail_id}
    return bool((await session.execute(_DONE_WITH, values)).scalar_one_or_none())
