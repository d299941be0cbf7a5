"""Waiting for a meeting's outcome without holding a transaction.

The worker that has it wakes the request (``shared.database.wakes``). A wake can be lost, so the row is read every
``POLL_S`` all the same.
"""

import asyncio
import contextlib

from meetings import queries
from meetings.tables import MeetingRow
from shared.database.unit_of_work import Database
from shared.database.wakes import Wakes

POLL_S = 1.0


class Outcomes:
    """Wakes the requests that wait for a meeting, whichever process answers them."""

    def __init__(self, wakes: Wakes) -> None:
        self._wakes = wakes

    def tell(self, meeting_id: str) -> None:
        """Its outcome is committed."""
        self._wakes.tell(f"meeting:{meeting_id}")

    async def settled(self, db: Database, org_id: str, meeting_id: str, *, within_s: float) -> MeetingRow | None:
        """The meeting once it is no longer ``scheduling``, or as it is after ``within_s``; None when it is gone."""
        with self._wakes.waiting(f"meeting:{meeting_id}") as woken:
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
