"""Folders that are kept in step with Outlook: Graph tells of changes, and a run by itself brings them in."""

from contacts import keeping_queries, runs
from contacts.settings import Settings
from contacts.work import KeepInStep
from shared.connections import Connection, connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph import GraphCaller
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders
from shared.mailboxes.folders import whose
from shared.subscriptions.hearing import keep_to
from shared.subscriptions.notifications import Notification
from shared.subscriptions.subscriptions import Subscriptions, forget_subscriptions

CHANGES = "created,updated,deleted"


def resource_of(account: str, folder_id: str) -> str:
    """What Graph is asked to tell of: the contacts of one folder."""
    return f"users/{account}/contactFolders/{folder_id}/contacts"


async def follow(work: JobWork, person: Connection) -> None:
    """A connection that works again, or a switch that is on, has everything kept in step looked at."""
    mailbox = whose(work.org_id, person)
    if person.obstacle(switch=runs.SWITCH) is None and await keeping_queries.kept(work.session, mailbox):
        await _look_at(work, mailbox)


async def forget(work: UnitOfWork, user_id: str | None) -> None:
    """In the transaction that hears of the end of an account or tenant. Graph's own subscriptions die by themselves."""
    await forget_subscriptions(work.session, work.org_id, user_id)


async def look(job: Job, user_id: str, subscriptions: Subscriptions, caller: GraphCaller, settings: Settings) -> bool:
    """Begin a run for the folders that changed, with subscriptions to all of them. False: nothing is kept in step."""
    async with job.reading() as work:
        person = await connection_of(work.session, job.org_id, user_id)
        kept = await keeping_queries.kept(work.session, whose(work.org_id, person))
    if not person.works:
        return False  # ``follow`` goes on when it does
    if not kept or person.obstacle(switch=runs.SWITCH) is not None:
        await keep_to(subscriptions, caller, [], CHANGES)
        return False
    wanted = [resource_of(person.account.oid or "", one) for one in kept]
    await keep_to(subscriptions, caller, wanted, CHANGES)
    async with job.unit_of_work() as work:
        person = await connection_of(work.session, job.org_id, user_id)
        mailbox = whose(work.org_id, person)
        busy = await keeping_queries.under_way(work.session, mailbox)
        if person.obstacle(switch=runs.SWITCH) is None and not busy:
            look_s = settings.keep_in_step_s * 0.9  # the last look was a little later than the job that began it
            due = await folders.take_due(
                work.session, whose(work.org_id, person), look_s=look_s, sweep_s=settings.sweep_s
            )
            if due:
                runs.begin(work, person, list(due), by_itself=True)
    return True


async def heard(work: JobWork, notification: Notification) -> None:
    """Something changed in one of a person's folders, or may have: which, the folders themselves tell."""
    person = await connection_of(work.session, work.org_id, notification.user_id)
    await _look_at(work, whose(work.org_id, person))


async def _look_at(work: JobWork, mailbox: dict[str, str]) -> None:
    """The job's row is taken before the folders', as the job itself does, so that neither waits for the other."""
    work.queue(KeepInStep(user_id=mailbox["user_id"]))
    await work.write_jobs()
    await folders.mark_dirty(work.session, mailbox)
