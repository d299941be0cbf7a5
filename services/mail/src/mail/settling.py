"""What became of a mail that was given to Microsoft: Drafts and Sent Items tell, within a bounded time.

Drafts are read before Sent Items. A message that moves from one to the other in between is so found in the second;
read the other way round it would be found in neither.
"""

from mail import graph as outlook
from mail import outcomes, queries
from mail.refusals import NOT_FOUND, NOT_SENT, waits_for
from mail.sending import LOOKS_S, MOST_ATTEMPTS, as_sender, checking, require_way
from mail.settings import Settings
from mail.tables import OutgoingMail
from shared.connections import Obstructed
from shared.graph import Graph
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs import Periodic
from shared.jobs.job import Job

_LATER_S = (3_600, 86_400)
"""Further looks: a copy may come to Sent Items hours after the mail went out."""
OPEN = {"sending", "unknown", "accepted"}


async def settle(job: Job, mail_id: str, graph: Graph, settings: Settings) -> None:
    """Look once, and say when the next look is due."""
    try:
        async with job.unit_of_work() as work:
            row = await queries.locked(work.session, work.org_id, mail_id)
            if row.status not in OPEN:
                return
            await require_way(work, row)
        caller = await as_sender(job, graph, row)
        drafts = [] if row.status == "accepted" else await outlook.find(caller, "drafts", row)
        sent = [one for one in await outlook.find(caller, "sentitems", row) if not one.is_draft]
    except (Obstructed, GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        await _cannot_look(job, mail_id, error, settings)
        return
    next_s = await _decide(job, row, drafts, sent[0] if sent else None, settings)
    if next_s is not None:
        raise Periodic("looked at again later", after_s=next_s)


async def _decide(
    job: Job,
    seen: OutgoingMail,
    drafts: list[outlook.Message],
    sent: outlook.Message | None,
    settings: Settings,
) -> float | None:
    """Seconds until the mail is gone on with; None when there is nothing left to do."""
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, seen.id)
        if row.status not in OPEN or (row.turn, row.attempts) != (seen.turn, seen.attempts):
            return None
        if sent is not None:
            await outcomes.accepted(work, row, seen=True, message_id=sent.id, conversation_id=sent.conversation_id)
            return None
        _, elapsed_s = await queries.ages(work.session, row)
        if row.status == "accepted":
            return _next_look(elapsed_s)
        if row.status == "sending":  # who asked died before the answer
            await outcomes.doubtful(work, row, checking(settings))
        if elapsed_s < settings.send_settles_s:
            return min(_next_look(elapsed_s) or settings.send_settles_s, settings.send_settles_s - elapsed_s + 0.1)
        standing = next((one for one in drafts if one.is_draft), None)
        if standing is None:
            row.problem = NOT_FOUND
            return _next_look(elapsed_s)
        if row.attempts >= MOST_ATTEMPTS:
            await outcomes.failed(work, row, NOT_SENT, settings)
            return None
        row.status, row.problem, row.draft_id = "queued", None, standing.id
        await queries.note(work.session, row, "still_a_draft")
        return 0


def _next_look(elapsed_s: float) -> float | None:
    return next((at - elapsed_s for at in (*LOOKS_S, *_LATER_S) if at > elapsed_s), None)


async def _cannot_look(job: Job, mail_id: str, error: Exception, settings: Settings) -> None:
    """A connection that works again has it looked for again (``sending.follow``); anything else changes nothing."""
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, mail_id)
        if row.status == "accepted" or row.status not in OPEN:
            return
        await outcomes.doubtful(work, row, waits_for(error, row) or checking(settings))


async def tidy(job: Job, mail_id: str, graph: Graph) -> None:
    """Delete the drafts that the mail left: all when it is not sent any more, else those that were not sent.

    They are looked for by the key of this turn, so a draft of a later one is not found. The mail is not locked: who
    ends it queues this job while he holds it.
    """
    async with job.unit_of_work() as work:
        row = await queries.mail(work.session, work.org_id, mail_id)
        if row is None:
            return
        ended = row.status in {"failed", "cancelled"}
        if not ended and row.status not in {"accepted", "seen_in_sent"}:
            return
        await require_way(work, row)
    caller = await as_sender(job, graph, row)
    for draft in await outlook.find(caller, "drafts", row):
        if draft.is_draft and (ended or draft.id != row.draft_id):
            await outlook.delete(caller, draft.id)
    if ended and not job.checkpoint:
        async with job.unit_of_work() as work:
            await work.save_checkpoint({"looked": True})
        raise Periodic("a draft that Microsoft makes late is looked for", after_s=outcomes.TIDY_S)
