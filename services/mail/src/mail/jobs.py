"""The jobs of the mail service."""

from contextlib import suppress

from mail import addressing, file_queries, retaining, sending, settling, syncing
from mail.addressing import ContactsClient
from mail.leaving import TRACES
from mail.sending import ATTEMPTS
from mail.settings import Settings
from mail.syncing import Tools
from mail.work import (
    FollowAddresses,
    FollowEverybody,
    ForgetFile,
    ForgetOldMail,
    ForgetStrangers,
    ReadPast,
    SendMail,
    SyncMailbox,
    TidyMail,
)
from shared.connections import Connection, FollowConnections, Obstructed, bring_in_line
from shared.graph import Graph
from shared.graph.errors import GraphReconnect, GraphTellAdmin
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job, JobWork
from shared.secrets import Envelope
from shared.subscriptions import hearing
from shared.subscriptions.subscriptions import Subscriptions

does = Jobs()
hearing.hear(does, syncing.heard)
TRACES.done_by(does)


@does(FollowConnections)
async def follow_connections(job: Job, wanted: FollowConnections) -> None:
    """Go on with what a connection or the switch had stopped."""
    await bring_in_line(job, wanted, _follow)


@does(FollowEverybody)
async def follow_everybody(job: Job, wanted: FollowEverybody) -> None:
    """A few people in each transaction; done again it changes nothing."""
    await bring_in_line(job, FollowConnections(), _follow)


async def _follow(work: JobWork, person: Connection) -> None:
    await sending.follow(work, person)
    await syncing.follow(work, person)
    await syncing.go_on_with_past(work, person.user_id)


@does(SendMail, attempts=ATTEMPTS)
async def send_mail(job: Job, wanted: SendMail, *, graph: Graph, envelope: Envelope, settings: Settings) -> None:
    """Draft, files, send: each step may be done again, but for the last, which is looked for first."""
    if await sending.send(job, wanted.mail_id, graph, envelope, settings):
        raise Periodic("looked for in Sent Items", after_s=sending.LOOKS_S[0])
    await settling.settle(job, wanted.mail_id, graph, settings)


@does(TidyMail, attempts=ATTEMPTS)
async def tidy_mail(job: Job, wanted: TidyMail, *, graph: Graph) -> None:
    """Delete its left drafts; where the account or the switch is gone they stay in the person's mailbox."""
    with suppress(Obstructed, GraphReconnect, GraphTellAdmin):
        await settling.tidy(job, wanted.mail_id, graph)


@does(ForgetFile)
async def forget_file(job: Job, wanted: ForgetFile) -> None:
    """A file that a mail waits for stays; another one goes."""
    async with job.unit_of_work() as work:
        row = await file_queries.file(work.session, job.org_id, wanted.file_id, lock=True)
        if row is None:
            return
        if row.mail_id is None:
            await file_queries.forget(work.session, job.org_id, row.id)
        elif await file_queries.is_done_with(work.session, row):
            await file_queries.forget_bytes(work.session, job.org_id, row.mail_id)


@does(SyncMailbox)
async def sync_mailbox(
    job: Job,
    wanted: SyncMailbox,
    *,
    graph: Graph,
    subscriptions: Subscriptions,
    envelope: Envelope,
    settings: Settings,
) -> None:
    """Read what changed, and look again now and then, for a notification may be lost."""
    tools = Tools(graph, subscriptions, envelope, settings)
    after_s = await syncing.sync(job, wanted.user_id, tools)
    if after_s is not None:
        raise Periodic("looked at again later", after_s=after_s)


@does(ReadPast)
async def read_past(
    job: Job, wanted: ReadPast, *, graph: Graph, subscriptions: Subscriptions, envelope: Envelope, settings: Settings
) -> None:
    """One address after the other, from wherever a search broke off."""
    await syncing.read_past(job, wanted.user_id, Tools(graph, subscriptions, envelope, settings))


@does(ForgetStrangers)
async def forget_strangers(job: Job, wanted: ForgetStrangers) -> None:
    """Outlook keeps them."""
    await syncing.forget_strangers(job, wanted.user_id)


@does(FollowAddresses)
async def follow_addresses(job: Job, wanted: FollowAddresses, *, contacts: ContactsClient) -> None:
    """A page of the service contacts in each transaction."""
    await addressing.follow(job, contacts)


@does(ForgetOldMail)
async def forget_old_mail(job: Job, wanted: ForgetOldMail) -> None:
    """A person after the other, for as long as the organisation has a limit."""
    if await retaining.forget_old(job):
        raise Periodic("looked at again tomorrow", after_s=retaining.DAY_S)
