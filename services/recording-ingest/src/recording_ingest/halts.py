"""What keeps everything of a person's meetings from going on: the organisation's switch, or a connection that ended.

Read from the local copies before Microsoft is asked and at every chunk, so that a change acts at once on all workers,
whatever tokens they still hold.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from recording_ingest import absences, queries
from recording_ingest.absences import Absence
from recording_ingest.queries import Person


class Halted(Exception):
    """Not now; the import goes on from where it stands when this is over."""

    def __init__(self, absence: Absence) -> None:
        super().__init__(absence.code)
        self.absence = absence


def of(person: Person | None) -> Absence | None:
    """Why nothing is asked for this person, or None. The switch is off until we have heard that it is on."""
    if person is not None and not person.switched_on:
        return absences.SWITCHED_OFF
    if person is not None and not person.tenant_connected:
        return absences.TENANT_NOT_CONNECTED
    return None if person is not None and person.connected else absences.CONNECTION_BROKEN


async def check(session: AsyncSession, org_id: str, user_id: str | None) -> None:
    """Raises ``Halted``."""
    absence = of(await queries.person(session, org_id, user_id or ""))
    if absence is not None:
        raise Halted(absence)
