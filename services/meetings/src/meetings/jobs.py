"""What the meetings service does in its own time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from meetings import graph as teams
from meetings import queries, scheduling
from meetings.settings import Settings
from meetings.tables import MeetingRow
from meetings.waiting import Outcomes
from shared.copies import tenant_of
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.jobs import GiveUp, Jobs, Retry
from shared.jobs.runner import Job

ATTEMPTS = 20
LOOK_AGAIN_S = 1.0

jobs = Jobs()


@jobs.kind("schedule", attempts=ATTEMPTS)
async def schedule(job: Job, *, graph: Graph, outcomes: Outcomes, settings: Settings) -> None:
    """Event, online meeting, recording option, record: each step may be done again and gives the same."""
    meeting, auto_recording = await _start(job)
    if meeting.status == "cancelled" and job.attempt == 1:
        return
    async with _failing(job, meeting, outcomes, status="failed"):
        caller = graph.as_user(job.org_id, meeting.user_id, job.priority)
        found = await _prepare(job, caller, meeting, auto_recording)
        if await _save_scheduled(job, meeting.id, found, settings):
            outcomes.tell(meeting.id)
        else:
            await teams.cancel(caller, found["event_id"])


@jobs.kind("reschedule", attempts=ATTEMPTS)
async def reschedule(job: Job, *, graph: Graph, outcomes: Outcomes, settings: Settings) -> None:
    """Bring Microsoft's event to the record; when the record changed meanwhile, do it again."""
    meeting, _ = await _start(job)
    if meeting.status == "cancelled":
        return
    async with _failing(job, meeting, outcomes):
        await teams.move(graph.as_user(job.org_id, meeting.user_id, job.priority), meeting)
        async with job.unit_of_work() as work:
            now = await _locked(work, meeting.id)
            if _told(now) != _told(meeting):
                raise Retry(after_s=0, reason="the meeting changed meanwhile", counts=False)
            now.problem = None
            scheduling.rescheduled(now, work.outbox)
            scheduling.watch_booked_end(now, work.jobs, settings.booked_end_grace_s)


@jobs.kind("cancel", attempts=ATTEMPTS)
async def cancel(job: Job, *, graph: Graph, outcomes: Outcomes) -> None:
    """Let Microsoft tell the attendees, then tell the platform."""
    meeting, _ = await _start(job)
    async with _failing(job, meeting, outcomes):
        if meeting.event_id:
            await teams.cancel(graph.as_user(job.org_id, meeting.user_id, job.priority), meeting.event_id)
        async with job.unit_of_work() as work:
            scheduling.cancelled(await _locked(work, meeting.id), work.outbox)


@jobs.kind("booked_end")
async def booked_end(job: Job) -> None:
    """Nothing better came: the booked end is all that is known. A moved meeting has a job of its own."""
    async with job.unit_of_work() as work:
        meeting = await _locked(work, job.payload["meeting_id"])
        if meeting.ends_at == datetime.fromisoformat(job.payload["ends_at"]):
            scheduling.ended(meeting, meeting.ends_at, "booked_end", "low", work.outbox)


async def _start(job: Job) -> tuple[MeetingRow, bool]:
    """The meeting as it is now, and whether the tenant wants automatic recording."""
    async with job.unit_of_work() as work:
        meeting = await queries.meeting(work.session, job.org_id, job.payload["meeting_id"])
        tenant = await tenant_of(work.session, job.org_id)
    if meeting is None:
        raise GiveUp(f"The meeting {job.payload['meeting_id']} does not exist.")
    return meeting, tenant is not None and tenant.features.auto_recording


async def _prepare(job: Job, caller: GraphCaller, meeting: MeetingRow, auto_recording: bool) -> dict[str, Any]:
    """What Microsoft made of the meeting; kept in the checkpoint after each step."""
    found = dict(job.checkpoint)
    if "event_id" not in found:
        booked = await teams.book(caller, meeting)
        found |= {"event_id": booked.event_id, "join_url": _require_link(booked)}
        await job.checkpoint_now(found)
    if "online_meeting_id" not in found:
        found["online_meeting_id"] = await _resolve(caller, found["join_url"])
        await job.checkpoint_now(found)
    if "auto_recording" not in found:
        found |= await _recording(caller, found["online_meeting_id"]) if auto_recording else {"auto_recording": False}
        await job.checkpoint_now(found)
    return found


