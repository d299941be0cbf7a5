"""HTTP in: folders of Outlook and imports, below /v1/contacts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from contacts import graph as outlook
from contacts import problem_rows, queries, run_queries, runs
from contacts.answers import busy
from contacts.models import (
    Action,
    FolderChange,
    FolderKept,
    Folders,
    Import,
    NewImport,
    Row,
    StartImport,
    folder_shown,
)
from contacts.settings import Settings
from contacts.tables import ImportRun
from contacts.waiting import planned
from contacts.work import KeepInStep, UndoImport
from shared.connections import Connection, connection_of
from shared.connections.refusing import refused_by_microsoft
from shared.database.outbox import uuid7
from shared.database.unit_of_work import Database, UnitOfWork
from shared.mailboxes import folders as mailbox_folders
from shared.mailboxes.folders import folders_of
from shared.problems import BadInput, Conflict, NotFound
from shared.web.cursors import SignedCursor, make_cursor, read_cursor
from shared.web.dependencies import Db, Envelope_, Graph_
from shared.web.idempotency import IdempotencyKey
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import Caller, Cursor, Id, Page, Work, needs_header, provided, with_header
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1/contacts", tags=["imports"])


Settings_ = Annotated[Settings, Depends(provided("settings"))]
NEEDS_KEY = needs_header(
    "Idempotency-Key", "A key that you choose for this import. Send the same one when you try again."
)
LOCATED = with_header("Location", "Where the import is read.")
Limit = Annotated[int, Query(ge=1, le=200)]
LongId = Annotated[str, Path(max_length=500), STORABLE]
ENDED = {"finished", "cancelled", "failed", "undone"}


@router.get("/folders")
async def contact_folders(caller: Caller, db: Db, graph: Graph_, settings: Settings_) -> Folders:
    """The caller's contact folders in Outlook at any depth, read from Microsoft now, with how many contacts are in
    each.

    409 with the code of what stands between the caller and Microsoft; ``link`` leads to where it is mended.
    """
    person = await _person(db, caller)
    runs.require_way(person)
    as_caller = graph.as_user(caller.org_id, caller.user_id, "interactive")
    with refused_by_microsoft("to show this"):
        found, more = await outlook.folders(as_caller, settings.contact_folders_max)
        counts = await outlook.counts(as_caller, found)
    async with db.unit_of_work(caller.org_id) as work:
        kept = await folders_of(work.session, caller.org_id, caller.user_id, person.account.oid or "")
    items = [folder_shown(folder, counts.get(folder.id), kept.get(folder.id)) for folder in found]
    return Folders(items=items, complete=not more)


@router.patch("/folders/{folder_id}")
async def keep_folder(folder_id: LongId, wanted: FolderChange, caller: Caller, work: Work) -> FolderKept:
    """Keep a folder in step, once it was imported, or no longer. What was imported stays."""
    row = await mailbox_folders.keep_in_step(
        work.session, caller.org_id, caller.user_id, folder_id, on=wanted.keep_in_step
    )
    if row is None:
        raise NotFound("folder_not_found", "You have imported no such folder. Import it once, then keep it in step.")
    if wanted.keep_in_step:
        runs.require_way(await connection_of(work.session, caller.org_id, caller.user_id), row.account)
    work.queue(KeepInStep(user_id=caller.user_id))
    return FolderKept(id=row.folder_id, name=row.name, keep_in_step=row.kept_in_step)


@router.post(
    "/imports",
    status_code=201,
    responses={201: LOCATED, 202: {"model": Import, **LOCATED}},
    openapi_extra=NEEDS_KEY,
    dependencies=[limited("imports", per_hour="imports_per_hour")],
)
async def preview(
    wanted: NewImport,
    caller: Caller,
    db: Db,
    settings: Settings_,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Import:
    """Read the folders and make a plan, which is the preview. 201 with the plan, or 202 while reading takes longer.

    Nothing of the caller's contacts changes before ``POST /v1/contacts/imports/{id}/start``.
    """
    run_id = uuid7()
    async with db.unit_of_work(caller.org_id) as work:

        async def make() -> None:
            person = await connection_of(work.session, caller.org_id, caller.user_id)
            runs.require_way(person)
            names = await folders_of(work.session, caller.org_id, caller.user_id, person.account.oid or "")
            ids = list(dict.fromkeys(wanted.folders))
            folders = [{"id": one, "name": names[one].name if one in names else ""} for one in ids]
            runs.begin(work, person, folders, share=wanted.share, run_id=run_id)

        asked, keep_days = wanted.model_dump(mode="json"), settings.request_keys_keep_days
        run_id = await queries.KEYS.once(
            work.session, caller, idempotency_key, asked, make, made=run_id, keep_days=keep_days
        )
    run = await planned(db, caller.org_id, run_id, within_s=settings.import_wait_s)
    if run is None:
        raise _not_found()
    response.headers["Location"] = f"/v1/contacts/imports/{run.id}"
    if run.status == "reading":
        response.status_code = 202
    return Import.of(run)


@router.get("/imports")
async def imports(caller: Caller, work: Work, cursor: Cursor = None, limit: Limit = 50) -> Page[Import]:
    """The caller's own imports, newest first."""
    if cursor is not None:
        last = await queries.run_of(work.session, caller.org_id, cursor)
        if last is None or last.user_id != caller.user_id:
            raise BadInput("unknown_cursor", "There is no such page. Take next_cursor of the page before, or none.")
    rows = await queries.runs_of(work.session, caller.org_id, caller.user_id, before=cursor, limit=limit + 1)
    shown = [Import.of(row) for row in rows[:limit]]
    return Page[Import](items=shown, next_cursor=shown[-1].id if len(rows) > limit else None)


