"""Hearing of connections and switches: the state is kept with the event, everything else is done by one job.

A change of the tenant queues one job for all its people, a change of an account one for the person. The job asks the
state of its own moment, so of many changes the last one counts. The end of an account queues one more (``Leave``): it
removes what the service set at Microsoft.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import ClassVar, Protocol

from shared.connections.obstacles import Switch
from shared.connections.state import Connection, Tenant, connection_of, keep_account, keep_tenant, people_of, tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import TenantState, UserState
from shared.jobs import Jobs, Work
from shared.jobs.job import Job, JobWork

BATCH = 20
"""People in one transaction: what is done for one may lock many rows."""
Then = Callable[[JobWork, Connection], Awaitable[None]]
"""Brings what the service does for a person in line with their connection; may be called again with the same state."""


class FollowConnections(Work):
    """Bring what the service does for a person, or for all of the organisation, in line with connection and switch."""

    kind = "follow_connections"
    keyed_by = ("user_id",)
    user_id: str | None = None


class Leave(Work):
    """Remove at Microsoft what the service set for a person whose connection ended in ``version``.

    It may last ``until``; user-auth has tokens for it no longer.
    """

    kind = "leave"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("user_id", "version")
    user_id: str
    version: int
    until: datetime | None = None


def keep(on: Handlers) -> None:
    """Keep the state of tenants and accounts, and do nothing at a change."""

    @on(TenantState)
    async def keep_tenant_state(event: TenantState, *, work: UnitOfWork) -> None:
        await keep_tenant(work.session, event)

    @on(UserState)
    async def keep_user_state(event: UserState, *, work: UnitOfWork) -> None:
        await keep_account(work.session, event)


class LeaveAsApplication(Leave):
    """Remove at Microsoft what the service set as the application, after the tenant's connection ended in ``version``.

    A later end takes the place of an earlier one.
    """

    kind = "leave_as_application"
    keyed_by = ("user_id",)
    user_id: str = ""


class Ends(Protocol):
    """What a service that sets something at Microsoft does when a connection ends, in the transaction of that event."""

    async def tenant_ended(self, work: UnitOfWork, event: TenantState) -> None: ...

    async def account_ended(self, work: UnitOfWork, event: UserState) -> None: ...


def follow(on: Handlers, does: Jobs, *, switch: Switch | None = None, ends: Ends | None = None) -> None:
    """Keep the state and queue ``FollowConnections`` at each change of an account, of the tenant or of ``switch``.

    ``ends`` hears of each end. Raises ``ValueError`` when no function of ``does`` does what is queued.
    """
    needed: list[type[Work]] = [FollowConnections, *([Leave] if ends else [])]
    for work in needed:
        if work.kind not in does.kinds:
            raise ValueError(f"Whoever follows connections does {work.__name__}: write a function for it.")

    @on(TenantState)
    async def follow_tenant(event: TenantState, *, work: UnitOfWork) -> None:
        before = await tenant_of(work.session, event.org_id)
        now = Tenant(event.aggregate_version, event.connected, event.tid, event.features)
        if before.version is not None and event.aggregate_version <= before.version:
            return
        switched = switch is not None and before.has_on(switch) != now.has_on(switch)
        if switched or (before.connected, before.tid) != (now.connected, now.tid):
            await _queue(work, FollowConnections())
        await keep_tenant(work.session, event)
        if before.connected and not now.connected and ends is not None:
            await ends.tenant_ended(work, event)

    @on(UserState)
    async def follow_user(event: UserState, *, work: UnitOfWork) -> None:
        """Each version is a change: whoever signs in again may have allowed more, or another account."""
        before = (await connection_of(work.session, event.org_id, event.user_id)).account
        if before.version is not None and event.aggregate_version <= before.version:
            return
        if ends is not None and not event.connected:
            await ends.account_ended(work, event)
        await _queue(work, FollowConnections(user_id=event.user_id))
        await keep_account(work.session, event)


async def _queue(work: UnitOfWork, wanted: FollowConnections) -> None:
    """Write the job before the state. Else this transaction would hold the lock on the state while it waits for a batch
    of the same job, and the batch waits for that state."""
    work.queue(wanted)
    await work.write_jobs()


async def bring_in_line(job: Job, wanted: FollowConnections, then: Then) -> None:
    """Call ``then`` for the person, or for everybody of the organisation, a few in each transaction.

    A tenant that changes in between begins again with the first.
    """
    going_on = True
    while going_on:
        async with job.unit_of_work() as work:
            if wanted.user_id is not None:
                await then(work, await connection_of(work.session, job.org_id, wanted.user_id))
                return
            going_on = await _next_batch(job, work, then)


async def _next_batch(job: Job, work: JobWork, then: Then) -> bool:
    """Whether there are more."""
    version = (await tenant_of(work.session, job.org_id)).version
    after = job.checkpoint.get("after", "") if job.checkpoint.get("version") == version else ""
    people = await people_of(work.session, job.org_id, after=after, limit=BATCH)
    for person in people:
        await then(work, person)
    going_on = len(people) == BATCH
    await work.save_checkpoint({"after": people[-1].user_id, "version": version} if going_on else {})
    return going_on
