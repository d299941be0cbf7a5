"""What the storage service does in its own time."""

from shared.db import Database
from shared.jobs import Jobs
from shared.jobs.runner import Job
from storage import queries
from storage.objects import Objects

jobs = Jobs()


@jobs.kind("tidy_parts")
async def tidy_parts(job: Job, *, db: Database, objects: Objects) -> None:
    """The parts of a file that is whole or given up; of one begun anew meanwhile, those that still count stay."""
    async with db.unit_of_work(job.org_id) as work:
        values = {"org_id": job.org_id, "id": job.payload["file_id"]}
        live = (await work.session.execute(queries.LIVE_PARTS, values)).scalar()
    await objects.delete_parts(job.org_id, job.payload["file_id"], but=live or ())