@router.get("/imports/{run_id}")
async def one_import(run_id: Id, caller: Caller, work: Work) -> Import:
    return Import.of(await _own(work, caller, run_id))


@router.get("/imports/{run_id}/rows")
async def rows(
    run_id: Id,
    caller: Caller,
    work: Work,
    envelope: Envelope_,
    action: Action | None = None,
    cursor: SignedCursor = None,
    limit: Limit = 50,
) -> Page[Row]:
    """The contacts of the plan by name, all or those of one action, with why each is as it is.

    Contacts that are the same because Microsoft named no change are counted in the plan and are no rows.
    """
    run = await _own(work, caller, run_id)
    place = f"rows {run_id} {action}"
    after = read_cursor(envelope.ring, caller, place, cursor)
    found = await run_queries.page(work.session, run, action=action, after=after, n=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    next_cursor = make_cursor(envelope.ring, caller, place, [last.sort_name, last.source_id]) if last else None
    return Page[Row](items=[Row.of(row) for row in found[:limit]], next_cursor=next_cursor)


@router.get(
    "/imports/{run_id}/problems",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def problems(run_id: Id, caller: Caller, db: Db) -> Response:
    """A CSV file of every contact that was not imported as it stands: its name, why, and what to do."""
    async with db.unit_of_work(caller.org_id) as work:
        run = await _own(work, caller, run_id)
    headers = {"Content-Disposition": f'attachment; filename="import-{run.id}.csv"'}
    return StreamingResponse(problem_rows.lines(db, run), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/imports/{run_id}/start")
async def start_import(run_id: Id, wanted: StartImport, caller: Caller, db: Db) -> Import:
    """Carry out the plan. 409 ``plan_outdated`` when the caller's contacts changed since; a fresh plan is then made."""
    async with db.unit_of_work(caller.org_id) as work:
        run = await _own(work, caller, run_id, lock=True)
        if run.status in {"running", "finished"}:
            return Import.of(run)
        _require_status(run, {"planned"}, "started")
        runs.require_way(await connection_of(work.session, caller.org_id, caller.user_id), run.account)
        if run.asks is not None and not wanted.confirm_removals:
            raise Conflict("confirm_removals", str(run.asks["detail"]))
        with busy():
            current = await runs.require_current(work, run)
        if current:
            runs.start(work, run)
        else:
            await runs.plan_anew(work, run)
    if not current:
        detail = "Your contacts were changed after this preview was made, so nothing was imported. Look at the fresh "
        raise Conflict("plan_outdated", f"{detail}preview, then start the import again.")
    return Import.of(run)


@router.post("/imports/{run_id}/cancel")
async def cancel_import(run_id: Id, caller: Caller, work: Work) -> Import:
    """Stop it after the contacts that it is at. What was imported stays, and can be undone. Again changes nothing."""
    run = await _own(work, caller, run_id, lock=True)
    if run.status not in ENDED:
        _require_status(run, {"reading", "planned", "running"}, "cancelled")
        await runs.finish(work, run, "cancelled")
    return Import.of(run)


@router.post("/imports/{run_id}/undo")
async def undo_import(run_id: Id, caller: Caller, work: Work) -> Import:
    """Put back what it changed, but for what was changed since. Its rows say which is which."""
    run = await _own(work, caller, run_id, lock=True)
    if run.status not in {"undoing", "undone"}:
        _require_status(run, {"finished", "cancelled", "failed"}, "undone")
        run.status, run.problem = "undoing", None
        work.queue(UndoImport(run_id=run.id))
    return Import.of(run)


async def _person(db: Database, caller: Identity) -> Connection:
    async with db.unit_of_work(caller.org_id) as work:
        return await connection_of(work.session, caller.org_id, caller.user_id)


async def _own(work: UnitOfWork, caller: Identity, run_id: str, *, lock: bool = False) -> ImportRun:
    run = await queries.run_of(work.session, caller.org_id, run_id, lock=lock)
    if run is None or run.user_id != caller.user_id:
        raise _not_found()
    return run


def _require_status(run: ImportRun, statuses: set[str], what: str) -> None:
    if run.status not in statuses:
        wait = " Wait until it is read." if run.status == "reading" else ""
        raise Conflict("import_not_ready", f"The import is {run.status}, so it cannot be {what} now.{wait}")


def _not_found() -> NotFound:
    return NotFound("import_not_found", "There is no such import of yours. Open it from your list of imports.")
