"""What the storage service does in its own time."""

import structlog

from shared.connections import tenant_of
from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job
from storage import deleting, locations, move_queries, people_queries, queries, receiving, staging
from storage.deliveries import Deliveries, folder_of
from storage.drives import read_item
from storage.moving import Mover
from storage.parts import Parts, named_by, named_by_move
from storage.settings import Settings
from storage.trips import hashed
from storage.uploads import tidy_later
from storage.work import (
    DeleteCopy,
    GiveUpUploads,
    HashFile,
    KeepRetention,
    LookAtLocation,
    MoveFiles,
    SweepStaging,
    TidyObjects,
    TidyParts,
)

DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
_AT_ONCE = 100

log = structlog.get_logger(__name__)
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
    there = await parts.listed(job.org_id, file_id)
    async with db.unit_of_work(job.org_id) as work:
        row = (await work.session.execute(queries.PARTS, {"org_id": job.org_id, "id": file_id})).first()
        move = (await work.session.execute(move_queries.MOVE, {"org_id": job.org_id, "file_id": file_id})).first()
    await parts.remove(there, (named_by(row) if row else set()) | (named_by_move(move) if move else set()))


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
    """Give up uploads that nobody has continued for long. One job per organisation waits while any is unfinished."""
    about = {"org_id": job.org_id, "keep_s": settings.unfinished_upload_keep_s}
    async with job.unit_of_work() as work:
        for row in await work.session.execute(queries.GIVE_UP, about):
            tidy_later(work, row)
        wait_s = (await work.session.execute(queries.NEXT_GIVEN_UP_S, about)).scalar()
    if wait_s is not None:
        raise Periodic("an upload is not finished", after_s=max(wait_s, 1))


@does(HashFile)
async def hash_file(job: Job, wanted: HashFile, *, db: Database, parts: Parts, graph: Graph) -> None:
    """From Prospo's own storage, or from SharePoint where whoever sent it could not say it."""
    about = {"org_id": job.org_id, "id": wanted.file_id}
    async with job.unit_of_work() as work:
        row = (await work.session.execute(queries.PARTS, about)).first()
    if row is None or row.sha256 is not None:
        return
    if row.completed_at is None:
        if row.checking:
            await receiving.check(db, parts, row)
        return
    if row.item_id is None:
        found = await parts.sha256(row)
    else:
        caller, size = graph.as_app(job.org_id, "backfill"), row.size_bytes
        whole = await hashed(read_item(caller, folder_of(row), row.item_id, 0, size, size))
        if row.quick_xor not in {None, whole.digest()}:  # its SHA-256 would be another file's
            log.warning("file.changed_in_sharepoint", org_id=job.org_id, file_id=row.id, item_id=row.item_id)
            return
        found = whole.sha256()
    async with job.unit_of_work() as work:
        await work.session.execute(people_queries.HASHED, about | {"sha256": found, "item_id": row.item_id})


@does(MoveFiles)
async def move_files(job: Job, _wanted: MoveFiles, *, deliveries: Deliveries, parts: Parts) -> None:
    """Move the files that belong in the chosen place, and those of a migration."""
    await Mover(job, deliveries, parts).all_due()


@does(DeleteCopy, patience_s=MONTH_S)
async def delete_copy(job: Job, wanted: DeleteCopy, *, db: Database, graph: Graph) -> None:
    """Tried for a month; the list of copies that are left has it until then, and after."""
    await deleting.delete_copy(db, graph, job.org_id, wanted.copy_id)


@does(KeepRetention)
async def keep_retention(job: Job, _wanted: KeepRetention) -> None:
    """Files older than the organisation keeps them, unless it holds all of them."""
    while True:
        async with job.unit_of_work() as work:
            policy = await deleting.policy_of(work)
            if policy is None or policy.retention_days is None:
                return
            if policy.hold:
                break
            about = {"org_id": job.org_id, "days": policy.retention_days, "limit": _AT_ONCE}
            rows = (await work.session.execute(people_queries.OUTLIVED, about)).all()
            for row in rows:
                await deleting.remove(work, row, "retention")
        if len(rows) < _AT_ONCE:
            break
    raise Periodic("looked at again tomorrow", after_s=DAY_S)


@does(SweepStaging)
async def sweep_staging(job: Job, _wanted: SweepStaging, *, graph: Graph, settings: Settings) -> None:
    """What senders that gave up left in the staging folder."""
    async with job.unit_of_work() as work:
        place = await locations.chosen(work)
        tenant = await tenant_of(work.session, job.org_id)
    if place is not None and tenant.connected and place.state == "works":
        await staging.sweep(job, graph, place, settings.unfinished_upload_keep_s)
