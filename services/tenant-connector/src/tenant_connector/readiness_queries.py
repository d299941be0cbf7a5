"""All SQL of the readiness board."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from tenant_connector.queries import now as now
from tenant_connector.readiness_tables import ReadinessCheckRow, ReadinessRow

_MAKE_CHECK = text("INSERT INTO readiness_check (org_id) VALUES (:org_id) ON CONFLICT DO NOTHING")
_DOUBTED = text("SELECT doubted_at IS NOT NULL FROM readiness_check WHERE org_id = :org_id")
_CONNECTED = "u.org_id = :org_id AND u.connected AND u.tid = :tid AND u.oid IS NOT NULL"
_PEOPLE = text(
    f"""SELECT u.user_id, u.oid FROM user_copy u LEFT JOIN readiness_person p USING (org_id, user_id)
        WHERE {_CONNECTED} ORDER BY p.checked_at NULLS FIRST, u.user_id LIMIT :most"""
)
_COUNT = text("SELECT count(*) FROM user_copy WHERE org_id = :org_id AND connected")
_KEEP_PERSON = text(
    """INSERT INTO readiness_person (org_id, user_id, lacks, checked_at)
       VALUES (:org_id, :user_id, CAST(:lacks AS jsonb), clock_timestamp())
       ON CONFLICT (org_id, user_id) DO UPDATE SET lacks = excluded.lacks, checked_at = excluded.checked_at"""
)
_FORGET_OTHERS = text(
    f"""DELETE FROM readiness_person p WHERE p.org_id = :org_id
        AND NOT EXISTS (SELECT FROM user_copy u WHERE u.user_id = p.user_id AND {_CONNECTED})"""
)
_FORGET = text("DELETE FROM readiness_person WHERE org_id = :org_id")
_LACKING = text(
    """SELECT user_id, lacks FROM readiness_person
       WHERE org_id = :org_id AND jsonb_array_length(lacks) > 0 ORDER BY user_id LIMIT :most"""
)
_LOOKED_AT = text(
    """SELECT count(*) AS people, count(*) FILTER (WHERE lacks - 'mailbox' <> '[]'::jsonb) AS unlicensed,
              count(*) FILTER (WHERE lacks ? 'mailbox') AS without_mailbox
       FROM readiness_person WHERE org_id = :org_id"""
)


@dataclass(frozen=True, slots=True)
class Person:
    """A connected person; ``oid`` is their id at Microsoft."""

    user_id: str
    oid: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many people were looked at, and how many of them lack something."""

    people: int
    unlicensed: int
    without_mailbox: int


async def board(session: AsyncSession, org_id: str) -> list[ReadinessRow]:
    return list((await session.exec(select(ReadinessRow).where(ReadinessRow.org_id == org_id))).all())


async def check(session: AsyncSession, org_id: str) -> ReadinessCheckRow | None:
    return (await session.exec(select(ReadinessCheckRow).where(ReadinessCheckRow.org_id == org_id))).first()


async def check_for_change(session: AsyncSession, org_id: str) -> ReadinessCheckRow:
    """The organisation's row, made when there is none; nobody else changes the board before this transaction ends."""
    await session.execute(_MAKE_CHECK, {"org_id": org_id})
    wanted = select(ReadinessCheckRow).where(ReadinessCheckRow.org_id == org_id).with_for_update()
    return (await session.exec(wanted.execution_options(populate_existing=True))).one()


async def is_doubted(session: AsyncSession, org_id: str) -> bool:
    return bool((await session.execute(_DOUBTED, {"org_id": org_id})).scalar())


async def people(session: AsyncSession, org_id: str, tid: str, most: int) -> list[Person]:
    """Connected people of the tenant, those who were not looked at for the longest first."""
    rows = (await session.execute(_PEOPLE, {"org_id": org_id, "tid": tid, "most": most})).all()
    return [Person(row.user_id, row.oid) for row in rows]


async def connected_people(session: AsyncSession, org_id: str) -> int:
    return int((await session.execute(_COUNT, {"org_id": org_id})).scalar_one())


async def keep_people(session: AsyncSession, org_id: str, tid: str, lacks: Mapping[str, Sequence[str]]) -> Tally:
    """What each person lacks; who is not connected any more is forgotten."""
    for user_id, missing in sorted(lacks.items()):
        await session.execute(_KEEP_PERSON, {"org_id": org_id, "user_id": user_id, "lacks": json.dumps(missing)})
    await session.execute(_FORGET_OTHERS, {"org_id": org_id, "tid": tid})
    row = (await session.execute(_LOOKED_AT, {"org_id": org_id})).one()
    return Tally(row.people, row.unlicensed, row.without_mailbox)


async def lacking(session: AsyncSession, org_id: str, most: int) -> list[tuple[str, list[str]]]:
    rows = (await session.execute(_LACKING, {"org_id": org_id, "most": most})).all()
    return [(row.user_id, row.lacks) for row in rows]


async def forget_people(session: AsyncSession, org_id: str) -> None:
    await session.execute(_FORGET, {"org_id": org_id})


async def age_s(session: AsyncSession, moment: datetime) -> float:
    return (await now(session) - moment).total_seconds()
