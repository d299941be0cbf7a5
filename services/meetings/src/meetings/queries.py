"""All SQL of the meetings service."""

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from meetings.tables import MeetingRow

_CLAIM_KEY = text(
    """INSERT INTO request_key (org_id, user_id, key, request_hash, meeting_id)
       VALUES (:org_id, :user_id, :key, :request_hash, :meeting_id) ON CONFLICT DO NOTHING RETURNING meeting_id"""
)
_KEY = text(
    "SELECT request_hash, meeting_id FROM request_key WHERE org_id = :org_id AND user_id = :user_id AND key = :key"
)


async def meeting(session: AsyncSession, org_id: str, meeting_id: str, *, lock: bool = False) -> MeetingRow | None:
    """One meeting; with ``lock`` nobody else changes it before this transaction ends."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.id == meeting_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def meetings_of(
    session: AsyncSession, org_id: str, user_id: str, *, before: str | None, limit: int
) -> list[MeetingRow]:
    """The user's meetings, newest first; ``before`` is the id the last page ended with."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.user_id == user_id)
    if before:
        query = query.where(MeetingRow.id < before)
    return list((await session.exec(query.order_by(col(MeetingRow.id).desc()).limit(limit))).all())


async def known_request(session: AsyncSession, org_id: str, user_id: str, key: str) -> tuple[str, str] | None:
    """Hash and meeting id of the request made with this key before, if any."""
    row = (await session.execute(_KEY, {"org_id": org_id, "user_id": user_id, "key": key})).first()
    return (row.request_hash, row.meeting_id) if row else None


async def claim_key(
    session: AsyncSession, org_id: str, user_id: str, key: str, request_hash: str, meeting_id: str
) -> bool:
    """Whether this request is the first with its key; waits for one under way at the same time."""
    values = {"org_id": org_id, "user_id": user_id, "key": key, "request_hash": request_hash, "meeting_id": meeting_id}
    return (await session.execute(_CLAIM_KEY, values)).first() is not None
