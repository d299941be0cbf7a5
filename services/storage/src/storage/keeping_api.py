"""HTTP in, for Org Admins: how long files are kept, what happens while the place fails, what is left to delete."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from shared.web import audit
from shared.web.routes import AdminCaller, Cursor, Page, StrictModel, Work, provided
from storage import deleting, people_queries
from storage.settings import Settings
from storage.work import KeepRetention

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


@router.get("/v1/storage/left-copies")
async def left_copies(
    _caller: AdminCaller, work: Work, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> Page[LeftCopy]:
    """Copies in SharePoint that nobody needs any more and that could not be deleted yet. They are tried for a month."""
    values = {"org_id": work.org_id, "cursor": cursor, "limit": limit + 1}
    rows = (await work.session.execute(people_queries.LEFT_COPIES, values)).all()
    shown = [LeftCopy(**{name: getattr(row, name) for name in LeftCopy.model_fields}) for row in rows[:limit]]
    return Page[LeftCopy](items=shown, next_cursor=shown[-1].id if len(rows) > limit else None)
