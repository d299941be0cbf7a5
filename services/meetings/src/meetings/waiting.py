"""Waiting for a meeting's outcome without holding a transaction.

The job may run in this process, which then wakes the request at once, or in a worker elsewhere, which only the
database tells about; so the row is read again at least every ``POLL_S``.
"""

import asyncio
import contextlib
from collections import defaultdict

from meetings import queries
from meetings.tables import MeetingRow
from shared.db import Database

POLL_S = 0.25


class Outcomes:
    """Wakes the requests of this process that wait for a meeting."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def tell(self, meeting_id: str) -> None:
        for event in self._waiting.get(meeting_id, ()):
            event.set()

    async def settled(self, db: Database, org_id: str, meeting_id: str, *, within_s: float) -> MeetingRow | None:
        """The meeting once it is no longer ``scheduling``, or as it is after ``within_s``; None when it is gone."""
        woken = asyncio.Event()
        self._waiting[meeting_id].add(woken)
        try:
            return await _watch(db, org_id, meeting_id, woken, within_s)
        finally:
            self._waiting[meeting_id].discard(woken)
            if not self._waiting[meeting_id]:
                del self._waiting[meeting_id]


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
            await asyncio.wait_for(woken.wait(), min(POLL_S, left_s))
