"""How long the organisation keeps people's mail in Prospo. Outlook keeps it by rules of its own."""

from mail import mailbox_queries, message_queries
from shared.connections import connection_of
from shared.jobs.job import Job
from shared.mailboxes.folders import whose

DAY_S = 86_400.0


async def forget_old(job: Job) -> bool:
    """Delete what is older than the limit, of everybody. False when the organisation has none."""
    async with job.unit_of_work() as work:
        before = await mailbox_queries.forgotten_before(work.session, job.org_id)
        everybody = await mailbox_queries.everybody(work.session, job.org_id)
    if before is None:
        return False
    for user_id in everybody:
        async with job.unit_of_work(user_id) as work:
            mailbox = whose(job.org_id, await connection_of(work.session, job.org_id, user_id))
            await message_queries.lock(work.session, mailbox)
            await message_queries.remove_old(work.session, mailbox, before)
    return True
