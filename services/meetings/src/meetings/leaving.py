"""Removes what meetings set at Microsoft when a person or the organisation disconnects: subscriptions, and automatic
recording of meetings that are not over. The events stay in the calendar, with their join links.

Subscriptions to calls are the application's, so they go when the organisation disconnects.
"""

from contextlib import suppress
from datetime import datetime
from http import HTTPStatus

from sqlmodel.ext.asyncio.session import AsyncSession

from meetings import online, queries, recording, scheduling, watching
from meetings.tables import MeetingRow
from shared.connections import connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.events import MeetingApplicationTracesRemoved, MeetingTracesRemoved
from shared.events.leaving import LeftKind
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound, GraphReconnect
from shared.jobs.job import Job
from shared.subscriptions.leaving import Done, Traces


class AutomaticRecording:
    """The automatic recording of a person's booked meetings, a series counted once. A reconnect sets it again."""

    kind: LeftKind = "automatic_recording"

    async def there(self, session: AsyncSession, org_id: str, user_id: str) -> dict[str, datetime | None]:
        return await queries.recording_by_themselves(session, org_id, user_id)

    async def remove(self, job: Job, caller: GraphCaller, name: str) -> None:
        async with job.unit_of_work() as work:
            meeting = await queries.locked(work.session, work.org_id, name)
            person = await connection_of(work.session, work.org_id, meeting.user_id)
        if meeting.organizer_oid != person.account.oid:
            raise GraphReconnect("Another account made it.", HTTPStatus.CONFLICT)
        with suppress(GraphNotFound):  # Microsoft has the meeting no more
            await online.set_recording(caller, meeting.online_meeting_id or "", on=False)
        await _keep(job, name)


async def _keep(job: Job, meeting_id: str) -> None:
    """Note that it does not record. Whoever connects meanwhile is seen here or sees this, so it is set again."""
    async with job.unit_of_work() as work:
        meeting = await queries.locked(work.session, work.org_id, meeting_id)
        person = await connection_of(work.session, work.org_id, meeting.user_id, hold=True)
        if person.works:
            recording.queue(work, meeting_id, soon=True)
            await work.write_jobs()
        of_series: list[MeetingRow] = []
        if meeting.repeats is not None:
            of_series = await queries.occurrences_ahead(work.session, work.org_id, meeting.id)
        for one in (meeting, *of_series):
            scheduling.recording_set(one, accepted=False, problem=None, outbox=work.outbox, code="disconnected")


def tell(work: UnitOfWork, done: Done) -> None:
    said = done.told()
    if done.user_id:
        work.outbox.add(MeetingTracesRemoved.model_validate(said))
    else:
        work.outbox.add(MeetingApplicationTracesRemoved.model_validate(said))


TRACES = Traces(tell, watching.forget, AutomaticRecording(), as_application=True)
