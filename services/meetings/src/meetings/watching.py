"""The organizer's calendar is followed while a meeting of theirs lies ahead, for Outlook is a second author.

One that ended in the last days (``PAST``) may be moved there too, and is scheduled again.

::

    notification ──► the event that it names, if it is a meeting's ──► RescheduleMeeting: a GET is the truth
               └───► marks the calendar dirty ─┐                        ▲
    time, connection, a new meeting ───────────┴─► FollowCalendar ──────┘ for what a round names

A notification says no more than where to look. A round over the window (``PAST`` to ``AHEAD``) finds what no
notification told; it begins anew each day, as the window moves on. Graph names as ``@removed`` what merely left the
window too, so nothing is cancelled by it. Meetings that Prospo did not book are left alone.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from meetings import graph as teams
from meetings import queries, scheduling, series
from meetings.organizer import account_of
from meetings.settings import Settings
from meetings.work import FollowCalendar, RescheduleMeeting
from shared.connections import Connection, Obstructed, connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders
from shared.mailboxes.folders import whose
from shared.mailboxes.following import changes
from shared.subscriptions.hearing import keep_to
from shared.subscriptions.notifications import Notification
from shared.subscriptions.subscriptions import Subscriptions, forget_subscriptions

log = structlog.get_logger(__name__)
CALENDAR = "calendar"
"""The folder's id in ``mailbox_folder``: Graph's view of the default calendar."""
CHANGES = "created,updated,deleted"
PAST, AHEAD = timedelta(days=7), timedelta(days=60)
NEAR = timedelta(days=2)
"""Meetings so soon are read once a day, whether their events changed or not."""
ONCE_A_DAY_S = 86_400
TOGETHER = timedelta(seconds=5)
"""The delay of a look, so that several bookings and notifications share one."""
PAGE = 100
_EARLY = 0.9
"""The last look was a little later than the job that began it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Dependencies for following a calendar."""

    graph: Graph
    subscriptions: Subscriptions
    settings: Settings


@dataclass(slots=True)
class Round:
    """Events of a round: id → etag, empty where Graph gave none. ``left`` are no longer in the window."""

    named: dict[str, str] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    full: bool = False
    cursor: str | None = None


def resource_of(account: str) -> str:
    """The resource to subscribe to."""
    return f"users/{account}/events"


def soon(work: UnitOfWork, user_id: str) -> None:
    """Have the calendar followed from now on, or looked at."""
    work.queue(FollowCalendar(user_id=user_id), run_at=datetime.now(UTC) + TOGETHER)


async def follow(work: JobWork, person: Connection) -> None:
    """After a change of the connection: what changed in Outlook meanwhile is looked for."""
    account = person.account.oid or ""
    over_since = datetime.now(UTC) - PAST
    if person.works and await queries.may_be_moved(work.session, work.org_id, person.user_id, account, over_since):
        soon(work, person.user_id)
        scheduling.follow_calls(work)
        await _mark_dirty(work, person)


async def forget(work: UnitOfWork, user_id: str | None) -> None:
    """Forget subscriptions when an account or tenant ends, in the transaction of that event.

    The application goes on to be told of calls, but not of those of a person who is not connected.
    """
    await forget_subscriptions(work.session, work.org_id, user_id)
    if user_id is not None:
        scheduling.follow_calls(work)


async def heard(work: JobWork, notification: Notification) -> None:
    """Something changed in a person's calendar, or may have."""
    person = await connection_of(work.session, work.org_id, notification.user_id)
    event_id = str((notification.body.get("resourceData") or {}).get("id") or "")
    for meeting_id, _, _, series_id in await queries.of_events(work.session, whose(work.org_id, person), [event_id]):
        _read_again(work, meeting_id, series_id)
    soon(work, person.user_id)
    await _mark_dirty(work, person)


def _read_again(work: UnitOfWork, meeting_id: str, series_id: str | None) -> None:
    if series_id is not None:
        series.soon(work, series_id)
    else:
        work.queue(RescheduleMeeting(meeting_id=meeting_id), priority="fresh")


async def _mark_dirty(work: UnitOfWork, person: Connection) -> None:
    """Jobs are written before the folder is locked, as the job that reads it has its own locked first."""
    await work.write_jobs()
    await folders.mark_dirty(work.session, whose(work.org_id, person))


