"""Waiting for a plan: the commit that has it wakes the request (``shared.database.wakes``)."""

from contacts import queries
from contacts.tables import ImportRun
from shared.database.unit_of_work import Database


def plan_of(run_id: str) -> str:
    """The name to wake when its plan, or why there is none, is committed."""
    return f"import:{run_id}"


async def planned(db: Database, org_id: str, run_id: str, *, within_s: float) -> ImportRun | None:
    """The run once it does not read any more, or as it is after ``within_s``; None when it is gone."""

    async def read() -> ImportRun | None:
        async with db.unit_of_work(org_id) as work:
            return await queries.run_of(work.session, org_id, run_id)

    def is_planned(run: ImportRun | None) -> bool:
        return run is None or run.status != "reading" or run.problem is not None

    return await db.wakes.until(plan_of(run_id), read, is_planned, within_s=within_s)
