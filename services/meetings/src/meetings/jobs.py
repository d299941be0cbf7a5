"""The jobs of the meetings service."""

from datetime import UTC, datetime
from typing import Any

from meetings import (
    booking,
    call_events,
    calls,
    changing,
    online,
    options,
    problems,
    queries,
    recording,
    scheduling,
    series,
    watching,
)
from meetings import graph as teams
from meetings.leaving import TRACES
from meetings.organizer import as_organizer
from meetings.problems import ATTEMPTS, PATIENCE_S
from meetings.settings import Settings
from meetings.tables import MeetingRow
from meetings.work import (
    BookedEnd,
    CancelMeeting,
    FollowCalendar,
    FollowCalls,
    FollowSwitch,
    RefreshSeries,
    RescheduleMeeting,
    ScheduleMeeting,
    SetRecording,
)
from shared.connections import (
    Connection,
    FollowConnections,
    Obstructed,
    bring_in_line,
    connection_of,
    tenant_of,
)
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.jobs import Again, GiveUp, Jobs, Periodic
from shared.jobs.job import Job, JobWork
from shared.subscriptions import hearing
from shared.subscriptions.subscriptions import Subscriptions

OVERRUN_S = 300.0
"""Between two looks whether a meeting that lasts longer than booked is over."""
does = Jobs()
hearing.hear(does, watching.heard, call_events.told)
TRACES.done_by(does)


@does(ScheduleMeeting, attempts=ATTEMPTS, patience_s=PATIENCE_S)
async def schedule(job: Job, wanted: ScheduleMeeting, *, graph: Graph, settings: Settings) -> None:
    """Book the meeting at Microsoft. One that was cancelled meanwhile is cancelled there too."""
    meeting, person = await _start(job, wanted.meeting_id)
    if meeting.status == "cancelled" and not problems.begun(job):
        return
    async with problems.recorded(job, meeting, status="failed"):
        if not await booking.book(job, graph, meeting, person, settings):
            await problems.write(job, meeting.id, None)


@does(RescheduleMeeting, attempts=ATTEMPTS, patience_s=PATIENCE_S)
async def reschedule(job: Job, wanted: RescheduleMeeting, *, graph: Graph, settings: Settings) -> None:
    """Bring the record and the event together. A change meanwhile has asked for this job once more."""
    meeting, person = await _start(job, wanted.meeting_id)
    if meeting.status == "ended" and meeting.repeats is None:
        await _look_at_ended(job, graph, meeting, person, settings)
        return
    returns = changing.may_return(meeting)
    if meeting.status != "scheduled" and not returns:
        return
    reads = returns or not changing.pending(meeting)
    async with problems.looked_at_later(job) if reads else problems.recorded(job, meeting):
        caller = await as_organizer(job, graph, meeting, person)
        brought = await changing.bring(caller, meeting)
        there = await options.read(caller, meeting)
        async with job.unit_of_work() as work:
            now = await queries.locked(work.session, work.org_id, meeting.id)
            if now.status != meeting.status:  # cancelled or over meanwhile, which has its own job and event
                return
            if brought is None:
                changing.gone(now, work.outbox)
            else:
                changing.keep(now, meeting, brought, work.outbox)
                if "options" not in brought.lost:
                    options.take(now, meeting, there, work.outbox)
                if now.repeats is None:
                    if (now.starts_at, now.ends_at) != (meeting.starts_at, meeting.ends_at):
                        calls.tell_end(now, work.outbox)  # a call that was told may be that of the new time
                    scheduling.watch_booked_end(now, work, settings.booked_end_grace_s)
            if now.repeats is not None:
                series.soon(work, now.id, "prospo")


async def _look_at_ended(job: Job, graph: Graph, meeting: MeetingRow, person: Connection, settings: Settings) -> None:
    """Schedule a meeting again that had ended when somebody moved it in Outlook; its end is published anew.

    Other changes are not taken over: a meeting that took place stays as the record has it.
    """
    async with problems.looked_at_later(job):
        caller = await as_organizer(job, graph, meeting, person)
        try:
            shown = await teams.read(caller, meeting.event_id or "")
        except GraphNotFound:
            return
        booked = teams.parts_of(meeting)
        if shown.cancelled or all(shown.parts[name] == booked[name] for name in ("start", "end")):
            return
        async with job.unit_of_work() as work:
            now = await queries.locked(work.session, work.org_id, meeting.id)
            tenant = await tenant_of(work.session, work.org_id, hold=True)
            if now.status == "ended":
                scheduling.take_end_back(now)
                changing.keep(now, meeting, changing.read(meeting, shown), work.outbox, "outlook")
                calls.tell_end(now, work.outbox)
                scheduling.watch_booked_end(now, work, settings.booked_end_grace_s)
                recording.follow_later_switch(work, now, tenant)


@does(CancelMeeting, attempts=ATTEMPTS, patience_s=PATIENCE_S)
async def cancel(job: Job, wanted: CancelMeeting, *, graph: Graph) -> None:
    """Let Microsoft tell the attendees, then tell the platform."""
    meeting, person = await _start(job, wanted.meeting_id)
    async with problems.recorded(job, meeting):
        caller = await as_organizer(job, graph, meeting, person)
        if meeting.event_id:
            await teams.cancel(caller, meeting.event_id)
        async with job.unit_of_work() as work:
            now = await queries.locked(work.session, work.org_id, meeting.id)
            now.problem = None
            scheduling.cancelled(now, work.outbox, "prospo")
            if now.repeats is not None:
                await series.cancel(work, now, "prospo")


