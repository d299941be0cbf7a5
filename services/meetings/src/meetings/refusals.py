"""What keeps a job from Microsoft, and how the record says so.

What connecting mends waits: the record's problem names it, and a connection that works again has it done by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

from meetings import queries
from meetings.tables import MeetingRow
from meetings.waiting import Outcomes
from meetings.work import CancelMeeting, RescheduleMeeting, ScheduleMeeting
from shared.copies import TenantCopy, UserCopy, tenant_of, user_of
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs import Again, GiveUp, Periodic
from shared.jobs.job import Job, JobWork

ATTEMPTS = 20
PATIENCE_S = 3600
"""How long Microsoft may be away before a person is told that it is."""
LOOK_AGAIN_S = 86_400
CONNECTION_REQUIRED = "connection_required"
TENANT_NOT_CONNECTED = "tenant_not_connected"
ANOTHER_ACCOUNT = "another_account"
PERMISSION_MISSING = "permission_missing"
ADMIN_REQUIRED = "admin_required"
RECORDING_NOT_CHANGED = "recording_not_changed"
_PLACE = "under Settings > Integrations > Microsoft Outlook"
REMEDIES = {
    CONNECTION_REQUIRED: f"Connect your Microsoft account again {_PLACE}",
    TENANT_NOT_CONNECTED: "An Org Admin has to connect your organisation under Admin > Connectors > Microsoft 365",
    ANOTHER_ACCOUNT: "This meeting was made with another Microsoft account than the one that is connected now. "
    f"Disconnect this one and connect the former again {_PLACE}",
    PERMISSION_MISSING: f"Microsoft does not let Prospo do this for you. Allow it again {_PLACE}, or, where nothing is "
    "missing there, ask your Microsoft 365 administrator to allow it and connect your account again",
}
"""By code, what a person does; everything here is mended by connecting, and what waited is then done."""
_BY_ITSELF = {
    ScheduleMeeting.kind: "it is then finished by itself",
    RescheduleMeeting.kind: "the change is then made by itself",
    CancelMeeting.kind: "the meeting is then cancelled by itself",
}
_BY_HAND = {RescheduleMeeting.kind: "change the meeting again", CancelMeeting.kind: "cancel the meeting in Outlook"}
_ANEW = "schedule the meeting again"
_BOOKED_ANEW = f"cancel its event, which is in your calendar already, in Outlook and {_ANEW}"
_BEFORE_THE_END = {*REMEDIES, RECORDING_NOT_CHANGED}
Problem = dict[str, str]


async def locked(work: JobWork, meeting_id: str) -> MeetingRow:
    meeting = await queries.meeting(work.session, work.org_id, meeting_id, lock=True)
    if meeting is None:
        raise GiveUp(f"The meeting {meeting_id} does not exist.")
    return meeting


def lost(tenant: TenantCopy | None, user: UserCopy | None, meeting: MeetingRow) -> GraphError | None:
    """What any call would be answered; known without asking, also by a worker that still holds an old token."""
    if tenant is None or not tenant.connected:
        return GraphTellAdmin("The organisation is not connected to Microsoft 365.", 0, TENANT_NOT_CONNECTED)
    if user is None or not user.connected:
        return GraphReconnect("The Microsoft account is not connected.", 0, CONNECTION_REQUIRED)
    return _unlike(user.oid, meeting)


def _unlike(oid: str | None, meeting: MeetingRow) -> GraphError | None:
    """To another account Microsoft says that the meeting is not there, as if it were gone."""
    if oid == meeting.organizer_oid:
        return None
    return GraphReconnect("The meeting was made with another Microsoft account.", 0, ANOTHER_ACCOUNT)


async def require_connection(job: Job, meeting: MeetingRow) -> None:
    """Raises what a call would; so none follows once the end of the connection was heard of."""
    async with job.unit_of_work() as work:
        tenant = await tenant_of(work.session, job.org_id)
        user = await user_of(work.session, job.org_id, meeting.user_id)
    refusal = lost(tenant, user, meeting)
    if refusal is not None:
        raise refusal


async def as_organizer(job: Job, graph: Graph, meeting: MeetingRow) -> GraphCaller:
    """Graph as the account that made the meeting. The token tells of another one before any event does."""
    await require_connection(job, meeting)
    token = await graph.tokens.user_token(job.org_id, meeting.user_id)
    refusal = _unlike(token.oid, meeting)
    if refusal is not None:
        raise refusal
    return graph.as_user(job.org_id, meeting.user_id, job.priority)


@asynccontextmanager
async def recorded(job: Job, meeting: MeetingRow, outcomes: Outcomes, status: str | None = None) -> AsyncIterator[None]:
    """Write what cannot be mended by trying again into the record, for people to read.

    ``status`` is what the meeting becomes, unless Microsoft may have something of it and connecting mends it.
    """
    try:
        yield
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        begun = bool(job.checkpoint) and meeting.ends_at > datetime.now(UTC)
        waits = code_of(error) in REMEDIES and (status is None or begun)
        then = _BY_ITSELF[job.kind.name] if waits else f"then {_anew(job)}"
        await write(job, meeting.id, _problem(error, then), None if waits else status)
        outcomes.tell(meeting.id)
        if not waits:
            raise GiveUp(str(error)) from error
        wait_with_checkpoint(job)
    except Again as error:
        if job.fails_with(error):
            by_hand = _BY_HAND.get(job.kind.name, _anew(job))
            detail = f"Microsoft did not answer in time, though asked many times; {by_hand}."
            await write(job, meeting.id, {"code": "microsoft_unavailable", "detail": detail}, status)
            outcomes.tell(meeting.id)
            raise GiveUp(str(error)) from error
        raise


def wait_with_checkpoint(job: Job) -> None:
    """The record has what waits done anew, so the job may end; one whose checkpoint knows more than that stays."""
    if job.checkpoint:
        raise Periodic("the connection is missing", after_s=LOOK_AGAIN_S)


def _anew(job: Job) -> str:
    return _BOOKED_ANEW if "event_id" in job.checkpoint else _ANEW


def still_true(meeting: MeetingRow, problem: Problem | None) -> Problem | None:
    """Nothing at Microsoft is changed any more once a meeting has ended, so no problem may say that it is."""
    over = meeting.status == "ended" and problem is not None and problem["code"] in _BEFORE_THE_END
    return None if over else problem


def code_of(error: GraphError) -> str:
    if error.code in REMEDIES:
        return error.code
    if isinstance(error, GraphReconnect):
        return CONNECTION_REQUIRED
    if error.status == HTTPStatus.FORBIDDEN:
        return PERMISSION_MISSING
    return ADMIN_REQUIRED if isinstance(error, GraphTellAdmin) else error.code or "microsoft_refused"


def _problem(error: GraphError, then: str) -> Problem:
    code = code_of(error)
    if code in REMEDIES:
        detail = explain(error, then)
    elif code == ADMIN_REQUIRED:
        detail = f"Your Microsoft 365 administrator has to allow this first. Microsoft says: {error}"
    else:
        detail = str(error)
    return {"code": code, "detail": detail}


def explain(error: GraphError, then: str) -> str:
    """What a person does about a refusal that connecting mends, and what happens then."""
    code = code_of(error)
    says = f" Microsoft says: {error}" if code == PERMISSION_MISSING else ""
    return f"{REMEDIES[code]}; {then}.{says}"


async def write(job: Job, meeting_id: str, problem: Problem | None, status: str | None = None) -> None:
    async with job.unit_of_work() as work:
        meeting = await locked(work, meeting_id)
        if status and meeting.status == "scheduling":
            meeting.status = status
        problem = still_true(meeting, problem)
        if meeting.problem != problem:
            meeting.problem = problem
            meeting.version += 1
