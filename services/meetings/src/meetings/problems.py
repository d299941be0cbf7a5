"""Problems that stop a job, and how the record names them.

A job that a new connection would help waits: the record's problem names it, and ``recording.follow`` queues it again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from meetings import queries, state
from meetings.tables import MeetingRow
from meetings.waiting import outcome_of
from meetings.work import CancelMeeting, RescheduleMeeting, ScheduleMeeting, SetRecording
from shared.connections import HEARD_OF, Obstructed, obstacle_of
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.jobs import Again, GiveUp, Periodic
from shared.jobs.job import Job

log = structlog.get_logger(__name__)
ATTEMPTS = 20
PATIENCE_S = 3600
"""How long Microsoft may be away before a person is told that it is."""
LINK_PAUSE_S = 2.0
"""Between two looks for the online meeting of a new event."""
ONCE_A_DAY_S = 86_400
RECORDING_NOT_CHANGED = "recording_not_changed"
_BY_ITSELF = {
    ScheduleMeeting.kind: "it is then finished by itself",
    RescheduleMeeting.kind: "the change is then made by itself",
    CancelMeeting.kind: "the meeting is then cancelled by itself",
}
_NO_LINK = "Microsoft made the calendar event, but no online meeting for it within an hour"
_LATE = "Microsoft is still making the online meeting, which can take some minutes; the meeting is finished by itself."
_BY_HAND = {RescheduleMeeting.kind: "change the meeting again", CancelMeeting.kind: "cancel the meeting in Outlook"}
_ANEW = "schedule the meeting again"
_BOOKED_ANEW = f"cancel its event, which is in your calendar already, in Outlook and {_ANEW}"
_LEAVE_TRACES = {ScheduleMeeting.kind, SetRecording.kind}
_BEFORE_THE_END = {*HEARD_OF, RECORDING_NOT_CHANGED}
Problem = dict[str, str]


class LateLink(Again):
    """Microsoft has made the event and is still making its online meeting."""

    def __init__(self) -> None:
        super().__init__("Microsoft does not have the new online meeting yet", after_s=LINK_PAUSE_S, counts=False)


def waits(error: Exception) -> bool:
    """Whether what is refused is done by itself once a connection works again."""
    found = obstacle_of(error)
    return found is not None and found.code in HEARD_OF


@asynccontextmanager
async def recorded(job: Job, meeting: MeetingRow, status: str | None = None) -> AsyncIterator[None]:
    """Write a failure that trying again does not mend into the record, for people to read.

    ``status`` is what the meeting becomes, unless Microsoft may have something of it and connecting mends it.
    """
    try:
        yield
    except (Obstructed, GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        later = waits(error) and (status is None or (begun(job) and meeting.ends_at > datetime.now(UTC)))
        then = _BY_ITSELF[job.kind.name] if later else f"then {_anew(job)}"
        await write(job, meeting.id, _problem(error, then), None if later else status)
        if not later:
            raise GiveUp(str(error)) from error
        wait_with_checkpoint(job)
    except Again as error:
        late = isinstance(error, LateLink)
        if job.fails_with(error):
            by_hand = _BY_HAND.get(job.kind.name, _anew(job))
            problem = (
                {"code": "join_link_missing", "detail": f"{_NO_LINK}; {by_hand}."}
                if late
                else {
                    "code": "microsoft_unavailable",
                    "detail": f"Microsoft did not answer in time, after several attempts; {by_hand}.",
                }
            )
            await write(job, meeting.id, problem, status)
            raise GiveUp(str(error)) from error
        if late:
            await write(job, meeting.id, {"code": "join_link_late", "detail": _LATE})
        raise


@asynccontextmanager
async def looked_at_later(job: Job) -> AsyncIterator[None]:
    """Nothing is to be done, only read: whatever stands in the way, the calendar is looked at again by itself."""
    try:
        yield
    except GraphRetry:
        raise
    except (Obstructed, GraphError) as error:
        log.info("event.not_read", org_id=job.org_id, reason=type(error).__name__, status=getattr(error, "status", 0))


def begun(job: Job) -> bool:
    """Whether Microsoft has, or may have, something of it that the record does not tell.

    A change and a cancellation find out what Microsoft has, whoever asked for it before.
    """
    return bool(job.checkpoint) or (job.unsure and job.kind.name in _LEAVE_TRACES)


def wait_with_checkpoint(job: Job) -> None:
    """The record has what waits done anew, so the job may end; one that knows more than the record stays."""
    if begun(job):
        raise Periodic("the connection is missing", after_s=ONCE_A_DAY_S)


async def write(job: Job, meeting_id: str, problem: Problem | None, status: str | None = None) -> None:
    async with job.unit_of_work() as work:
        meeting = await queries.locked(work.session, work.org_id, meeting_id)
        before = meeting.status, meeting.problem
        if status and meeting.status == "scheduling":
            meeting.status = status
        meeting.problem = still_true(meeting, problem)
        if (meeting.status, meeting.problem) != before:
            state.changed(meeting, work.outbox)
            work.wake(outcome_of(meeting_id))


def still_true(meeting: MeetingRow, problem: Problem | None) -> Problem | None:
    """Nothing at Microsoft is changed any more once a meeting has ended, so no problem may say that it is."""
    over = meeting.status == "ended" and problem is not None and problem["code"] in _BEFORE_THE_END
    return None if over else problem


def _anew(job: Job) -> str:
    return _BOOKED_ANEW if "event_id" in job.checkpoint else _ANEW


def _problem(error: Obstructed | GraphError, then: str) -> Problem:
    found = obstacle_of(error)
    if found is not None:
        return {"code": found.code, "detail": found.sentence(then)}
    return {"code": getattr(error, "code", "") or "microsoft_refused", "detail": str(error)}