def _require_link(booked: teams.Booked) -> str:
    if booked.join_url is None:
        raise GraphGiveUp(
            "Your calendar does not offer Teams meetings. Ask your Microsoft 365 administrator to allow them, then "
            "schedule the meeting again.",
            code="teams_not_offered",
        )
    return booked.join_url


async def _resolve(caller: GraphCaller, join_url: str) -> str:
    found = await teams.online_meeting_id(caller, join_url)
    if found is None:
        raise Retry(after_s=LOOK_AGAIN_S, reason="Microsoft does not know the new online meeting yet")
    return found


async def _recording(caller: GraphCaller, online_id: str) -> dict[str, Any]:
    """A refused option leaves a usable meeting; the record says what is missing."""
    try:
        return {"auto_recording": await teams.turn_recording_on(caller, online_id)}
    except (GraphTellAdmin, GraphGiveUp) as error:
        detail = f"Microsoft did not accept automatic recording; start it by hand in the meeting. {error}"
        return {"auto_recording": False, "problem": {"code": "auto_recording_refused", "detail": detail}}


async def _save_scheduled(job: Job, meeting_id: str, found: dict[str, Any], settings: Settings) -> bool:
    """Whether the meeting is scheduled now; False when it was cancelled meanwhile."""
    async with job.unit_of_work() as work:
        meeting = await _locked(work, meeting_id)
        meeting.event_id, meeting.join_url = found["event_id"], found["join_url"]
        meeting.online_meeting_id, meeting.auto_recording = found["online_meeting_id"], found["auto_recording"]
        if meeting.status == "scheduling":
            meeting.problem = found.get("problem")
            scheduling.scheduled(meeting, work.outbox)
            scheduling.watch_booked_end(meeting, work.jobs, settings.booked_end_grace_s)
        return meeting.status != "cancelled"


async def _locked(work: Any, meeting_id: str) -> MeetingRow:
    meeting = await queries.meeting(work.session, work.org_id, meeting_id, lock=True)
    if meeting is None:
        raise GiveUp(f"The meeting {meeting_id} does not exist.")
    return meeting


def _told(meeting: MeetingRow) -> tuple[Any, ...]:
    return meeting.subject, meeting.starts_at, meeting.ends_at, meeting.attendees, meeting.status


@asynccontextmanager
async def _failing(job: Job, meeting: MeetingRow, outcomes: Outcomes, status: str | None = None) -> AsyncIterator[None]:
    """Write what cannot be mended by trying again into the record, for people to read."""
    try:
        yield
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        await _record_problem(job, meeting.id, _problem_of(error), status)
        outcomes.tell(meeting.id)
        raise GiveUp(str(error)) from error
    except (GraphRetry, Retry) as error:
        if job.attempt >= ATTEMPTS:
            detail = "Microsoft did not answer in time, though asked many times. Schedule the meeting again."
            await _record_problem(job, meeting.id, {"code": "microsoft_unavailable", "detail": detail}, status)
            outcomes.tell(meeting.id)
            raise GiveUp(str(error)) from error
        raise


def _problem_of(error: GraphError) -> dict[str, str]:
    if isinstance(error, GraphReconnect):
        detail = "Microsoft asks you to sign in again. Connect your Microsoft account, then schedule the meeting again."
        return {"code": "connection_required", "detail": detail}
    if isinstance(error, GraphTellAdmin):
        detail = f"Your Microsoft 365 administrator has to allow this first. Microsoft says: {error}"
        return {"code": "admin_required", "detail": detail}
    return {"code": error.code or "microsoft_refused", "detail": str(error)}


async def _record_problem(job: Job, meeting_id: str, problem: dict[str, str], status: str | None) -> None:
    async with job.unit_of_work() as work:
        meeting = await _locked(work, meeting_id)
        meeting.problem = problem
        meeting.version += 1
        if status and meeting.status == "scheduling":
            meeting.status = status