@does(FollowConnections)
@does(FollowSwitch)
async def follow_connections(job: Job, wanted: FollowConnections) -> None:
    """Bring what is booked to the switch, and have done what a lost connection kept from Microsoft."""

    async def follow(work: JobWork, person: Connection) -> None:
        await recording.follow(work, person)
        await watching.follow(work, person)

    await bring_in_line(job, wanted, follow)


@does(FollowCalendar)
async def follow_calendar(
    job: Job, wanted: FollowCalendar, *, graph: Graph, subscriptions: Subscriptions, settings: Settings
) -> None:
    """Look at the calendar, and again now and then, for a notification may be lost."""
    after_s = await watching.look(job, wanted.user_id, watching.Tools(graph, subscriptions, settings))
    if after_s is not None:
        raise Periodic("looked at again later", after_s=after_s)


@does(FollowCalls)
async def follow_calls(job: Job, wanted: FollowCalls, *, graph: Graph, subscriptions: Subscriptions) -> None:
    """Have Microsoft tell of the calls of meetings that are near, where the tenant lets it."""
    after_s = await call_events.look(job, graph, subscriptions)
    if after_s is not None:
        raise Periodic("looked at again later", after_s=after_s)


@does(RefreshSeries)
async def refresh_series(job: Job, wanted: RefreshSeries, *, graph: Graph, settings: Settings) -> None:
    """Bring a series and its occurrences to what Outlook has."""
    row, person = await _start(job, wanted.series_id)
    if row.status in {"scheduled", "ended"} or changing.may_return(row):
        async with problems.looked_at_later(job):
            caller = await as_organizer(job, graph, row, person)
            await series.refresh(job, caller, row, wanted.origin, settings)


@does(SetRecording, attempts=ATTEMPTS)
async def set_recording(job: Job, wanted: SetRecording, *, graph: Graph) -> None:
    """Bring one booked meeting at Microsoft to the switch; what the switch says last stays."""
    meeting, person = await _start(job, wanted.meeting_id)
    if meeting.status != "scheduled":
        return
    on = recording.wanted(meeting, person.tenant)
    found: dict[str, Any] = {"auto_recording": on}
    async with recording.explained(job, meeting, on=on):
        if problems.begun(job) or meeting.auto_recording != on:
            caller = await as_organizer(job, graph, meeting, person)
            with booking.asking(job):
                found = await online.set_recording(caller, meeting.online_meeting_id or "", on=on)
        async with job.unit_of_work() as work:
            await recording.keep(work, meeting.id, found, on=on)
            now = await queries.locked(work.session, work.org_id, meeting.id)
            if now.repeats is not None:
                await series.record_like(work, now, found.get("problem"))


@does(BookedEnd)
async def booked_end(job: Job, wanted: BookedEnd, *, graph: Graph) -> None:
    """Nothing better came: the booked end is all that is known. A moved meeting has a job of its own."""
    meeting, person = await _start(job, wanted.meeting_id)
    if meeting.ends_at != wanted.ends_at or meeting.status == "cancelled":
        return
    if meeting.status == "scheduled" and not await _still_booked(job, graph, meeting, person):
        async with job.unit_of_work() as work:
            work.queue(RescheduleMeeting(meeting_id=meeting.id), priority="fresh")
        raise Again("the event is not as the record has it", after_s=60, counts=False)
    async with job.unit_of_work() as work:
        meeting = await queries.locked(work.session, work.org_id, wanted.meeting_id)
        if meeting.ends_at != wanted.ends_at or calls.tell_end(meeting, work.outbox):
            return
        overruns = calls.goes_on(meeting) and datetime.now(UTC) < meeting.ends_at + call_events.AFTER
        if not overruns:
            scheduling.ended(meeting, meeting.ends_at, "booked_end", "low", work.outbox)
    if overruns:
        raise Periodic("people are still in the call", after_s=OVERRUN_S)


async def _still_booked(job: Job, graph: Graph, meeting: MeetingRow, person: Connection) -> bool:
    """Whether the event ends when the record says. True where Microsoft cannot be asked: it is all that is known."""
    try:
        caller = await as_organizer(job, graph, meeting, person)
        shown = await teams.read(caller, meeting.event_id or "")
    except GraphNotFound:
        return False
    except GraphRetry:
        if job.tried_s < PATIENCE_S:
            raise
        return True
    except (Obstructed, GraphError):
        return True
    return not shown.cancelled and shown.parts["end"] == teams.parts_of(meeting)["end"]


async def _start(job: Job, meeting_id: str) -> tuple[MeetingRow, Connection]:
    """The meeting, and its organizer's connection with the tenant's switches, as they are now."""
    async with job.reading() as work:
        meeting = await queries.meeting(work.session, job.org_id, meeting_id)
        if meeting is None:
            raise GiveUp(f"The meeting {meeting_id} does not exist.")
        return meeting, await connection_of(work.session, job.org_id, meeting.user_id)
