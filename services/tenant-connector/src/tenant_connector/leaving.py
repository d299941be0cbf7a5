"""After a disconnect: what the services remove at Microsoft, summed up over all people.

::

    DELETE /v1/tenant ──► tenant.state, ``leaving_until`` ──► user-auth ends each person's connection ──► user.left
         └───► EndLeaving, when the time is over ─┐                                                          │
                                                  └──► tenant.left ◄── everybody who was connected has left ◄┘

What is told later is told on. A reconnect ends it: from then on the new connection counts.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.database.unit_of_work import UnitOfWork
from shared.events import LeftBehind, TenantLeft, UserLeft
from shared.events.leaving import add_up
from tenant_connector import queries
from tenant_connector.tables import LeavingRow, TenantRow
from tenant_connector.work import EndLeaving

GRACE_S = 60
"""People's ends are told at the deadline; the organisation's is after them."""


def deadline(within_s: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=within_s)


async def begin(work: UnitOfWork, row: TenantRow, until: datetime) -> None:
    """The tenant ended in its present version."""
    row.leaving = {"ended_in": row.version, "until": until.isoformat(), "over": False}
    await queries.note_leavers(work.session, row.org_id)
    if await queries.still_leaving(work.session, row.org_id):
        work.queue(EndLeaving(version=row.version), run_at=until + timedelta(seconds=GRACE_S))
    else:
        await end(work, row)


async def take(work: UnitOfWork, event: UserLeft) -> None:
    """A person has left, with the organisation or, while it is connected, alone, which is not summed up."""
    row = await queries.tenant_for_change(work.session, event.org_id)
    if row.leaving is None or not await queries.keep_left(work.session, event):
        return
    if row.leaving["over"] or not await queries.still_leaving(work.session, event.org_id):
        await end(work, row)


async def end(work: UnitOfWork, row: TenantRow) -> None:
    """Tell what became of everything, as far as it is known."""
    row.leaving = {**(row.leaving or {}), "over": True}
    row.version += 1
    about = {"org_id": row.org_id, "aggregate_version": row.version}
    summed = outcome(await queries.leavers(work.session, row.org_id))
    work.outbox.add(TenantLeft.model_validate(about | summed))


def outcome(rows: list[LeavingRow]) -> dict[str, Any]:
    """Over all people: how many were removed, what stays, and of how many not everything is known."""
    told = [row.told for row in rows if row.told is not None]
    return {
        "people": len(rows),
        "people_unknown": len(rows) - sum(not one["silent"] for one in told),
        "removed": sum(one["removed"] for one in told),
        "left": add_up([LeftBehind.model_validate(one) for said in told for one in said["left"]]),
    }
