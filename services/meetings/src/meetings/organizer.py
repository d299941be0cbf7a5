"""Graph in the organizer's name: only while nothing is known to stand in the way, and only as who made the meeting."""

from meetings.tables import MeetingRow
from shared.connections import Connection, connection_now
from shared.connections.obstacles import ANOTHER_ACCOUNT, Obstructed
from shared.graph import Graph, GraphCaller
from shared.jobs.job import Job


async def require_connection(job: Job, meeting: MeetingRow) -> None:
    """Raises ``Obstructed``; so nothing is asked once the end of the connection was heard of."""
    person = await connection_now(job.db, job.org_id, meeting.user_id)
    person.require(made_by=meeting.organizer_oid)


async def account_of(job: Job, graph: Graph, person: Connection) -> GraphCaller:
    """Graph as the account that the person has connected. Raises ``Obstructed``."""
    token = await graph.tokens.user_token(job.org_id, person.user_id)
    if token.oid != person.account.oid:
        raise Obstructed(ANOTHER_ACCOUNT)
    return graph.as_user(job.org_id, person.user_id, job.priority)


async def as_organizer(job: Job, graph: Graph, meeting: MeetingRow, person: Connection) -> GraphCaller:
    """Graph as the account that made the meeting. The token tells of another one before any event does."""
    person.require(made_by=meeting.organizer_oid)
    token = await graph.tokens.user_token(job.org_id, meeting.user_id)
    if token.oid != meeting.organizer_oid:
        raise Obstructed(ANOTHER_ACCOUNT)
    return graph.as_user(job.org_id, meeting.user_id, job.priority)
