"""After a disconnect: what the services remove at Microsoft, summed up over all people and the application's own.

::

    DELETE /v1/tenant ──► tenant.state, ``leaving_until`` ──► user-auth ends each person's connection ──► user.left
         │                   └──► meetings, with the application's token ──► meeting.application_traces_removed
         └───► EndLeaving, when the time is over ─┐                                      │         │
                                                  └──► tenant.left ◄── all have told ◄───┴─────────┘

The application's token is given until it is over, to whoever asks with ``leaving``. What is told later is told on. A
reconnect ends it: from then on the new connection counts.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.database.unit_of_work import UnitOfWork
from shared.events import LeftBehind, MeetingApplicationTracesRemoved, TenantLeft, UserLeft
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
    row.leaving = {"ended_in": row.version, "until": until.isoformat(), "over": False, "application": None}
    await queries.note_leavers(work.session, row.org_id)
    work.queue(EndLeaving(version=row.version), run_at=until + timedelta(seconds=GRACE_S))


def is_open(row: TenantRow) -> bool:
    """Whether things may be removed at Microsoft now."""
    leaving = row.leaving
    return leaving is not None and not leaving["over"] and datetime.fromisoformat(leaving["until"]) > datetime.now(UTC)


async def take(work: UnitOfWork, event: UserLeft) -> None:
    """A person has left, with the organisation or, while it is connected, alone, which is not summed up."""
    row = await queries.tenant_for_change(work.session, event.org_id)
    if row.leaving is not None and await queries.keep_left(work.session, event):
        await _end_when_all_told(work, row)


async def take_application(work: UnitOfWork, event: MeetingApplicationTracesRemoved) -> None:
    """Keep what stayed of the application. News of an earlier end of the connection is ignored."""
    row = await queries.tenant_for_change(work.session, event.org_id)
    if row.leaving is not None and row.leaving["ended_in"] == event.aggregate_version:
        row.leaving = {**row.leaving, "application": event.model_dump(mode="json", include={"removed", "left"})}
        await _end_when_all_told(work, row)


async def _end_when_all_told(work: UnitOfWork, row: TenantRow) -> None:
    known = not _application_unknown(row) and not await queries.still_leaving(work.session, row.org_id)
    if known or (row.leaving or {}).get("over"):
        await end(work, row)


def _application_unknown(row: TenantRow) -> bool:
    """An end that a version began which did not ask has nothing to wait for."""
    return (row.leaving or {}).get("application", {}) is None


async def end(work: UnitOfWork, row: TenantRow) -> None:
    """Tell what became of everything, as far as it is known."""
    row.leaving = {**(row.leaving or {}), "over": True}
    row.version += 1
    about = {"org_id": row.org_id, "aggregate_version": row.version}
    summed = outcome(row, await queries.leavers(work.session, row.org_id))
    work.outbox.add(TenantLeft.model_validate(about | summed))


def outcome(row: TenantRow, leavers: list[LeavingRow]) -> dict[str, Any]:
    """Over all: how many were removed, what stays, and of how many not everything is known."""
    people = [one.told for one in leavers if one.told is not None]
    application = (row.leaving or {}).get("application")
    told = [*people, application] if application else people
    return {
        "people": len(leavers),
        "people_unknown": len(leavers) - sum(not one["silent"] for one in people),
        "application_unknown": _application_unknown(row),
        "removed": sum(one["removed"] for one in told),
        "left": add_up([LeftBehind.model_validate(one) for said in told for one in said["left"]]),
    }
