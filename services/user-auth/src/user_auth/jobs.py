"""The jobs of user-auth."""

from datetime import UTC, datetime, timedelta

import structlog

from shared.database.unit_of_work import UnitOfWork
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job
from shared.problems import Conflict, Unavailable
from user_auth import leaving, queries
from user_auth.checking import AccountChecks
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow
from user_auth.work import EndLeaving, KeepAlive

log = structlog.get_logger(__name__)

does = Jobs()


@does(KeepAlive)
async def keep_alive(
    job: Job, wanted: KeepAlive, *, access_tokens: AccessTokens, checks: AccountChecks, settings: Settings
) -> None:
    """Look after one connection each day, until it ends: one that nobody uses would end after 90 days without a word.

    A refusal for good is told as always, on the day it came to be; what was in doubt is asked again. Outages at
    Microsoft count for nothing, nor does a tenant that does not know us now. What a check found in the way is looked
    at again, and so are addresses that were read long ago: a directory gives them to others.
    """
    user_id = wanted.user_id
    row = await _connected(job, user_id)
    if row is None or row.token_expires_at is None:
        return
    long_ago = datetime.now(UTC) - timedelta(days=settings.keep_alive_idle_days)
    ask_again = bool(row.notices) or row.addresses_at is None or row.addresses_at < long_ago
    if ask_again or row.token_expires_at < long_ago or row.doubted_since is not None:
        try:
            if ask_again:
                await checks.again(job.org_id, user_id)
            else:
                await access_tokens.token(job.org_id, user_id)
        except Conflict:
            if await _connected(job, user_id) is None:
                return
        except Unavailable:
            log.info("connection.not_kept_alive", org_id=job.org_id)
    raise Periodic("it is looked after every day", after_s=settings.keep_alive_every_s)


@does(EndLeaving)
async def end_leaving(job: Job, wanted: EndLeaving) -> None:
    """End the leaving, and name services that have not answered. A connection that was made meanwhile stays."""
    async with job.unit_of_work() as work:
        row = await queries.connection(work.session, job.org_id, wanted.user_id, lock=True)
        this = row is not None and row.leaving is not None and row.leaving["ended_in"] == wanted.version
        if row is not None and row.leaving is not None and this and not row.leaving["over"]:
            leaving.end(row, work.outbox)


async def _connected(job: Job, user_id: str) -> ConnectionRow | None:
    async with job.unit_of_work() as work:
        row = await queries.connection(work.session, job.org_id, user_id)
    return row if row is not None and row.status == "connected" else None


def look_after(work: UnitOfWork, user_id: str, settings: Settings) -> None:
    """Queue the daily check of a connection from tomorrow on, once for each connection."""
    tomorrow = datetime.now(UTC) + timedelta(seconds=settings.keep_alive_every_s)
    work.queue(KeepAlive(user_id=user_id), run_at=tomorrow)
