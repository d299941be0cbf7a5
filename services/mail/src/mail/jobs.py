"""What the mail service does in its own time."""

from contextlib import suppress

from mail import file_queries, sending, settling
from mail.sending import ATTEMPTS
from mail.settings import Settings
from mail.work import ForgetFile, SendMail, TidyMail
from shared.connections import FollowConnections, Obstructed, bring_in_line
from shared.graph import Graph
from shared.graph.errors import GraphReconnect, GraphTellAdmin
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job
from shared.secrets import Envelope

does = Jobs()


@does(FollowConnections)
async def follow_connections(job: Job, wanted: FollowConnections) -> None:
    """Go on with what a connection or the switch had stopped."""
    await bring_in_line(job, wanted, sending.follow)


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
