"""Whether booked meetings record by themselves: the organisation's switch, brought to each at Microsoft.

The switch is a local copy that events change. Who writes a meeting by it holds it until the commit, so a change either
comes before, and is read, or comes after, and finds the meeting written: of two at the same moment none is overlooked.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from meetings import graph as teams
from meetings import queries, refusals, scheduling
from meetings.refusals import Problem
from meetings.tables import MeetingRow
from meetings.work import CancelMeeting, FollowSwitch, RescheduleMeeting, ScheduleMeeting, SetRecording
from shared.db import UnitOfWork
from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphRetry, GraphTellAdmin
from shared.jobs import Again, GiveUp
from shared.jobs.job import Job, JobWork

BATCH = 200
REFUSED = "auto_recording_refused"
_OWN = {REFUSED, refusals.RECORDING_NOT_CHANGED}


def follow(work: UnitOfWork, user_id: str | None = None) -> None:
    """Queue that everything booked, or a person's, is brought to the switch. Requests meanwhile are one."""
    work.queue(FollowSwitch(user_id=user_id))


async def queue_changes(work: JobWork, user_id: str | None, checkpoint: dict[str, Any]) -> bool:
    """A job for each of the next meetings that do not do what the switch says; False when there are no more.

    A switch that moved in between begins again from the first meeting.
    """
    switch = await queries.switch(work.session, work.org_id)
    after = checkpoint.get("after", "") if checkpoint.get("version") == switch.version else ""
    if not switch.connected:
        return False
    if not after:
        await _take_up_again(work, user_id)
    found = await queries.unlike_switch(
        work.session, work.org_id, wanted=switch.on, user_id=user_id, after=after, limit=BATCH
    )
    for meeting_id, soon in found:
        queue(work, meeting_id, soon=soon)
    await work.save_checkpoint({"after": found[-1][0], "version": switch.version} if found else {})
    return len(found) == BATCH


async def _take_up_again(work: JobWork, user_id: str | None) -> None:
    """What a lost connection kept from Microsoft is told to it now."""
    codes = sorted(refusals.REMEDIES)
    for meeting_id, booked, cancelled in await queries.interrupted(work.session, work.org_id, user_id, codes):
        wanted = ScheduleMeeting if not booked else CancelMeeting if cancelled else RescheduleMeeting
        work.queue(wanted(meeting_id=meeting_id), priority="fresh")


async def follow_later_switch(work: JobWork, meeting: MeetingRow) -> None:
    """The switch may have moved since the meeting was made by it."""
    switch = await queries.switch(work.session, work.org_id, hold=True)
    if meeting.auto_recording != switch.on and meeting.auto_recording_reason != "refused":
        queue(work, meeting.id, soon=True)


def queue(work: UnitOfWork, meeting_id: str, *, soon: bool) -> None:
    """One at a time for a meeting. Behind what people wait for; what begins within a day goes before the rest."""
    work.queue(SetRecording(meeting_id=meeting_id), priority="fresh" if soon else "backfill")


async def ask(caller: GraphCaller, online_id: str, *, on: bool) -> dict[str, Any]:
    """What Microsoft has now. A refused recording leaves a usable meeting; one that does not stop is an error."""
    try:
        accepted = await teams.turn_recording(caller, online_id, on=on)
    except (GraphTellAdmin, GraphGiveUp) as error:
        if not on:
            raise
        return _refused(f" {error}")
    if accepted and not on:
        raise GraphGiveUp("Microsoft keeps the automatic recording on.", code=refusals.RECORDING_NOT_CHANGED)
    return {"auto_recording": True} if accepted else ({"auto_recording": False} if not on else _refused(""))


def _refused(says: str) -> dict[str, Any]:
    detail = f"Microsoft did not accept automatic recording; start it by hand in the meeting.{says}"
    return {"auto_recording": False, "problem": {"code": REFUSED, "detail": detail}}


async def keep(work: JobWork, meeting_id: str, found: dict[str, Any], *, on: bool) -> None:
    """Write what Microsoft took into the record. Raises ``Again`` when the switch says another thing by now."""
    meeting = await refusals.locked(work, meeting_id)
    switch = await queries.switch(work.session, work.org_id, hold=True)
    if switch.on != on:
        raise Again("the switch moved meanwhile", after_s=0, counts=False)
    _set_problem(meeting, found.get("problem"))
    taken = {"accepted": found["auto_recording"], "problem": found.get("problem")}
    scheduling.recording_set(meeting, **taken, outbox=work.outbox)


@asynccontextmanager
async def explained(job: Job, meeting: MeetingRow, *, on: bool) -> AsyncIterator[None]:
    """Say in the record that Microsoft was not told. A connection that works again has it done anew by itself."""
    try:
        yield
    except GraphRetry:
        raise
    except GraphError as error:
        async with job.unit_of_work() as work:
            now = await refusals.locked(work, meeting.id)
            if now.status == "scheduled":
                _set_problem(now, _problem(error, on=on))
        if refusals.code_of(error) not in refusals.REMEDIES:
            raise GiveUp(str(error)) from error
        refusals.wait_with_checkpoint(job)


def _set_problem(meeting: MeetingRow, problem: Problem | None) -> None:
    """Another problem is not hidden by ours."""
    if meeting.problem != problem and (meeting.problem is None or meeting.problem["code"] in _OWN):
        meeting.problem = problem
        meeting.version += 1


def _problem(error: GraphError, *, on: bool) -> Problem:
    state = "does not record by itself yet" if on else "still records by itself at Microsoft; nothing is imported"
    detail = f"Auto-recording was switched {'on' if on else 'off'}, but this meeting {state}."
    if refusals.code_of(error) in refusals.REMEDIES:
        remedy = refusals.explain(error, "it is then changed by itself")
    elif isinstance(error, GraphTellAdmin):
        remedy = f"Your Microsoft 365 administrator has to allow it. Microsoft says: {error}"
    else:
        remedy = f"Change it in the meeting's options in Teams. Microsoft says: {error}"
    return {"code": refusals.RECORDING_NOT_CHANGED, "detail": f"{detail} {remedy}"}
