"""A new meeting at Microsoft: event, online meeting, options and recording, then the record.

Each step may be repeated and gives the same. The job's checkpoint keeps what Microsoft has made so far.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from meetings import changing, online, queries, recording, scheduling, series, watching
from meetings import graph as teams
from meetings.organizer import as_organizer, require_connection
from meetings.problems import LateLink
from meetings.settings import Settings
from meetings.tables import MeetingRow
from meetings.waiting import outcome_of
from shared.connections import Connection, connection_of, tenant_of
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp
from shared.jobs.job import Job

_NOT_OFFERED = (
    "Your calendar does not offer Teams meetings, so the event was taken out of your calendar again. Ask your "
    "Microsoft 365 administrator to allow Teams meetings, then schedule the meeting again."
)


async def book(job: Job, graph: Graph, meeting: MeetingRow, person: Connection, settings: Settings) -> bool:
    """Whether the meeting is scheduled now. False when it was cancelled meanwhile: then its event is cancelled too."""
    caller = await as_organizer(job, graph, meeting, person)
    found = await _make_event(job, caller, meeting)
    if meeting.status != "cancelled":
        on = recording.wanted(meeting, person.tenant)
        found = await _prepare(job, caller, meeting, found, on=on)
        if await _save(job, meeting.id, found, settings):
            return True
    await teams.cancel(caller, found["event_id"])
    return False


async def _make_event(job: Job, caller: GraphCaller, meeting: MeetingRow) -> dict[str, Any]:
    """What Microsoft made of the meeting so far: at least the event, which is never made twice.

    Raises ``Obstructed`` when the connection ended meanwhile.
    """
    if "event_id" in job.checkpoint:
        return dict(job.checkpoint)
    with asking(job):
        booked = await teams.book(caller, meeting)
    if not booked.offered:
        await teams.cancel(caller, booked.event_id)
        raise GraphGiveUp(_NOT_OFFERED, code="teams_not_offered")
    found: dict[str, Any] = {"event_id": booked.event_id, "join_url": booked.join_url}
    found["shown"] = changing.as_shown(booked.shown, teams.parts_of(meeting))
    async with job.unit_of_work() as work:
        await work.save_checkpoint(found)
        person = await connection_of(work.session, job.org_id, meeting.user_id)
    job.unsure = False  # the event is known now, and an earlier try that died came no further than to it
    person.require(made_by=meeting.organizer_oid)
    return found


async def _prepare(
    job: Job, caller: GraphCaller, meeting: MeetingRow, found: dict[str, Any], *, on: bool
) -> dict[str, Any]:
    """Find the event's online meeting and set its options and recording. Raises ``LateLink`` while there is none."""
    join_url = found["join_url"] or await teams.join_url(caller, found["event_id"])
    online_id = await online.find(caller, join_url) if join_url else None
    if online_id is None:
        raise LateLink()
    found |= {"join_url": join_url, "online_meeting_id": online_id}
    await require_connection(job, meeting)
    if meeting.options:
        found |= await online.set_first_options(caller, online_id, meeting.options)
    if not on and not job.unsure:  # no try has asked for a recording
        return found | {"auto_recording": False}
    with asking(job):
        return found | await online.set_recording(caller, online_id, on=on)


async def _save(job: Job, meeting_id: str, found: dict[str, Any], settings: Settings) -> bool:
    """Whether the record says that the meeting is scheduled, which ends the job. False when it was cancelled meanwhile.

    A meeting that had failed is scheduled too: somebody had the job done again, and Microsoft has the meeting now.
    """
    async with job.unit_of_work() as work:
        meeting = await queries.locked(work.session, work.org_id, meeting_id)
        tenant = await tenant_of(work.session, work.org_id, hold=True)
        if meeting.status == "cancelled":
            return False
        if meeting.status in {"scheduling", "failed"}:
            meeting.event_id, meeting.join_url = found["event_id"], found["join_url"]
            meeting.online_meeting_id, meeting.shown = found["online_meeting_id"], found.get("shown")
            meeting.problem = found.get("problem")
            refused = meeting.problem if (meeting.problem or {}).get("code") == online.REFUSED else None
            scheduling.note_recording(meeting, accepted=found["auto_recording"], problem=refused)
            scheduling.scheduled(meeting, work.outbox)
            if meeting.repeats is None:
                scheduling.watch_booked_end(meeting, work, settings.booked_end_grace_s)
            else:
                series.soon(work, meeting.id, "prospo")
            recording.follow_later_switch(work, meeting, tenant)
            watching.soon(work, meeting.user_id)
        work.wake(outcome_of(meeting_id))
        await work.end_job()
        return True


@contextmanager
def asking(job: Job) -> Iterator[None]:
    """Mark the job as unsure while Microsoft is asked: nobody knows what a try that dies meanwhile has done there.

    The mark stays when Graph's answer does not tell whether the request was carried out.
    """
    before, job.unsure = job.unsure, True
    try:
        yield
    except GraphError as error:
        job.unsure = before or error.maybe_done
        raise
