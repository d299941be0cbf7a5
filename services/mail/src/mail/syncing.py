"""Keeping a person's conversations with contacts in step with their mailbox.

::

    notification ──► marks dirty ─┐
    time, refresh, connection ────┴─► SyncMailbox ─► a round over each folder that is due ─► what left it is verified
    contacts' event ─► FollowAddresses ─► ReadPast ─► a search for each new address, or the folders anew
                                      └─► ForgetStrangers

A round's place is kept with each page (``mail_round``), so a worker may die anywhere.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from mail import health, mailbox_queries, message_queries, outlook
from mail.addresses import key_of
from mail.refusals import SWITCH
from mail.rounds import Reader
from mail.settings import Settings
from mail.work import FollowAddresses, ReadPast, SyncMailbox
from shared.connections import Connection, Obstructed, connection_of
from shared.connections.obstacles import ANOTHER_ACCOUNT, PERMISSION_MISSING
from shared.database.unit_of_work import UnitOfWork
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs import Again
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders
from shared.mailboxes.folders import whose
from shared.secrets import Envelope
from shared.subscriptions.hearing import keep_to
from shared.subscriptions.notifications import Notification
from shared.subscriptions.subscriptions import Subscriptions, forget_subscriptions

RETRY_S = 3600
"""How often it is looked again whether an administrator mended what nobody tells of."""
_EARLY = 0.9
"""The last look was a little later than the job that began it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Dependencies for reading a mailbox."""

    graph: Graph
    subscriptions: Subscriptions
    envelope: Envelope
    settings: Settings


async def follow(work: JobWork, person: Connection) -> None:
    """A connection or switch changed: the mailbox is looked at, or what followed it ends."""
    works = person.obstacle(switch=SWITCH) is None
    known = await mailbox_queries.mailbox(work.session, work.org_id, person.user_id)
    if works or known is not None:
        if works:
            work.queue(FollowAddresses())
        work.queue(SyncMailbox(user_id=person.user_id))
        if works:
            await mark_dirty(work, person)


async def ended(work: UnitOfWork, user_id: str | None) -> None:
    """Forget subscriptions when an account or tenant ends, in the transaction of that event. At Graph they expire."""
    await forget_subscriptions(work.session, work.org_id, user_id)


async def heard(work: JobWork, notification: Notification) -> None:
    """Something changed in one of a person's folders, or may have: which, the folders themselves tell."""
    work.queue(SyncMailbox(user_id=notification.user_id))
    await mark_dirty(work, await connection_of(work.session, work.org_id, notification.user_id))


async def mark_dirty(work: UnitOfWork, person: Connection) -> None:
    """Jobs are written before folders are locked, as the job that reads them has its own locked first."""
    await work.write_jobs()
    await folders.mark_dirty(work.session, whose(work.org_id, person))


async def sync(job: Job, user_id: str, tools: Tools) -> float | None:
    """Bring everything in that is due. After how many seconds to look again; None while something must end first."""
    async with job.unit_of_work(user_id) as work:
        person = await connection_of(work.session, job.org_id, user_id)
    if person.obstacle(switch=SWITCH) is not None:
        await _stop(job, person, tools)
        return None
    try:
        async with _explained(job, person):
            return await _sync(job, person, tools)
    except Obstructed as error:  # an event tells when it ends, after a token that was asked for found out
        return RETRY_S if error.obstacle.code == PERMISSION_MISSING.code else None
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp):
        return RETRY_S


async def _stop(job: Job, person: Connection, tools: Tools) -> None:
    if person.works:
        with suppress(GraphReconnect, GraphTellAdmin, GraphGiveUp):
            await keep_to(tools.subscriptions, tools.graph.as_user(job.org_id, person.user_id, job.priority), [], "")
    async with job.unit_of_work(person.user_id) as work:
        mailbox = whose(work.org_id, person)
        found = person.obstacle(switch=SWITCH)
        await mailbox_queries.note(work.session, mailbox, "stopped", health.said(found) if found else None)
        await mailbox_queries.told(work.session, mailbox, "none")


@asynccontextmanager
async def _explained(job: Job, person: Connection) -> AsyncIterator[None]:
    """Write the reason why a mailbox cannot be read into its row, for people to read."""
    try:
        yield
    except (Obstructed, GraphError, Again) as error:
        state, problem = health.explained(error)
        async with job.unit_of_work(person.user_id) as work:
            await mailbox_queries.note(work.session, whose(work.org_id, person), state, problem)
        raise


