"""Waiting for a meeting's outcome: the commit that has it wakes the request (``shared.database.wakes``)."""

from meetings import queries
from meetings.tables import MeetingRow
from shared.database.unit_of_work import Database


def outcome_of(meeting_id: str) -> str:
    """The name to wake when its outcome is committed."""
    return f"meeting:{meeting_id}"


async def settled(db: Database, org_id: str, meeting_id: str, *, within_s: float) -> MeetingRow | None:
    """The meeting once it is no longer ``scheduling``, or as it is after ``within_s``; None when it is gone."""

    async def read() -> MeetingRow | None:
        async with db.unit_of_work(org_id) as work:
            return await queries.meeting(work.session, org_id, meeting_id)

    def is_settled(meeting: MeetingRow | None) -> bool:
        return meeting is None or meeting.status != "scheduling"

    return await db.wakes.until(outcome_of(meeting_id), read, is_settled, within_s=within_s)
