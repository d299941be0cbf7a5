"""After a disconnect: for a while the tokens serve to remove what Prospo set at Microsoft, and nothing else.

::

    disconnect ──► user.state, ``leaving_until`` ──► the services ask for tokens with ``leaving``, remove, and tell
         └───► EndLeaving, when the time is over ─┐        │ …traces_removed
                                                  └──► the tokens are destroyed, user.left ◄── all have told

A sign-in meanwhile ends it: the new connection keeps what there is. What is told later is told on.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.database.outbox import Outbox
from shared.database.unit_of_work import UnitOfWork
from shared.events import LeftBehind, TracesRemoved, UserLeft
from shared.events.leaving import add_up
from user_auth.tables import ConnectionRow
from user_auth.work import EndLeaving

SERVICES = ("contacts", "mail", "meetings", "recording-ingest")
"""Services that set something at Microsoft in people's names."""


def deadline(within_s: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=within_s)


def begin(row: ConnectionRow, until: datetime | None) -> None:
    """The connection ends in its present version. Without tokens, or time, nothing can be removed, and that is told."""
    possible = until is not None and until > datetime.now(UTC) and row.sealed_cache is not None
    row.leaving_until = until if possible else None
    row.leaving = {"ended_in": row.version, "over": False, "told": {}}
    if not possible:
        _destroy(row)


def watch(work: UnitOfWork, row: ConnectionRow, within_s: int) -> None:
    """Queue the end of the leaving, whether or not all services have answered."""
    work.queue(EndLeaving(user_id=row.user_id, version=row.version), run_at=row.leaving_until or deadline(within_s))


def is_open(row: ConnectionRow) -> bool:
    return row.leaving_until is not None and row.leaving_until > datetime.now(UTC)


def ended_in(row: ConnectionRow) -> int:
    """The version of a connection that ended. What is told of its leaving afterwards makes it no other one."""
    return int(row.leaving["ended_in"]) if row.leaving else row.version


def take(row: ConnectionRow, event: TracesRemoved, outbox: Outbox) -> None:
    """A service has told; of another end of the connection than the last one it is no news any more."""
    if row.leaving is None or row.leaving["ended_in"] != event.aggregate_version:
        return
    said = event.model_dump(mode="json", include={"removed", "left"})
    row.leaving = {**row.leaving, "told": {**row.leaving["told"], event.emitter: said}}
    if row.leaving["over"] or set(row.leaving["told"]) >= set(SERVICES):
        end(row, outbox)


def end(row: ConnectionRow, outbox: Outbox) -> None:
    """Destroy the tokens and tell what became of everything."""
    _destroy(row)
    row.leaving_until, row.leaving = None, {**(row.leaving or {}), "over": True}
    row.version += 1
    about = {"org_id": row.org_id, "user_id": row.user_id, "aggregate_version": row.version}
    outbox.add(UserLeft.model_validate(about | {"ended_in": ended_in(row)} | outcome(row)))


def outcome(row: ConnectionRow) -> dict[str, Any]:
    """Over all services: how many were removed, what stays, and who has not told."""
    told = (row.leaving or {}).get("told", {})
    return {
        "removed": sum(said["removed"] for said in told.values()),
        "left": add_up([LeftBehind.model_validate(one) for said in told.values() for one in said["left"]]),
        "silent": [name for name in SERVICES if name not in told],
    }


def _destroy(row: ConnectionRow) -> None:
    row.sealed_cache = row.token_expires_at = row.granted_scopes = None