async def _sync(job: Job, person: Connection, tools: Tools) -> float:
    reader, caller = await _reader(job, person, tools)
    async with job.unit_of_work(person.user_id) as work:
        followed = await mailbox_queries.followed(work.session, reader.whose)
    wanted = [outlook.resource_of(reader.whose["account"], row.folder_id) for row in followed]
    refused = await keep_to(tools.subscriptions, caller, wanted, outlook.CHANGES)
    settings = tools.settings
    look_s = settings.mail_look_s if refused else settings.mail_told_look_s
    async with job.unit_of_work(person.user_id) as work:
        await reader.require_way(work)
        await mailbox_queries.told(work.session, reader.whose, "refused" if refused else "on")
        due = await folders.take_due(work.session, reader.whose, look_s=look_s * _EARLY, sweep_s=settings.mail_sweep_s)
        await mailbox_queries.begin(work.session, reader.whose, [one["id"] for one in due], settings.mail_sweep_s)
        rounds = [dict(row._mapping) for row in await mailbox_queries.rounds(work.session, reader.whose)]  # noqa: SLF001
    for round_ in rounds:
        await reader.read(round_)
    await reader.verify()
    async with job.unit_of_work(person.user_id) as work:
        await mailbox_queries.note(work.session, reader.whose, "in_step", read=True)
    return look_s


async def _reader(job: Job, person: Connection, tools: Tools) -> tuple[Reader, GraphCaller]:
    """Opens the mailbox of an account that is new: Inbox and Sent Items are followed. Raises ``Obstructed``."""
    token = await tools.graph.tokens.user_token(job.org_id, person.user_id)
    if token.oid != person.account.oid:
        raise Obstructed(ANOTHER_ACCOUNT)
    if person.account.mail_permitted is False:
        raise Obstructed(PERMISSION_MISSING)  # so that a consent without mail costs no call for each of its people
    caller = tools.graph.as_user(job.org_id, person.user_id, job.priority)
    mailbox = whose(job.org_id, person)
    async with job.unit_of_work(person.user_id) as work:
        known = await mailbox_queries.mailbox(work.session, job.org_id, person.user_id)
    sent_folder = known.sent_folder if known is not None and known.account == mailbox["account"] else ""
    if not sent_folder:
        usual = await outlook.well_known(caller, outlook.USUAL)
        sent_folder = usual["sentitems"].id if "sentitems" in usual else ""
        async with job.unit_of_work(person.user_id) as work:
            await mailbox_queries.open_mailbox(work.session, mailbox, sent_folder)
            for folder in usual.values():
                await folders.follow(work.session, mailbox, folder.id, folder.name)
    return Reader(job, person, caller, tools.envelope, tools.settings, sent_folder), caller


async def read_past(job: Job, user_id: str, tools: Tools) -> None:
    """Search for each address that waits; with many of them the folders are read whole instead."""
    async with job.unit_of_work(user_id) as work:
        person = await connection_of(work.session, job.org_id, user_id)
        mailbox = whose(work.org_id, person)
        if person.obstacle(switch=SWITCH) is not None:
            return  # ``follow`` goes on
        if await mailbox_queries.past_left(work.session, job.org_id, user_id) > tools.settings.mail_past_searches:
            followed = [row.folder_id for row in await mailbox_queries.followed(work.session, mailbox)]
            await mailbox_queries.past_read(work.session, mailbox)
            work.queue(SyncMailbox(user_id=user_id))
            await mark_dirty(work, person)
            await folders.read_anew(work.session, mailbox, followed)
            return
    try:
        reader, _ = await _reader(job, person, tools)
        while True:
            async with job.unit_of_work(user_id) as work:
                wanted = await mailbox_queries.past_wanted(work.session, mailbox)
            if wanted is None:
                return
            await reader.read_past(wanted.address, wanted.link, wanted.found)
    except (Obstructed, GraphReconnect, GraphTellAdmin, GraphGiveUp):
        return  # what keeps it back is said by ``sync``, and ``follow`` or the next look goes on


async def go_on_with_past(work: UnitOfWork, user_id: str) -> None:
    if await mailbox_queries.past_left(work.session, work.org_id, user_id):
        work.queue(ReadPast(user_id=user_id))


async def forget_strangers(job: Job, user_id: str) -> None:
    """Conversations in which nobody is a contact any more are deleted here; Outlook keeps them."""
    async with job.unit_of_work(user_id) as work:
        person = await connection_of(work.session, job.org_id, user_id)
        mailbox = whose(work.org_id, person)
        await message_queries.lock(work.session, mailbox)
        await message_queries.remove_strangers(work.session, mailbox, key_of(person.account.email or "") or "")
