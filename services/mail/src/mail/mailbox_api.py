"""HTTP in: what is followed in the caller's mailbox and how that is, below /v1/mail."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from mail import composing, health, mailbox_queries, outlook, syncing
from mail.answers import read_in_outlook
from mail.conversation_models import (
    FolderLine,
    Folders,
    FollowedFolder,
    Following,
    Mailbox,
    PastMail,
    Retention,
)
from mail.refusals import SWITCH
from mail.settings import Settings
from mail.work import FollowAddresses, ForgetOldMail, SyncMailbox
from shared.connections import Connection, connection_of
from shared.database.unit_of_work import Database, UnitOfWork
from shared.graph import Graph, GraphCaller
from shared.mailboxes import folders
from shared.mailboxes.folders import whose
from shared.problems import BadInput, Conflict, NotFound
from shared.web.dependencies import Db, Graph_
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import AdminCaller, Caller, Id, Work, provided

router = APIRouter(prefix="/v1/mail", tags=["mail"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
KEEP_DAYS = (30, 36_500)


@router.get("/mailbox")
async def mailbox(caller: Caller, work: Work) -> Mailbox:
    """Why a mail may be missing: what is followed, when it was read, what was left aside and why."""
    return await _shown(work, caller, await connection_of(work.session, caller.org_id, caller.user_id))


@router.post("/mailbox/refresh", dependencies=[limited("mail_refreshes", per_hour="mail_refreshes_per_hour")])
async def refresh(caller: Caller, work: Work) -> Mailbox:
    """Look at the mailbox at once. 409 with the code of what stands between the caller and Microsoft."""
    person = await connection_of(work.session, caller.org_id, caller.user_id)
    composing.require_way(person)
    work.queue(SyncMailbox(user_id=caller.user_id), priority="interactive")
    work.queue(FollowAddresses())
    await syncing.mark_dirty(work, person)
    return await _shown(work, caller, person)


@router.get("/mailbox/folders")
async def all_folders(caller: Caller, db: Db, graph: Graph_, settings: Knobs) -> Folders:
    """The folders of the mailbox, and which of them are followed."""
    _, followed = await _followed(db, caller)
    as_caller = _caller(graph, caller)
    with read_in_outlook():
        found = await outlook.folders(as_caller, settings.mail_folders_max)
        left_out = {one.id for one in (await outlook.well_known(as_caller, outlook.LEFT_OUT)).values()}
    shown = [
        FolderLine(id=one.id, name=one.name, path=one.path, items=one.items, followed=one.id in followed)
        for one in found
        if one.id not in left_out
    ]
    return Folders(items=shown)


@router.put("/mailbox/folders/{folder_id}")
async def follow_folder(folder_id: Id, wanted: Following, caller: Caller, db: Db, graph: Graph_) -> Mailbox:
    """Follow a folder besides Inbox and Sent Items, or no longer. What was read of it stays."""
    if not wanted.followed:
        async with db.unit_of_work(caller.org_id, caller.user_id) as work:
            left = await folders.keep_in_step(work.session, caller.org_id, caller.user_id, folder_id, on=False)
            if left is None:
                raise NotFound("folder_not_found", "This folder was not followed. Choose one from the list of folders.")
            work.queue(SyncMailbox(user_id=caller.user_id), priority="interactive")
            return await _shown(work, caller, await connection_of(work.session, caller.org_id, caller.user_id))
    person, _ = await _followed(db, caller)
    as_caller = _caller(graph, caller)
    with read_in_outlook():
        left_out = {one.id for one in (await outlook.well_known(as_caller, outlook.LEFT_OUT)).values()}
        name = await outlook.name_of(as_caller, folder_id)
    if folder_id in left_out:
        detail = "Drafts, Deleted Items and Junk are no part of conversations. Choose another folder."
        raise Conflict("folder_not_followed", detail)
    async with db.unit_of_work(caller.org_id, caller.user_id) as work:
        work.queue(SyncMailbox(user_id=caller.user_id), priority="interactive")
        await work.write_jobs()
        await folders.follow(work.session, whose(work.org_id, person), folder_id, name)
        return await _shown(work, caller, person)


@router.get("/retention")
async def retention(caller: Caller, work: Work) -> Retention:
    """For how long the organisation keeps people's mail in Prospo."""
    return Retention(keep_days=await mailbox_queries.keep_days(work.session, caller.org_id))


@router.put("/retention")
async def set_retention(wanted: Retention, caller: AdminCaller, work: Work) -> Retention:
    """Older mail of everybody is deleted in Prospo, today and each day; Outlook keeps it by rules of its own."""
    least, most = KEEP_DAYS
    if wanted.keep_days is not None and not least <= wanted.keep_days <= most:
        raise BadInput("bad_retention", f"keep_days is from {least} to {most}, or null to keep all mail.")
    await mailbox_queries.set_keep_days(work.session, caller.org_id, wanted.keep_days)
    work.queue(ForgetOldMail())
    return wanted


async def _followed(db: Database, caller: Identity) -> tuple[Connection, set[str]]:
    async with db.unit_of_work(caller.org_id, caller.user_id) as work:
        person = await connection_of(work.session, caller.org_id, caller.user_id)
        followed = await mailbox_queries.followed(work.session, whose(work.org_id, person))
    composing.require_way(person)
    return person, {row.folder_id for row in followed}


def _caller(graph: Graph, caller: Identity) -> GraphCaller:
    return graph.as_user(caller.org_id, caller.user_id, "interactive")


async def _shown(work: UnitOfWork, caller: Identity, person: Connection) -> Mailbox:
    row = await mailbox_queries.mailbox(work.session, caller.org_id, caller.user_id)
    listed = await mailbox_queries.shown(work.session, whose(work.org_id, person))
    found = person.obstacle(switch=SWITCH)
    skipped = Counter[str]()
    for folder in listed:
        skipped.update(folder.skipped)
    state, problem = (row.state, row.problem) if row is not None else ("waiting", None)
    if found is not None:
        state, problem = "stopped", health.said(found)
    return Mailbox(
        state=state,
        problem=problem,
        last_round_at=row.last_round_at if row is not None else None,
        next_round_at=await mailbox_queries.next_look(work.session, caller.org_id, caller.user_id),
        subscription=row.subscription if row is not None else "none",
        folders=[_folder(one) for one in listed],
        skipped=dict(skipped),
        backfill=PastMail(contacts_left=await mailbox_queries.past_left(work.session, caller.org_id, caller.user_id)),
    )


def _folder(row: Any) -> FollowedFolder:
    state = "problem" if row.problem else "reading" if row.reading else "read" if row.read_at else "waiting"
    return FollowedFolder(
        id=row.folder_id,
        name=row.name,
        followed=row.kept_in_step,
        state=state,
        last_at=row.read_at,
        messages=row.messages,
        problem=row.problem,
    )
