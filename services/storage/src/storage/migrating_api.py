"""HTTP in, for Org Admins: moving all files to the chosen place, or back from SharePoint to Prospo's own storage."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from shared.connections import tenant_of
from shared.connections.obstacles import TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.problems import Conflict, NoRoom, NotFound
from shared.web import audit
from shared.web.routes import AdminCaller, StrictModel, Work, provided
from storage import locations, move_queries, people_queries
from storage.settings import Settings
from storage.work import MoveFiles

router = APIRouter(tags=["migration"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
To = Literal["chosen", "prospo"]


class MigrationWanted(StrictModel):
    """``chosen`` is the place that new files go to; ``prospo`` is Prospo's own storage."""

    to: To = "chosen"


class Failed(BaseModel):
    """A file that stays where it is, and why."""

    file_id: str
    name: str
    says: str


class Migration(BaseModel):
    """Moving all files ``to`` the place that is chosen now, or back. ``offered``: so much is elsewhere, and nothing
    moves it. Moving back is offered while SharePoint storage is not in use.

    ``waiting`` files are still to come, ``failed`` ones stay where they are; all can be read meanwhile.
    """

    state: Literal["none", "offered", "running", "cancelled", "done"]
    to: To | None
    name: str | None
    files: int
    bytes: int
    moved_files: int
    moved_bytes: int
    waiting: int
    failed: list[Failed]
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Target:
    """A folder of a library, or without one Prospo's own storage."""

    to: To
    name: str
    drive_id: str | None = None
    folder_id: str | None = None

    def values(self, org_id: str) -> dict[str, Any]:
        return {"org_id": org_id, "drive_id": self.drive_id, "folder_id": self.folder_id}


@router.get("/v1/storage/migration")
async def migration(_caller: AdminCaller, work: Work) -> Migration:
    return await _migration(work)


@router.post("/v1/storage/migration", status_code=202)
async def start_migration(
    caller: AdminCaller, work: Work, knobs: Knobs, wanted: MigrationWanted | None = None
) -> Migration:
    """Move every stored file, one after another, each verified by hash before the old copy goes.

    Without a body to the chosen place: 409 without one in use. To ``prospo``: 409 while SharePoint storage is in use,
    507 ``quota_reached`` when the files do not fit. 409 ``migration_running`` while files move the other way. Started
    again, it goes on with what is left, also with what failed.
    """
    target = await _target(work, (wanted or MigrationWanted()).to)
    about = {"org_id": work.org_id}
    row = (await work.session.execute(move_queries.MIGRATION, about)).first()
    if row is not None and row.state == "running" and _to(row) != target.to:
        raise Conflict("migration_running", f"Files are being moved to {row.name}. Cancel that first.")
    values = target.values(work.org_id)
    offered = (await work.session.execute(move_queries.OFFERED, values)).one()
    begun = {"name": target.name, "files": offered.files, "bytes": offered.bytes, "user_id": caller.user_id}
    await work.session.execute(move_queries.BEGIN, values | begun)
    await work.session.execute(move_queries.CANCELLED, about)  # what is not moved by this one is forgotten
    await work.session.execute(move_queries.QUEUE_ALL, values)
    if target.to == "prospo":
        await _refuse_without_room(work, knobs)
    audit.note(work.session, work.org_id, caller.user_id, "storage.migration_start", target=target.name)
    work.queue(MoveFiles())
    return await _migration(work)


async def _target(work: Work, to: To) -> _Target:
    """Raises ``Conflict`` where nothing can be moved there now."""
    found = await _possible(work)
    if found is not None and found.to == to:
        return found
    if to == "chosen":
        raise Conflict(
            "no_place_in_use", f"Choose a place under {locations.CHOOSE_PLACE} and switch SharePoint storage on first."
        )
    if found is None:
        raise conflict(TENANT_NOT_CONNECTED, "")
    raise Conflict(
        "place_in_use",
        f"New files go to {found.name}. Switch SharePoint storage off first, so that they go to Prospo's own storage.",
    )


async def _possible(work: Work) -> _Target | None:
    """Where files can move now: to the place in use, and without one back; None while no tenant is connected."""
    place = await locations.in_use(work)
    if place is not None:
        return _Target("chosen", place.name, place.drive_id, place.folder_id)
    tenant = await tenant_of(work.session, work.org_id)
    return _Target("prospo", locations.DEFAULT_STORE) if tenant.connected else None


async def _refuse_without_room(work: Work, knobs: Settings) -> None:
    """Counted with what is to come back, which is rolled back."""
    await work.session.execute(people_queries.QUOTA, {"org_id": work.org_id})
    kept = (await work.session.execute(people_queries.KEPT_BYTES, {"org_id": work.org_id})).scalar_one()
    if kept > knobs.organisation_quota_bytes:
        raise NoRoom(
            "quota_reached",
            "The files do not fit into your organisation's room in Prospo. Delete files that nobody needs, or ask your "
            "operator for more room.",
            quota_bytes=knobs.organisation_quota_bytes,
        )


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
    shown: dict[str, Any] = {"waiting": left.waiting, "failed": await _failed(work)}
    shown |= {"started_at": row and row.started_at, "ended_at": row and row.ended_at}
    target = None if row is not None and row.state == "running" else await _possible(work)
    if target is not None:
        offered = (await work.session.execute(move_queries.OFFERED, target.values(work.org_id))).one()
        last = row if row is not None and _to(row) == target.to else None
        if offered.files > (left.failed if last else 0):
            shown |= {"state": "cancelled" if last and last.state == "cancelled" else "offered", "name": target.name}
            shown |= {"moved_files": last.moved_files if last else 0, "moved_bytes": last.moved_bytes if last else 0}
            return Migration(to=target.to, files=offered.files, bytes=offered.bytes, **shown)
    if row is None:
        nothing = {"files": 0, "bytes": 0, "moved_files": 0, "moved_bytes": 0}
        return Migration(state="none", to=None, name=None, **nothing, **shown)
    shown |= {name: getattr(row, name) for name in ("state", "name", "files", "bytes", "moved_files")}
    return Migration(to=_to(row), moved_bytes=row.moved_bytes + left.under_way, **shown)


async def _failed(work: Work) -> list[Failed]:
    """The failed files. Names of files in Prospo's own storage are left out: they are their owners'."""
    rows = await work.session.execute(move_queries.FAILED, {"org_id": work.org_id})
    return [Failed(file_id=row.file_id, name=row.name if row.drive_id else "", says=row.says) for row in rows]


def _to(row: Any) -> To:
    return "prospo" if row.drive_id is None else "chosen"
