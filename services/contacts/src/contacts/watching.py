"""Folders that are kept in step with Outlook: Graph tells of changes, and a run by itself brings them in."""

import structlog

from contacts import keeping_queries, runs
from contacts.settings import Settings
from contacts.work import KeepInStep
from shared.connections import Connection, connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph import GraphCaller
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders
from shared.subscriptions.subscriptions import Notification, Subscriptions, forget_subscriptions

log = structlog.get_logger(__name__)
CHANGES = "created,updated,deleted"


def resource_of(account: str, folder_id: str) -> str:
    """What Graph is asked to tell of: the contacts of one folder."""
    return f"users/{account}/contactFolders/{folder_id}/contacts"


def whose(work: UnitOfWork, person: Connection) -> dict[str, str]:
    """Which mailbox: of whom, and of which of their accounts."""
    return {"org_id": work.org_id, "user_id": person.user_id, "account": person.account.oid or ""}


async def follow(work: JobWork, person: Connection) -> None:
    """A connection that works again, or a switch that is on, has everything kept in step looked at."""
    if person.obstacle(switch=runs.SWITCH) is None and await keeping_queries.kept(work.session, whose(work, person)):
        await folders.mark_dirty(work.session, whose(work, person))
        work.queue(KeepInStep(user_id=person.user_id))


async def forget(work: UnitOfWork, user_id: str | None) -> None:
    """In the transaction that hears of the end of an account or tenant. Graph's own subscriptions die by themselves."""
    await forget_subscriptions(work.session, work.org_id, user_id)


async def look(job: Job, user_id: str, subscriptions: Subscriptions, caller: GraphCaller, settings: Settings) -> bool:
    """Begin a run for the folders that changed, with subscriptions to all of them. False: nothing is kept in step."""
    async with job.unit_of_work() as work:
        person = await connection_of(work.session, job.org_id, user_id)
        kept = await keeping_queries.kept(work.session, whose(work, person))
    if not kept or person.obstacle(switch=runs.SWITCH) is not None:
        await _end(job, user_id, subscriptions, caller, [])
        return False
    wanted = [resource_of(person.account.oid or "", one) for one in kept]
    await _end(job, user_id, subscriptions, caller, wanted)
    for resource in wanted:
        await _ensure(subscriptions, caller, resource)
    async with job.unit_of_work() as work:
        person = await connection_of(work.session, job.org_id, user_id)
        busy = await keeping_queries.under_way(work.session, whose(work, person))
        if person.obstacle(switch=runs.SWITCH) is None and not busy:
            look_s = settings.keep_in_step_s * 0.9  # the last look was a little later than the job that began it
            due = await folders.take_due(work.session, whose(work, person), look_s=look_s, sweep_s=settings.sweep_s)
            if due:
                runs.begin(work, person, list(due), by_itself=True)
    return True


async def _end(job: Job, user_id: str, subscriptions: Subscriptions, caller: GraphCaller, wanted: list[str]) -> None:
    for resource in await subscriptions.resources_of(job.org_id, user_id):
        if resource not in wanted:
            await subscriptions.remove(caller, resource)


async def _ensure(subscriptions: Subscriptions, caller: GraphCaller, resource: str) -> None:
    """Where Microsoft refuses one, the folder is looked at now and then all the same."""
    try:
        await subscriptions.ensure(caller, resource, CHANGES)
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.warning("subscription.refused", org_id=caller.org_id, code=error.inner_code or error.code,
                    status=error.status, graph_request_id=error.request_id)  # fmt: skip


async def heard(work: JobWork, notification: Notification) -> None:
    """Something changed in one of a person's folders, or may have: which, the folders themselves tell."""
    person = await connection_of(work.session, work.org_id, notification.user_id)
    await folders.mark_dirty(work.session, whose(work, person))
    work.queue(KeepInStep(user_id=notification.user_id))
