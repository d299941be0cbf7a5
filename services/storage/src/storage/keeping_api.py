"""HTTP in, for Org Admins: how long files are kept, what happens while the place fails, moving all files to it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from shared.problems import Conflict, NotFound
from shared.web import audit
from shared.web.routes import AdminCaller, Cursor, Page, StrictModel, Work, provided
from storage import deleting, locations, move_queries, people_queries
from storage.settings import Settings
from storage.work import KeepRetention, MoveFiles

router = APIRouter(tags=["keeping"])
Knobs = Annotated[Settings, Depends(provided("settings"))]


class PolicyWanted(StrictModel):
    """``retention_days`` null keeps files for ever. ``hold``: nothing is deleted, by nobody, whatever its age.

    ``when_stopped``: while the chosen place does not work, new files wait for it, or go to Prospo's own storage
    (``default``) and follow by themselves once it works.
    """

    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    hold: bool = False
    when_stopped: Literal["wait", "default"] = "wait"


class Policy(PolicyWanted):
    """``used_bytes`` of ``quota_bytes`` are in Prospo's own storage; what is in SharePoint does not count."""

    hold_since: datetime | None
    used_bytes: int
    quota_bytes: int


class Failed(BaseModel):
    """A file that stays where it is, and why."""

    file_id: str
    name: str
    says: str


class Migration(BaseModel):
    """Moving all files to the place that is chosen now. ``offered``: so much is elsewhere, and nothing moves it.

    ``waiting`` files are still to come, ``failed`` ones stay where they are; all can be read meanwhile.
    """

    state: Literal["none", "offered", "running", "cancelled", "done"]
    name: str | None
    files: int
    bytes: int
    moved_files: int
    moved_bytes: int
    waiting: int
    failed: list[Failed]
    started_at: datetime | None
    ended_at: datetime | None


class LeftCopy(BaseModel):
    """A copy in SharePoint that was to be deleted and is there still; ``says`` is why."""

    id: str
    drive_id: str
    item_id: str
    says: str | None
    since: datetime


@router.get("/v1/storage/policy")
async def file_policy(_caller: AdminCaller, work: Work, knobs: Knobs) -> Policy:
    return await _policy(work, knobs)


@router.put("/v1/storage/policy")
async def decide_policy(wanted: PolicyWanted, caller: AdminCaller, work: Work, knobs: Knobs) -> Policy:
    """In force at once. A shorter retention deletes what is older within minutes, unless ``hold`` is set."""
    values = {"org_id": work.org_id, "user_id": caller.user_id} | wanted.model_dump()
    await work.session.execute(people_queries.DECIDE, values)
    audit.note(work.session, work.org_id, caller.user_id, "storage.policy", **wanted.model_dump())
    if wanted.retention_days is not None:
        work.queue(KeepRetention())
    return await _policy(work, knobs)


async def _policy(work: Work, knobs: Settings) -> Policy:
    row = await deleting.policy_of(work)
    used = (await work.session.execute(people_queries.KEPT_BYTES, {"org_id": work.org_id})).scalar_one()
    about: dict[str, Any] = {"used_bytes": used, "quota_bytes": knobs.organisation_quota_bytes}
    if row is None:
        return Policy(hold_since=None, **about)
    said = {name: getattr(row, name) for name in ("retention_days", "hold", "when_stopped", "hold_since")}
    return Policy(**said, **about)


@router.get("/v1/storage/migration")
async def migration(_caller: AdminCaller, work: Work) -> Migration:
    return await _migration(work)


@router.post("/v1/storage/migration", status_code=202)
async def start_migration(caller: AdminCaller, work: Work) -> Migration:
    """Move every stored file to the chosen place, one after another, each verified by hash before the old copy goes.

    409 without a place in use. Started again, it goes on with what is left, also with what failed.
    """
    place = await locations.in_use(work)
    if place is None:
        raise Conflict(
            "no_place_in_use", f"Choose a place under {locations.CHOOSE_PLACE} and switch SharePoint storage on first."
        )
    target = {"org_id": work.org_id, "drive_id": place.drive_id, "folder_id": place.folder_id}
    offered = (await work.session.execute(move_queries.OFFERED, target)).one()
    about = {"name": place.name, "files": offered.files, "bytes": offered.bytes, "user_id": caller.user_id}
    await work.session.execute(move_queries.BEGIN, target | about)
    await work.session.execute(move_queries.QUEUE_ALL, target)
    audit.note(work.session, work.org_id, caller.user_id, "storage.migration_start", target=place.name)
    work.queue(MoveFiles())
    return await _migration(work)


@router.delete("/v1/storage/migration")
async def cancel_migration(caller: AdminCaller, work: Work) -> Migration:
    """What has moved stays moved, what has not stays where it is; the file that is on its way is left where it was."""
    about = {"org_id": work.org_id}
    row = (await work.session.execute(move_queries.MIGRATION, about)).first()
    if row is None or row.state != "running":
        raise NotFound("no_migration", "No files are being moved.")
    await work.session.execute(move_queries.CANCELLED, about)
    await work.session.execute(move_queries.END, about | {"state": "cancelled"})
    audit.note(work.session, work.org_id, caller.user_id, "storage.migration_cancel", target=row.name)
    work.queue(MoveFiles())
    return await _migration(work)


async def _migration(work: Work) -> Migration:
    about = {"org_id": work.org_id}
    row = (await work.session.execute(move_queries.MIGRATION, about)).first()
    left = (await work.session.execute(move_queries.LEFT, about)).one()
    failed = [
        Failed(file_id=one.file_id, name=one.name if one.drive_id else "", says=one.says)
        for one in await work.session.execute(move_queries.FAILED, about)
    ]
    place = await locations.in_use(work)
    offered = None
    if place is not None and (row is None or row.state != "running"):
        target = about | {"drive_id": place.drive_id, "folder_id": place.folder_id}
        offered = (await work.session.execute(move_queries.OFFERED, target)).one()
    if offered is not None and offered.files > left.failed:
        return Migration(
            state="offered" if row is None or row.state == "done" else "cancelled",
            name=place and place.name,
            files=offered.files,
            bytes=offered.bytes,
            moved_files=row.moved_files if row else 0,
            moved_bytes=row.moved_bytes if row else 0,
            waiting=left.waiting,
            failed=failed,
            started_at=row and row.started_at,
            ended_at=row and row.ended_at,
        )
    if row is None:
        nothing = {"files": 0, "bytes": 0, "moved_files": 0, "moved_bytes": 0, "waiting": 0}
        return Migration(state="none", name=None, failed=[], started_at=None, ended_at=None, **nothing)
    shown = {name: getattr(row, name) for name in ("state", "name", "files", "bytes", "moved_files")}
    shown |= {"moved_bytes": row.moved_bytes + left.under_way, "waiting": left.waiting, "failed": failed}
    return Migration(**shown, started_at=row.started_at, ended_at=row.ended_at)


@router.get("/v1/storage/left-copies")
async def left_copies(
    _caller: AdminCaller, work: Work, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> Page[LeftCopy]:
    """Copies in SharePoint that nobody needs any more and that could not be deleted yet. They are tried for a month."""
    values = {"org_id": work.org_id, "cursor": cursor, "limit": limit + 1}
    rows = (await work.session.execute(people_queries.LEFT_COPIES, values)).all()
    shown = [LeftCopy(**{name: getattr(row, name) for name in LeftCopy.model_fields}) for row in rows[:limit]]
    return Page[LeftCopy](items=shown, next_cursor=shown[-1].id if len(rows) > limit else None)
