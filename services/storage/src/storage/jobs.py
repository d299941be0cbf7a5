"""What the storage service does in its own time."""

from shared.database.unit_of_work import Database
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job
from storage import queries
from storage.objects import Objects
from storage.settings import Settings
from storage.uploads import tidy_later
from storage.work import GiveUpUploads, TidyParts

does = Jobs()


@does(TidyParts)
async def tidy_parts(job: Job, wanted: TidyParts, *, db: Database, objects: Objects) -> None:
    """The parts of a file that is whole, and all of one that was given up; parts that still count stay."""
    file_id = wanted.file_id
    async with db.unit_of_work(job.org_id) as work:
        row = (await work.session.execute(queries.PARTS, {"org_id": job.org_id, "id": file_id})).first()
    if row is None:
        await objects.delete_file(job.org_id, file_id)
    else:
        await objects.delete_parts(job.org_id, file_id, but=() if row.completed_at else row.parts)


@does(GiveUpUploads)
async def give_up_uploads(job: Job, _wanted: GiveUpUploads, *, settings: Settings) -> None:
    """Those of the organisation that nobody has gone on with for long; one job waits while any is unfinished."""
    about = {"org_id": job.org_id, "keep_s": settings.unfinished_upload_keep_s}
    async with job.unit_of_work() as work:
        for row in await work.session.execute(queries.GIVE_UP, about):
            tidy_later(work, row)
        wait_s = (await work.session.execute(queries.NEXT_GIVEN_UP_S, about)).scalar()
    if wait_s is not None:
        raise Periodic("an upload is not finished", after_s=max(wait_s, 1))
