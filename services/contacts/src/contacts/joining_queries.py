"""SQL of who may be the same person, who is not, and which sources a contact is made of."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.values import as_json

_BOOK = text(
    """SELECT id, record FROM contact WHERE org_id = :org_id AND user_id = :user_id AND archived_at IS NULL
       AND id > :after ORDER BY id LIMIT :n"""
)
_APART = text("SELECT one, other FROM not_same WHERE org_id = :org_id AND user_id = :user_id")
_FORGET = text("DELETE FROM proposal WHERE org_id = :org_id AND user_id = :user_id")
_PROPOSE = text(
    """INSERT INTO proposal (org_id, user_id, one, other, score, reasons)
       SELECT :org_id, :user_id, g.one, g.other, g.score, g.reasons
       FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS g(one text, other text, score double precision, reasons jsonb)
       ON CONFLICT DO NOTHING"""
)
_PROPOSALS = text(
    """SELECT p.one, p.other, p.reasons, p.score FROM proposal p
       JOIN contact a ON (a.org_id, a.id, a.user_id) = (p.org_id, p.one, p.user_id)
       JOIN contact b ON (b.org_id, b.id, b.user_id) = (p.org_id, p.other, p.user_id)
       WHERE p.org_id = :org_id AND p.user_id = :user_id ORDER BY p.score DESC, p.one, p.other LIMIT :n"""
)
_NOT_SAME = text(
    """INSERT INTO not_same (org_id, user_id, one, other) VALUES (:org_id, :user_id, :one, :other)
       ON CONFLICT DO NOTHING"""
)
_FORGET_PAIR = text(
    "DELETE FROM proposal WHERE org_id = :org_id AND user_id = :user_id AND one = :one AND other = :other"
)
_MOVE = text(
    """UPDATE source_record SET contact_id = :to, why = 'person'
       WHERE org_id = :org_id AND contact_id = :from RETURNING id"""
)
_TAKE = text(
    """UPDATE source_record SET contact_id = :to, why = 'person'
       WHERE org_id = :org_id AND id = :id AND user_id = :user_id AND contact_id = :from RETURNING payload"""
)


async def book(session: AsyncSession, org_id: str, user_id: str, after: str, n: int) -> list[Any]:
    """``id`` and ``record`` of a person's own contacts behind the one of id ``after``."""
    values = {"org_id": org_id, "user_id": user_id, "after": after, "n": n}
    return list(await session.execute(_BOOK, values))


async def apart(session: AsyncSession, org_id: str, user_id: str) -> set[tuple[str, str]]:
    """Pairs that the person said are not the same."""
    return {(row.one, row.other) for row in await session.execute(_APART, {"org_id": org_id, "user_id": user_id})}


async def propose(session: AsyncSession, org_id: str, user_id: str, rows: list[dict[str, Any]]) -> None:
    """These proposals and no others."""
    await session.execute(_FORGET, {"org_id": org_id, "user_id": user_id})
    if rows:
        await session.execute(_PROPOSE, {"org_id": org_id, "user_id": user_id, "rows": as_json(rows)})


async def proposals(session: AsyncSession, org_id: str, user_id: str, n: int) -> list[Any]:
    """The best first, of contacts that are both still there."""
    return list(await session.execute(_PROPOSALS, {"org_id": org_id, "user_id": user_id, "n": n}))


async def not_same(session: AsyncSession, org_id: str, user_id: str, both: tuple[str, str]) -> None:
    """Lasting: neither linked nor proposed any more."""
    values = {"org_id": org_id, "user_id": user_id, "one": both[0], "other": both[1]}
    await session.execute(_NOT_SAME, values)
    await session.execute(_FORGET_PAIR, values)


async def move_sources(session: AsyncSession, org_id: str, source: str, to: str) -> Sequence[str]:
    """All sources of the contact ``source`` belong to ``to`` now."""
    return list((await session.execute(_MOVE, {"org_id": org_id, "from": source, "to": to})).scalars())


async def take_source(session: AsyncSession, org_id: str, user_id: str, source_id: str, *, of: str, to: str) -> Any:
    """The person's own source leaves the contact ``of`` for ``to``: what Outlook said of it; None when it is not so."""
    values = {"org_id": org_id, "user_id": user_id, "id": source_id, "from": of, "to": to}
    return (await session.execute(_TAKE, values)).scalar_one_or_none()
