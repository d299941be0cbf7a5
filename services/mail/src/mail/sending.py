"""Sending a mail once, whatever is lost on the way.

::

    queued ──► sending ──202──► accepted ──► seen_in_sent
      │  ▲        │ answer lost
      │  │        ▼
      │  └──── unknown    ``settling`` looks in Drafts and Sent Items; a draft that still stands after
      ▼                   ``send_settles_s`` is queued again, and it alone
    cancelled, failed

``sending`` is committed before Microsoft is asked, and whoever finds it committed looks first what became of the mail.
So a worker may die anywhere.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mail import drafting, outcomes, queries
from mail import graph as outlook
from mail.drafting import CannotBeSent, Stopped
from mail.refusals import AWAY, CHECKING, DRAFT_GONE, SWITCH, WAITED_TOO_LONG, Problem, stopped, waits_for
from mail.settings import Settings
from mail.tables import OutgoingMail
from mail.work import SendMail
from shared.connections import Connection, Obstructed, connection_of
from shared.connections.obstacles import ANOTHER_ACCOUNT, PERMISSION_MISSING
from shared.events.mail import FailureCode
from shared.graph import Graph, GraphCaller
from shared.graph.errors import (
    GraphError,
    GraphGiveUp,
    GraphNotFound,
    GraphReconnect,
    GraphRetry,
    GraphTellAdmin,
)
from shared.jobs import Again, Periodic
from shared.jobs.job import Job, JobWork
from shared.secrets import Envelope

ATTEMPTS = 20
LOOKS_S = (30, 120, 600)
"""After which times it is first looked what became of a mail."""
MOST_ATTEMPTS = 3
"""How often Microsoft is asked to send a draft that it leaves in Drafts."""
_NO_PERMISSION = PERMISSION_MISSING.code
_NOT_FOUND_YET_S = 120
"""Seconds for which Microsoft may not find a draft that it has just made."""


async def send(job: Job, mail_id: str, graph: Graph, envelope: Envelope, settings: Settings) -> bool:
    """Make the draft, say that it is being sent, and have it sent. Whether Microsoft has it, or may have it, now."""
    async with explained(job, mail_id, settings):
        row = await _start(job, mail_id, settings)
        caller = await as_sender(job, graph, row)
        row = await drafting.ready(job, caller, row, envelope)
        row = await _begin(job, row, settings)
        await _hand_over(job, caller, row, settings)
        return True
    return False


async def as_sender(job: Job, graph: Graph, row: OutgoingMail) -> GraphCaller:
    """Graph as the account whose mail it is. The token tells of another one before any event does."""
    token = await graph.tokens.user_token(job.org_id, row.user_id)
    if token.oid != row.account:
        raise Obstructed(ANOTHER_ACCOUNT)
    return graph.as_user(job.org_id, row.user_id, job.priority)


async def require_way(work: JobWork, row: OutgoingMail, *, hold: bool = False) -> None:
    """Raises ``Obstructed``. With ``hold`` a change of the connection or the switch waits for this transaction."""
    person = await connection_of(work.session, row.org_id, row.user_id, hold=hold)
    person.require(switch=SWITCH, made_by=row.account)


async def _start(job: Job, mail_id: str, settings: Settings) -> OutgoingMail:
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, mail_id)
        if row.status != "queued":
            raise Stopped
        await _refuse_old(work, row, settings)
        await require_way(work, row)
        row.problem = None
    return row


async def _refuse_old(work: JobWork, row: OutgoingMail, settings: Settings) -> None:
    waited_s, _ = await queries.ages(work.session, row)
    if waited_s > settings.mail_waits_s:
        raise CannotBeSent(WAITED_TOO_LONG)


async def _begin(job: Job, row: OutgoingMail, settings: Settings) -> OutgoingMail:
    """Note that sending begins. From the commit on, Microsoft may have the mail."""
    async with job.unit_of_work() as work:
        row = await drafting.still(work, row)
        await require_way(work, row, hold=True)
        await _refuse_old(work, row, settings)
        await queries.begin(work.session, row)
        await queries.note(work.session, row, "sending")
    return row


async def _hand_over(job: Job, caller: GraphCaller, row: OutgoingMail, settings: Settings) -> None:
    try:
        await outlook.send(caller, row.draft_id or "")
    except GraphRetry as error:
        if error.maybe_done:
            await _doubt(job, row, error, settings)
            return
        await _take_back(job, row, error)
        raise
    except (GraphTellAdmin, GraphReconnect, GraphGiveUp) as error:
        if row.attempts > 1:  # a former attempt may be what made Microsoft refuse this one
            await _doubt(job, row, error, settings)
            return
        await _take_back(job, row, error)
        raise
    async with job.unit_of_work() as work:
        now = await queries.locked(work.session, work.org_id, row.id)
        if now.status in {"sending", "unknown"} and now.turn == row.turn:
            await outcomes.accepted(work, now)


async def _doubt(job: Job, row: OutgoingMail, error: GraphError, settings: Settings) -> None:
    async with job.unit_of_work() as work:
        now = await queries.locked(work.session, work.org_id, row.id)
        await queries.note_refusal(work.session, now, "answer_lost", error)
        if now.status == "sending" and now.turn == row.turn:
            await outcomes.doubtful(work, now, checking(settings))


def checking(settings: Settings) -> Problem:
    minutes = -(-settings.send_settles_s // 60)
    return CHECKING | {"detail": CHECKING["detail"].format(minutes=int(minutes))}


async def _take_back(job: Job, row: OutgoingMail, error: GraphError) -> None:
    """Microsoft surely did not act: the mail is queued as before."""
    async with job.unit_of_work() as work:
        now = await queries.locked(work.session, work.org_id, row.id)
        await queries.note_refusal(work.session, now, "refused", error)
        if now.status == "sending" and now.turn == row.turn:
            now.status, now.attempts = "queued", now.attempts - 1


@asynccontextmanager
async def explained(job: Job, mail_id: str, settings: Settings) -> AsyncIterator[None]:
    """Write what keeps a mail from being sent into it, for people to read. Nothing was sent where this speaks.

    What a connection or a switch mends waits for a day; ``follow`` goes on with it.
    """
    try:
        yield
    except Stopped:
        return
    except CannotBeSent as error:
        await _fail(job, mail_id, error.why, settings)
    except GraphNotFound as error:
        if job.tried_s < _NOT_FOUND_YET_S:
            raise Again("Microsoft does not know the draft yet", after_s=10, counts=False) from error
        await _fail(job, mail_id, DRAFT_GONE, settings)
    except (Obstructed, GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        await _wait_or_fail(job, mail_id, error, settings)
    except Again as error:
        if not job.fails_with(error) and not await _is_old(job, mail_id, settings):
            raise
        await _fail(job, mail_id, AWAY, settings)


async def _fail(job: Job, mail_id: str, why: tuple[FailureCode, str], settings: Settings) -> None:
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, mail_id)
        if row.status == "queued":
            await outcomes.failed(work, row, why, settings)


async def _wait_or_fail(job: Job, mail_id: str, error: Obstructed | GraphError, settings: Settings) -> None:
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, mail_id)
        if row.status != "queued":
            return
        problem = waits_for(error, row)
        if problem is None:
            await outcomes.failed(work, row, stopped(error), settings)
            return
        row.problem = problem
        waited_s, _ = await queries.ages(work.session, row)
    left_s = max(settings.mail_waits_s - waited_s, 0) + 1
    # Nobody tells of a consent that is given at Microsoft; the next token shows it.
    raise Periodic("the mail waits", after_s=min(left_s, 3600) if problem["code"] == _NO_PERMISSION else left_s)


async def _is_old(job: Job, mail_id: str, settings: Settings) -> bool:
    """However long Microsoft is away, a mail does not go out by itself after its day."""
    async with job.unit_of_work() as work:
        waited_s, _ = await queries.ages(work.session, await queries.locked(work.session, work.org_id, mail_id))
    return waited_s > settings.mail_waits_s


async def follow(work: JobWork, person: Connection) -> None:
    """A connection that works again, or a switch that is on, has a person's mails gone on with."""
    for mail_id, account in await queries.waiting(work.session, work.org_id, person.user_id):
        if person.obstacle(switch=SWITCH, made_by=account) is None:
            work.queue(SendMail(mail_id=mail_id), priority="fresh")
