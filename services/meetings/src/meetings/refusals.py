"""What keeps a job from Microsoft, and how the record says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meetings import queries
from meetings.tables import MeetingRow
from meetings.waiting import Outcomes
from shared.copies import TenantCopy, UserCopy, tenant_of, user_of
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.jobs import GiveUp, Retry
from shared.jobs.runner import Job, JobWork

ATTEMPTS = 20
CONNECTION_REQUIRED = "connection_required"
TENANT_NOT_CONNECTED = "tenant_not_connected"
MENDED_BY_CONNECTING = {CONNECTION_REQUIRED, TENANT_NOT_CONNECTED}
Problem = dict[str, str]


async def locked(work: JobWork, meeting_id: str) -> MeetingRow:
    meeting = await queries.meeting(work.session, work.org_id, meeting_id, lock=True)
    if meeting is None:
        raise GiveUp(f"The meeting {meeting_id} does not exist.")
    return meeting


def lost(tenant: TenantCopy | None, user: UserCopy | None) -> GraphError | None:
    """What any call would be answered; known without asking, also by a worker that still holds an old token."""
    if tenant is None or not tenant.connected:
        return GraphTellAdmin("The organisation is not connected to Microsoft 365.", 0, TENANT_NOT_CONNECTED)
    if user is None or not user.connected:
        return GraphReconnect("The Microsoft account is not connected.", 0, CONNECTION_REQUIRED)
    return None


async def require_connection(job: Job, meeting: MeetingRow) -> None:
    """Raises what a call would; so none follows once the end of the connection was heard of."""
    async with job.unit_of_work() as work:
        tenant = await tenant_of(work.session, job.org_id)
        user = await user_of(work.session, job.org_id, meeting.user_id)
    refusal = lost(tenant, user)
    if refusal is not None:
        raise refusal


@asynccontextmanager
async def recorded(job: Job, meeting: MeetingRow, outcomes: Outcomes, status: str | None = None) -> AsyncIterator[None]:
    """Write what cannot be mended by trying again into the record, for people to read."""
    try:
        await require_connection(job, meeting)
        yield
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        await write(job, meeting.id, of(error), status)
        outcomes.tell(meeting.id)
        raise GiveUp(str(error)) from error
    except (GraphRetry, Retry) as error:
        if job.attempt >= ATTEMPTS:
            detail = "Microsoft did not answer in time, though asked many times. Schedule the meeting again."
            await write(job, meeting.id, {"code": "microsoft_unavailable", "detail": detail}, status)
            outcomes.tell(meeting.id)
            raise GiveUp(str(error)) from error
        raise


def of(error: GraphError) -> Problem:
    if isinstance(error, GraphReconnect):
        detail = "Microsoft asks you to sign in again. Connect your Microsoft account, then schedule the meeting again."
        return {"code": CONNECTION_REQUIRED, "detail": detail}
    if error.code == TENANT_NOT_CONNECTED:
        detail = "Your organisation is not connected to Microsoft 365. Ask an Org Admin to connect it, then try again."
        return {"code": TENANT_NOT_CONNECTED, "detail": detail}
    if isinstance(error, GraphTellAdmin):
        detail = f"Your Microsoft 365 administrator has to allow this first. Microsoft says: {error}"
        return {"code": "admin_required", "detail": detail}
    return {"code": error.code or "microsoft_refused", "detail": str(error)}


async def write(job: Job, meeting_id: str, problem: Problem, status: str | None) -> None:
    async with job.unit_of_work() as work:
        meeting = await locked(work, meeting_id)
        meeting.problem = problem
        meeting.version += 1
        if status and meeting.status == "scheduling":
            meeting.status = status
