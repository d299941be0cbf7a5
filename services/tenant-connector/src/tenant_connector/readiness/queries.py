"""All SQL of the readiness board."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from tenant_connector.queries import now as now
from tenant_connector.readiness.tables import ReadinessCheckRow, ReadinessRow

_MAKE_CHECK = text("INSERT INTO readiness_check (org_id) VALUES (:org_id) ON CONFLICT DO NOTHING")
_DOUBTED = text("SELECT doubted_at IS NOT NULL FROM readiness_check WHERE org_id = :org_id")
_CONNECTED = "u.org_id = :org_id AND u.connected AND u.tid = :tid AND u.oid IS NOT NULL"
_LACKING_SOMETHING = "(coalesce(p.lacks, '[]') <> '[]' OR coalesce(p.without_mailbox, false))"
# Half of the places are for those who lack something, so that a mend is seen; the rest, the longest unseen first.
_PEOPLE = text(
    f"""SELECT user_id, oid, lacking FROM (
            SELECT u.user_id, u.oid, p.checked_at, {_LACKING_SOMETHING} AS lacking, row_number() OVER (
                PARTITION BY {_LACKING_SOMETHING} ORDER BY p.checked_at NULLS FIRST, u.user_id) AS turn
            FROM user_copy u LEFT JOIN readiness_person p USING (org_id, user_id) WHERE {_CONNECTED}) person
        ORDER BY NOT (lacking AND turn <= (:most + 1) / 2), checked_at NULLS FIRST, user_id LIMIT :most"""
)
_COUNT = text("SELECT count(*) FROM user_copy WHERE org_id = :org_id AND connected")
_KEEP_PERSON = text(
    """INSERT INTO readiness_person AS p (org_id, user_id, lacks, without_mailbox, checked_at)
       VALUES (:org_id, :user_id, CAST(:lacks AS jsonb), :without_mailbox, clock_timestamp())
       ON CONFLICT (org_id, user_id) DO UPDATE SET lacks = coalesce(excluded.lacks, p.lacks),
           without_mailbox = coalesce(excluded.without_mailbox, p.without_mailbox), checked_at = excluded.checked_at"""
)
_FORGET_OTHERS = text(
    f"""DELETE FROM readiness_person p WHERE p.org_id = :org_id
        AND NOT EXISTS (SELECT FROM user_copy u WHERE u.user_id = p.user_id AND {_CONNECTED})"""
)
_FORGET = text("DELETE FROM readiness_person WHERE org_id = :org_id")
_STILL_CONNECTED = "readiness_person p JOIN user_copy u USING (org_id, user_id) WHERE org_id = :org_id AND u.connected"
_LACKING = text(
    f"""SELECT user_id, coalesce(p.lacks, '[]') || CASE WHEN p.without_mailbox THEN '["mailbox"]' ELSE '[]' END::jsonb
            AS lacks
        FROM {_STILL_CONNECTED} AND {_LACKING_SOMETHING} ORDER BY user_id LIMIT :most"""
)
_LOOKED_AT = text(
    f"""SELECT count(p.lacks) AS accounts, count(*) FILTER (WHERE p.lacks <> '[]') AS unlicensed,
               count(p.without_mailbox) AS mailboxes, count(*) FILTER (WHERE p.without_mailbox) AS without_mailbox
        FROM {_STILL_CONNECTED}"""
)
_MAIL_PERMITTED = text("SELECT bool_or(mail_permitted) FROM user_copy WHERE org_id = :org_id AND connected")
_FORGET_MAIL = text("UPDATE user_copy SET mail_permitted = NULL WHERE org_id = :org_id AND NOT mail_permitted")
_VERDICTS = text("SELECT capability, verdict, count(*) AS organisations FROM readiness GROUP BY capability, verdict")


@dataclass(frozen=True, slots=True)
class Person:
    """A connected person; ``oid`` is their id at Microsoft. ``lacking``: something, when last looked at."""

    user_id: str
    oid: str
    lacking: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """Microsoft's answer about a person: what they lack, and whether it is a mailbox; None without an answer."""

    lacks: Sequence[str] | None
    without_mailbox: bool | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many connected people have a known account and mailbox, and how many of them lack something."""

    accounts: int
    unlicensed: int
    mailboxes: int
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
    """Connected people of the tenant: up to half who lack something, then who was not looked at for the longest."""
    rows = (await session.execute(_PEOPLE, {"org_id": org_id, "tid": tid, "most": most})).all()
    return [Person(*row) for row in rows]


async def connected_people(session: AsyncSession, org_id: str) -> int:
    return int((await session.execute(_COUNT, {"org_id": org_id})).scalar_one())


async def keep_people(session: AsyncSession, org_id: str, tid: str, people: Mapping[str, Answers]) -> None:
    """Keep answers by user id; without one, what was known stays. Forget people who are not connected any more."""
    for user_id, answers in sorted(people.items()):
        lacks = None if answers.lacks is None else json.dumps(answers.lacks)
        said = {"lacks": lacks, "without_mailbox": answers.without_mailbox}
        await session.execute(_KEEP_PERSON, {"org_id": org_id, "user_id": user_id, **said})
    await session.execute(_FORGET_OTHERS, {"org_id": org_id, "tid": tid})


async def tally(session: AsyncSession, org_id: str) -> Tally:
    """Over everybody who was ever looked at, not over the last few only."""
    return Tally(*(await session.execute(_LOOKED_AT, {"org_id": org_id})).one())


async def mail_permitted(session: AsyncSession, org_id: str) -> bool | None:
    """Whether Microsoft gave anybody the permissions for mail; None when nobody's token was asked for them."""
    found: bool | None = (await session.execute(_MAIL_PERMITTED, {"org_id": org_id})).scalar()
    return found


async def forget_mail_refusals(session: AsyncSession, org_id: str) -> None:
    """The organisation consents anew: what was refused before is asked for again."""
    await session.execute(_FORGET_MAIL, {"org_id": org_id})


async def lacking(session: AsyncSession, org_id: str, most: int) -> list[tuple[str, list[str]]]:
    rows = (await session.execute(_LACKING, {"org_id": org_id, "most": most})).all()
    return [(row.user_id, row.lacks) for row in rows]


async def verdicts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """How many organisations have each verdict on each capability."""
    return {(row.capability, row.verdict): row.organisations for row in await session.execute(_VERDICTS)}


async def forget_people(session: AsyncSession, org_id: str) -> None:
    await session.execute(_FORGET, {"org_id": org_id})


async def age_s(session: AsyncSession, moment: datetime) -> float:
    return (await now(session) - moment).total_seconds()
