"""Whether booked meetings record by themselves: the organisation's switch, brought to each at Microsoft.

Who writes a meeting by the switch holds it until the commit (``shared.connections.state``): a change comes before, and
is read, or after, and finds the meeting written.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from meetings import online, problems, queries, scheduling, state
from meetings.problems import Problem
from meetings.tables import MeetingRow
from meetings.work import CancelMeeting, RescheduleMeeting, ScheduleMeeting, SetRecording
from shared.connections import Connection, Obstructed, Switch, Tenant, obstacle_of, tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError, GraphRetry
from shared.jobs import Again, GiveUp
from shared.jobs.job import Job, JobWork

SWITCH: Switch = "auto_recording"
OWN = {online.REFUSED, online.OPTIONS_REFUSED, problems.RECORDING_NOT_CHANGED}
"""Problems that are about how the meeting is held, not about its event."""


async def follow(work: JobWork, person: Connection) -> None:
    """A person's booked meetings do what the switch says, by a job each; what waited is told to Microsoft."""
    if not person.tenant.connected:
        return
    if person.works:
        await _take_up_again(work, person.user_id)
    on = person.tenant.has_on(SWITCH)
    mine = {"wanted": on, "works": person.works}
    for meeting_id, soon in await queries.unlike_switch(work.session, work.org_id, person.user_id, **mine):
        queue(work, meeting_id, soon=soon)


async def _take_up_again(work: JobWork, user_id: str) -> None:
    """Queue again what could not be sent while the connection was lost."""
    for meeting_id, booked, cancelled in await queries.interrupted(work.session, work.org_id, user_id):
        wanted = ScheduleMeeting if not booked else CancelMeeting if cancelled else RescheduleMeeting
        work.queue(wanted(meeting_id=meeting_id), priority="fresh")


def wanted(meeting: MeetingRow, tenant: Tenant) -> bool:
    """Whether it is to record by itself: the Org Admin's switch is on, and the organizer did not choose otherwise."""
    return tenant.has_on(SWITCH) and meeting.recording_wanted


def follow_later_switch(work: JobWork, meeting: MeetingRow, tenant: Tenant) -> None:
    """Queue a job when the switch was turned since the meeting was made by it; ``tenant`` is locked."""
    if meeting.auto_recording != wanted(meeting, tenant) and meeting.auto_recording_reason != "refused":
        queue(work, meeting.id, soon=True)


def queue(work: UnitOfWork, meeting_id: str, *, soon: bool) -> None:
    """One at a time for a meeting. Behind what people wait for; what begins within a day goes before the rest."""
    work.queue(SetRecording(meeting_id=meeting_id), priority="fresh" if soon else "backfill")


async def keep(work: JobWork, meeting_id: str, found: dict[str, Any], *, on: bool) -> None:
    """Write what Microsoft took into the record. Raises ``Again`` when the switch says another thing by now."""
    meeting = await queries.locked(work.session, work.org_id, meeting_id)
    if wanted(meeting, await tenant_of(work.session, work.org_id, hold=True)) != on:
        raise Again("the switch moved meanwhile", after_s=0, counts=False)
    _set_problem(work, meeting, found.get("problem"))
    taken = {"accepted": found["auto_recording"], "problem": found.get("problem")}
    scheduling.recording_set(meeting, **taken, outbox=work.outbox)


@asynccontextmanager
async def explained(job: Job, meeting: MeetingRow, *, on: bool) -> AsyncIterator[None]:
    """Write into the record that Microsoft was not told. When the connection works again, the job is queued again."""
    try:
        yield
    except GraphRetry:
        raise
    except (Obstructed, GraphError) as error:
        async with job.unit_of_work() as work:
            now = await queries.locked(work.session, work.org_id, meeting.id)
            if now.status == "scheduled":
                _set_problem(work, now, _problem(error, on=on))
        if not problems.waits(error):
            raise GiveUp(str(error)) from error
        problems.wait_with_checkpoint(job)


def _set_problem(work: JobWork, meeting: MeetingRow, problem: Problem | None) -> None:
    """Set a problem of this file, unless the record has another one."""
    if meeting.problem != problem and (meeting.problem is None or meeting.problem["code"] in OWN):
        meeting.problem = problem
        state.changed(meeting, work.outbox)


def _problem(error: Obstructed | GraphError, *, on: bool) -> Problem:
    now = "does not record by itself yet" if on else "still records by itself at Microsoft; nothing is imported"
    detail = f"Auto-recording was switched {'on' if on else 'off'}, but this meeting {now}."
    found = obstacle_of(error)
    if found is not None:
        remedy = found.sentence("it is then changed by itself" if problems.waits(error) else "")
    else:
        remedy = f"Change it in the meeting's options in Teams. Microsoft says: {error}"
    return {"code": problems.RECORDING_NOT_CHANGED, "detail": f"{detail} {remedy}"}
