"""SQL of the copy of the contacts' addresses."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

_CURSOR = text("SELECT cursor FROM address_cursor WHERE org_id = :org_id")
_SET_CURSOR = text(
    """INSERT INTO address_cursor (org_id, cursor) VALUES (:org_id, :cursor)
       ON CONFLICT (org_id) DO UPDATE SET cursor = excluded.cursor"""
)
_FORGET = text(
    """DELETE FROM contact_address WHERE org_id = :org_id AND contact_id = ANY(:ids)
       RETURNING user_id, address, shared"""
)
_KEEP = text(
    """INSERT INTO contact_address (org_id, contact_id, address, user_id, shared)
       SELECT :org_id, g.* FROM unnest(CAST(:contact_id AS text[]), CAST(:address AS text[]), CAST(:user_id AS text[]),
           CAST(:shared AS boolean[])) AS g ON CONFLICT DO NOTHING"""
)
_OF_CONTACT = text(
    """SELECT address FROM contact_address
       WHERE org_id = :org_id AND contact_id = :contact_id AND (user_id = :user_id OR shared)"""
)
_CONTACTS = text(
    """SELECT DISTINCT address, contact_id FROM contact_address
       WHERE org_id = :org_id AND (user_id = :user_id OR shared) AND address = ANY(:addresses) ORDER BY contact_id"""
)


class Known(NamedTuple):
    """An address of a contact, and who sees the contact: its owner, or everybody."""

    user_id: str
    address: str
    shared: bool


async def cursor(session: AsyncSession, org_id: str) -> str:
    return str((await session.execute(_CURSOR, {"org_id": org_id})).scalar() or "")


async def set_cursor(session: AsyncSession, org_id: str, cursor: str) -> None:
    await session.execute(_SET_CURSOR, {"org_id": org_id, "cursor": cursor})


async def replace(session: AsyncSession, org_id: str, ids: Sequence[str], rows: Sequence[dict[str, Any]]) -> set[Known]:
    """These contacts have these addresses and no others: each row one of them. What there was."""
    before = await session.execute(_FORGET, {"org_id": org_id, "ids": list(ids)})
    found = {Known(*row) for row in before}
    columns = {name: [row[name] for row in rows] for name in ("contact_id", "address", "user_id", "shared")}
    await session.execute(_KEEP, {"org_id": org_id, **columns})
    return found


async def of_contact(session: AsyncSession, org_id: str, user_id: str, contact_id: str) -> list[str]:
    """The addresses of a contact that the person sees."""
    values = {"org_id": org_id, "user_id": user_id, "contact_id": contact_id}
    return list((await session.execute(_OF_CONTACT, values)).scalars())


async def contacts_of(
    session: AsyncSession, org_id: str, user_id: str, addresses: Sequence[str]
) -> dict[str, list[str]]:
    """Address → the contacts that the person sees with it."""
    found: dict[str, list[str]] = {}
    values = {"org_id": org_id, "user_id": user_id, "addresses": list(addresses)}
    for row in await session.execute(_CONTACTS, values):
        found.setdefault(row.address, []).append(row.contact_id)
    return found
