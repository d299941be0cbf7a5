"""What the storage service does in its own time."""

from shared.connections import tenant_of
from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job
from storage import locations, queries
from storage.parts import Parts
from storage.settings import Settings
from storage.uploads import tidy_later
from storage.work import GiveUpUploads, LookAtLocation, TidyObjects, TidyParts

does = Jobs()


@does(TidyObjects)
async def tidy_objects(job: Job, wanted: TidyObjects, *, db: Database, parts: Parts) -> None:
    """Objects that the file's row does not name, and all of a file that was given up."""
    await _tidy(job, wanted.file_id, db, parts)


@does(TidyParts)
async def tidy_parts(job: Job, wanted: TidyParts, *, db: Database, parts: Parts) -> None:
    """The same; queued by the version before."""
    await _tidy(job, wanted.file_id, db, parts)


async def _tidy(job: Job, file_id: str, db: Database, parts: Parts) -> None:
    async with db.unit_of_work(job.org_id) as work:
        row = (await work.session.execute(queries.PARTS, {"org_id": job.org_id, "id": file_id})).first()
    await parts.tidy(job.org_id, file_id, row)


@does(LookAtLocation)
async def look_at_location(job: Job, _wanted: LookAtLocation, *, graph: Graph, settings: Settings) -> None:
    """The state of the place as it is now; nobody looks at one that is not in use."""
    async with job.unit_of_work() as work:
        location = await locations.chosen(work)
        tenant = await tenant_of(work.session, job.org_id)
    if location is None or not tenant.connected:
        return
    looked = await locations.look(graph, location)
    async with job.unit_of_work() as work:
        await locations.keep_look(work, location, looked)
    wait_s = settings.location_look_s if looked.state == "works" else settings.location_retry_s
    raise Periodic("looked at again later", after_s=wait_s)


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
