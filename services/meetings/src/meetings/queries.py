"""All SQL of the meetings service."""

from dataclasses import dataclass
from typing import Any

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

_FORGET_KEYS = text(
    """DELETE FROM request_key WHERE org_id = :org_id AND user_id = :user_id
           AND created_at < clock_timestamp() - make_interval(days => :keep_days)"""
)
_UNDER_WAY = text(
    "SELECT count(*) FROM meeting WHERE org_id = :org_id AND user_id = :user_id AND status = 'scheduling'"
)
_SWITCH = (
    "SELECT version, connected, coalesce((features ->> 'auto_recording')::boolean, false) FROM tenant_copy "
    "WHERE org_id = :org_id"
)
_READ_SWITCH, _HOLD_SWITCH = text(_SWITCH), text(_SWITCH + " FOR SHARE")
_UNLIKE_SWITCH = text(
    """SELECT id, starts_at < clock_timestamp() + interval '1 day' AS soon FROM meeting
       WHERE org_id = :org_id AND status = 'scheduled' AND id > :after
           AND (auto_recording <> :wanted OR problem IS NOT NULL OR (auto_recording_reason = 'refused' AND NOT :wanted))
           AND (CAST(:user_id AS text) IS NULL OR user_id = :user_id) ORDER BY id LIMIT :limit"""
)
_INTERRUPTED = text(
    """SELECT id, event_id IS NOT NULL, status = 'cancelled' FROM meeting
       WHERE org_id = :org_id
           AND (status IN ('scheduling', 'cancelled') OR (status = 'scheduled' AND ends_at > clock_timestamp()))
           AND problem ->> 'code' = ANY(:codes) AND (CAST(:user_id AS text) IS NULL OR user_id = :user_id)"""
)


@dataclass(frozen=True, slots=True)
class Switch:
    """The organisation's switch for automatic recording, as old as the last event."""

    version: int = 0
    connected: bool = False
    on: bool = False

    @property
    def position(self) -> tuple[bool, bool]:
        return self.connected, self.on


async def switch(session: AsyncSession, org_id: str, *, hold: bool = False) -> Switch:
    """With ``hold`` its next change waits for this transaction, and then sees what this one wrote."""
    row = (await session.execute(_HOLD_SWITCH if hold else _READ_SWITCH, {"org_id": org_id})).first()
    return Switch(*row) if row else Switch()


async def unlike_switch(
    session: AsyncSession, org_id: str, *, wanted: bool, user_id: str | None, after: str, limit: int
) -> list[Any]:
    """Booked meetings that do not do what the switch says, or may not: id, and whether they begin within a day."""
    values = {"org_id": org_id, "wanted": wanted, "user_id": user_id, "after": after, "limit": limit}
    return list(await session.execute(_UNLIKE_SWITCH, values))


async def interrupted(session: AsyncSession, org_id: str, user_id: str | None, codes: list[str]) -> list[Any]:
    """Meetings of which something was kept from Microsoft, as their problem says: id, booked, cancelled.

    A change of what is over by now would only write to people about the past.
    """
    values = {"org_id": org_id, "user_id": user_id, "codes": codes}
    return list(await session.execute(_INTERRUPTED, values))


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


async def forget_keys(session: AsyncSession, org_id: str, user_id: str, keep_days: int) -> None:
    """Keys of a person's requests that nobody tries again any more."""
    await session.execute(_FORGET_KEYS, {"org_id": org_id, "user_id": user_id, "keep_days": keep_days})


async def under_way(session: AsyncSession, org_id: str, user_id: str) -> int:
    """How many meetings of a person are being scheduled."""
    return int((await session.execute(_UNDER_WAY, {"org_id": org_id, "user_id": user_id})).scalar_one())


async def claim_key(
    session: AsyncSession, org_id: str, user_id: str, key: str, request_hash: str, meeting_id: str
) -> bool:
    """Whether this request is the first with its key; waits for one under way at the same time."""
    values = {"org_id": org_id, "user_id": user_id, "key": key, "request_hash": request_hash, "meeting_id": meeting_id}
    return (await session.execute(_CLAIM_KEY, values)).first() is not None
