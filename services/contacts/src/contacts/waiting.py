"""Waiting for a plan without holding a transaction; the worker that made it wakes the request."""

import asyncio
import contextlib

from contacts import queries
from contacts.tables import ImportRun
from shared.database.unit_of_work import Database

POLL_S = 1.0


def plan_of(run_id: str) -> str:
    """The name to wake when its plan, or why there is none, is committed."""
    return f"import:{run_id}"


async def planned(db: Database, org_id: str, run_id: str, *, within_s: float) -> ImportRun | None:
    """The run once it does not read any more, or as it is after ``within_s``; None when it is gone."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    with db.wakes.waiting(plan_of(run_id)) as woken:
        while True:
            woken.clear()
            async with db.unit_of_work(org_id) as work:
                run = await queries.run_of(work.session, org_id, run_id)
            left_s = deadline - loop.time()
            if run is None or run.status != "reading" or run.problem is not None or left_s <= 0:
                return run
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(POLL_S, left_s)):
                    await woken.wait()