async def look(job: Job, user_id: str, tools: Tools) -> float | None:
    """Have every meeting read whose event changed. After how many seconds to look again; None: there is none."""
    async with job.reading() as work:
        person = await connection_of(work.session, job.org_id, user_id)
        since = datetime.now(UTC) - PAST
        followed = await queries.may_be_moved(work.session, job.org_id, user_id, person.account.oid or "", since)
    if not person.works:
        return None  # ``follow`` goes on when it does
    try:
        caller = await account_of(job, tools.graph, person)
        if not followed:
            await keep_to(tools.subscriptions, caller, [], CHANGES)
            return None
        return await _look(job, person, caller, tools)
    except Obstructed:
        return None
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.warning("calendar.refused", org_id=job.org_id, code=error.code, status=error.status,
                    graph_request_id=error.request_id)  # fmt: skip
        return tools.settings.calendar_told_look_s


async def _look(job: Job, person: Connection, caller: GraphCaller, tools: Tools) -> float:
    refused = await keep_to(tools.subscriptions, caller, [resource_of(person.account.oid or "")], CHANGES)
    settings, mailbox = tools.settings, whose(job.org_id, person)
    look_s = settings.calendar_look_s if refused else settings.calendar_told_look_s
    async with job.unit_of_work() as work:
        known = await folders.folders_of(work.session, mailbox["org_id"], mailbox["user_id"], mailbox["account"])
        if CALENDAR not in known:
            await folders.follow(work.session, mailbox, CALENDAR, "Calendar")
        due = await folders.take_due(work.session, mailbox, look_s=look_s * _EARLY, sweep_s=ONCE_A_DAY_S)
        # kept until the round is over: one that a worker's end breaks off is begun again
        due = due or job.checkpoint.get("due", [])
        await work.save_checkpoint({"due": due})
    if due:
        await _read(job, caller, mailbox, _cursor(known.get(CALENDAR)))
    return look_s


def _cursor(folder: Any) -> str | None:
    """The cursor of the last round; None when the window has to move on."""
    fresh = folder is not None and folder.swept_at is not None
    if fresh and datetime.now(UTC) - folder.swept_at < timedelta(seconds=ONCE_A_DAY_S):
        return str(folder.delta_link) if folder.delta_link else None
    return None


async def _read(job: Job, caller: GraphCaller, mailbox: dict[str, str], cursor: str | None) -> None:
    now = datetime.now(UTC)
    window = now - PAST, now + AHEAD
    found = await _round(caller, window, cursor)
    async with job.unit_of_work() as work:
        ids = [*found.named, *found.left]
        for meeting_id, event_id, etag, series_id in await queries.of_events(work.session, mailbox, ids):
            if not etag or found.named.get(event_id) != etag:  # else it is as Microsoft showed it last
                _read_again(work, meeting_id, series_id)
        if found.full:
            for series_id in await queries.series_of(work.session, mailbox):  # the window moved on
                series.soon(work, series_id)
            for meeting_id in await queries.starting(work.session, mailbox, now, now + NEAR):  # options in Teams
                work.queue(RescheduleMeeting(meeting_id=meeting_id), priority="backfill")
            for meeting_id in await queries.not_named(work.session, mailbox, window, list(found.named)):
                work.queue(RescheduleMeeting(meeting_id=meeting_id), priority="backfill")
        await work.write_jobs()
        about = {"folder_id": CALENDAR, "name": "Calendar", "delta_link": found.cursor, "whole": found.full}
        await folders.have_read(work.session, mailbox, [about])
        await work.save_checkpoint({})


async def _round(caller: GraphCaller, window: tuple[datetime, datetime], cursor: str | None) -> Round:
    found = Round()
    params = dict(zip(("startDateTime", "endDateTime"), map(teams.moment_text, window), strict=True))
    async for page in changes(caller, "/me/calendarView", params, cursor=cursor, page_size=PAGE):
        if page.first:
            found = Round()
        for item in page.items:  # Graph may say of an occurrence hardly more than its series, which is read whole
            of_series = item.get("seriesMasterId")
            found.named[str(of_series or item["id"])] = "" if of_series else str(item.get("@odata.etag") or "")
        found.left |= set(page.left)
        found.full, found.cursor = page.full, page.cursor
    return found
