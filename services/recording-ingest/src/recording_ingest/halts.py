"""What keeps everything of a person's meetings from going on: the organisation's switch, or a connection that ended.

Read from the local copies before Microsoft is asked and at every chunk, so that a change acts at once on all workers,
whatever tokens they still hold.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from recording_ingest import absences, queries
from recording_ingest.absences import Absence
from recording_ingest.queries import Person
from recording_ingest.tables import LedgerMeeting


class Halted(Exception):
    """Not now; the import goes on from where it stands when this is over."""

    def __init__(self, absence: Absence) -> None:
        super().__init__(absence.code)
        self.absence = absence


def of(person: Person | None, meeting: LedgerMeeting | None = None) -> Absence | None:
    """Why nothing is asked for this person, or of this meeting of theirs, or None.

    The switch is off until we have heard that it is on. Another account than the organizer's finds nothing of the
    meeting, which does not mean that it is gone.
    """
    if person is not None and not person.switched_on:
        return absences.SWITCHED_OFF
    if person is not None and not person.tenant_connected:
        return absences.TENANT_NOT_CONNECTED
    if person is None or not person.connected:
        return absences.CONNECTION_BROKEN
    if meeting is not None and meeting.organizer_oid not in {None, person.oid}:
        return absences.ANOTHER_ACCOUNT
    return None


async def of_meeting(session: AsyncSession, meeting: LedgerMeeting) -> Absence | None:
    return of(await queries.person(session, meeting.org_id, meeting.user_id or ""), meeting)
