"""Waiting for a meeting's outcome without holding a transaction.

The worker that has it wakes the request (``shared.database.wakes``). A wake can be lost, so the row is read every
``POLL_S`` all the same.
"""

import asyncio
import contextlib

from meetings import queries
from meetings.tables import MeetingRow
from shared.database.unit_of_work import Database

POLL_S = 1.0


def outcome_of(meeting_id: str) -> str:
    """The name to wake when its outcome is committed."""
    return f"meeting:{meeting_id}"


async def settled(db: Database, org_id: str, meeting_id: str, *, within_s: float) -> MeetingRow | None:
    """The meeting once it is no longer ``scheduling``, or as it is after ``within_s``; None when it is gone."""
    with db.wakes.waiting(outcome_of(meeting_id)) as woken:
        return await _watch(db, org_id, meeting_id, woken, within_s)


async def _watch(
    db: Database, org_id: str, meeting_id: str, woken: asyncio.Event, within_s: float
) -> MeetingRow | None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        woken.clear()
        async with db.unit_of_work(org_id) as work:
            meeting = await queries.meeting(work.session, org_id, meeting_id)
        left_s = deadline - loop.time()
        if meeting is None or meeting.status != "scheduling" or left_s <= 0:
            return meeting
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(POLL_S, left_s)):
                await woken.wait()
