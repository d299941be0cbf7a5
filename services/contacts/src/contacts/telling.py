"""Telling mail which addresses belong to contacts: an event with ids only, and pages of what changed since a cursor."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts import queries
from shared.database.unit_of_work import UnitOfWork
from shared.events import ContactsChanged

# A transaction that is still open may commit a lower number than one that is over, so nothing from the oldest open one
# on is told yet. A database that was restored elsewhere begins with low numbers again: such a cursor begins anew.
_CHANGES = text(
    """WITH here AS (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest,
                           CASE WHEN CAST(CAST(:turned AS text) AS xid8) < pg_snapshot_xmax(pg_current_snapshot())
                                THEN CAST(CAST(:turned AS text) AS xid8) ELSE '0' END AS turned)
       SELECT a.contact_id, a.user_id, a.turned::text AS turned, a.turned >= here.oldest AS held,
              coalesce(c.shared, false) AS shared, coalesce(c.emails, '{}') AS addresses
       FROM here, address_change a LEFT JOIN contact c ON c.org_id = a.org_id AND c.id = a.contact_id
       WHERE a.org_id = :org_id AND (a.turned, a.contact_id) > (here.turned, :contact_id)
       ORDER BY a.turned, a.contact_id LIMIT :limit"""
)


@dataclass(frozen=True, slots=True)
class Changes:
    """``rows`` in order; ``cursor`` is where the next page begins; ``more``: ask again, at once or a moment later."""

    rows: list[Any]
    cursor: str
    more: bool


async def changes(session: AsyncSession, org_id: str, cursor: str, limit: int) -> Changes:
    """Contacts whose addresses, owner or sharing changed. ``cursor`` is empty for all. Raises ``ValueError``."""
    turned, _, contact_id = (cursor or "0:").partition(":")
    if not turned.isdecimal() or int(turned) >= 2**63:
        raise ValueError("not a cursor of ours")
    values = {"org_id": org_id, "turned": turned, "contact_id": contact_id, "limit": limit}
    found = list(await session.execute(_CHANGES, values))
    rows = [row for row in found if not row.held]
    cursor = f"{rows[-1].turned}:{rows[-1].contact_id}" if rows else cursor
    return Changes(rows, cursor, more=len(found) == limit or len(rows) < len(found))


async def tell(work: UnitOfWork, user_id: str) -> None:
    """A person's contacts were changed otherwise than by an import."""
    await work.session.flush()
    version = await queries.next_version(work.session, work.org_id, user_id)
    work.outbox.add(ContactsChanged(org_id=work.org_id, aggregate_version=version, user_id=user_id))
