"""What may happen to an import run, and how it says what keeps it from going on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts import queries, row_queries
from contacts.tables import ImportRun
from contacts.waiting import plan_of
from contacts.work import ReadImport, RunImport, UndoImport
from shared.connections import HEARD_OF, Connection, Obstructed, Switch, connection_of, obstacle_of
from shared.connections.refusing import conflict
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs import Again
from shared.jobs.job import Job, JobWork

SWITCH: Switch = "contacts_import"
ATTEMPTS = 20
PATIENCE_S = 3600
GOING_ON = {"reading": ReadImport, "running": RunImport, "undoing": UndoImport}
"""Status → the job that goes on with it."""
_PLAN_EACH_TIME = text("SET LOCAL plan_cache_mode = force_custom_plan")
_THEN = {
    "reading": "the preview is then finished by itself",
    "running": "the import then goes on by itself",
    "undoing": "the import is then undone by itself",
}
_AWAY = "Microsoft did not answer in time, after several attempts. Nothing was lost; start the import again."


class Stopped(Exception):
    """The run is not to go on: it was cancelled, or it is done."""


def require_way(person: Connection, account: str | None = None) -> None:
    """Raises ``Conflict`` naming what stands between the person and Microsoft, and who mends it."""
    found = person.obstacle(switch=SWITCH, made_by=account)
    if found is not None:
        raise conflict(found)


def begin(
    work: UnitOfWork,
    person: Connection,
    folders: list[dict[str, Any]],
    *,
    share: bool = False,
    by_itself: bool = False,
    run_id: str | None = None,
) -> ImportRun:
    """A run that reads these folders (``id``, ``name``) and then shows its plan."""
    run = ImportRun(
        org_id=work.org_id,
        id=run_id or uuid7(),
        user_id=person.user_id,
        account=person.account.oid or "",
        by_itself=by_itself,
        share=share,
        folders=folders,
        made_at=datetime.now(UTC),
    )
    work.session.add(run)
    work.queue(ReadImport(run_id=run.id), priority="fresh" if by_itself else None)
    return run


async def require_current(work: UnitOfWork, run: ImportRun) -> bool:
    """Whether the plan still fits what it was made of. Locks the books until the transaction ends.

    Raises ``Again`` while another run writes to them.
    """
    users = queries.books_of(run.user_id, share=run.share)
    books = await queries.books(work.session, run.org_id, users, lock=True)
    if any(book.run_id not in {None, run.id} for book in books.values()):
        raise Again("another import writes to the same contacts", after_s=1, counts=False)
    if books[run.user_id].run_id == run.id:
        return True  # it had begun already
    now = books[run.user_id].revision, books[queries.SHARED].revision if run.share else None
    return now == (run.base, run.shared_base)


async def hold(work: UnitOfWork, run: ImportRun) -> None:
    """Nobody else's run writes to the same books until this one is finished. Raises ``Again`` while another does."""
    await require_current(work, run)
    await queries.hold_books(work.session, run.org_id, queries.books_of(run.user_id, share=run.share), run.id)


async def plan_anew(work: UnitOfWork, run: ImportRun) -> None:
    """The plan does not fit any more: a fresh one is made of what was read."""
    await row_queries.plan_anew(work.session, run)
    run.status, run.base, run.shared_base, run.asks = "reading", None, None, None
    work.queue(ReadImport(run_id=run.id))


def start(work: UnitOfWork, run: ImportRun) -> None:
    run.status, run.started_at = "running", datetime.now(UTC)
    work.queue(RunImport(run_id=run.id), priority="fresh" if run.by_itself else None)


async def finish(work: UnitOfWork, run: ImportRun, status: str) -> None:
    """The run writes no more."""
    run.status, run.finished_at, run.problem = status, datetime.now(UTC), None
    await queries.let_go(work.session, run.org_id, run.id)


async def plan_each_time(session: AsyncSession) -> None:
    """What the transaction does with a run's rows is planned for these rows.

    The plan that PostgreSQL would keep for a prepared statement is made for none, while the tables are new, and
    compares each row of a chunk with each.
    """
    await session.execute(_PLAN_EACH_TIME)


async def going_on(work: JobWork, run_id: str, status: str) -> ImportRun:
    """The run, locked, if the job may go on with it. Raises ``Stopped`` or ``Obstructed``."""
    await plan_each_time(work.session)
    run = await queries.locked_run(work.session, work.org_id, run_id)
    if run.status != status:
        raise Stopped
    if status != "undoing":
        person = await connection_of(work.session, run.org_id, run.user_id)
        person.require(switch=SWITCH, made_by=run.account)
    return run


@asynccontextmanager
async def explained(job: Job, run_id: str) -> AsyncIterator[None]:
    """Write what keeps the run from going on into it, for people to read.

    What a connection or a switch mends waits, and ``follow`` goes on with it; anything else that Microsoft refuses
    ends the run, and what it did stays.
    """
    try:
        yield
    except Stopped:
        return
    except (Obstructed, GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        found = obstacle_of(error)
        async with job.unit_of_work() as work:
            work.wake(plan_of(run_id))
            run = await queries.locked_run(work.session, work.org_id, run_id)
            if run.status in GOING_ON and found is not None and found.code in HEARD_OF:
                run.problem = {"code": found.code, "detail": found.sentence(_THEN[run.status])}
            elif run.status in GOING_ON:
                await _fail(work, run, _problem(error))
    except Again as error:
        if not job.fails_with(error):
            raise
        async with job.unit_of_work() as work:
            work.wake(plan_of(run_id))
            run = await queries.locked_run(work.session, work.org_id, run_id)
            if run.status in GOING_ON:
                await _fail(work, run, {"code": "microsoft_unavailable", "detail": _AWAY})


async def _fail(work: JobWork, run: ImportRun, problem: dict[str, str]) -> None:
    await finish(work, run, "failed")
    run.problem = problem


def _problem(error: Obstructed | GraphError) -> dict[str, str]:
    found = obstacle_of(error)
    if isinstance(error, GraphError) and error.code.lower() == "mailboxnotenabledforrestapi":
        detail = "Your Microsoft account has no mailbox in Exchange Online, so there are no contacts to read there."
        return {"code": "no_mailbox", "detail": f"{detail} Ask your Microsoft 365 administrator for one."}
    if found is not None:
        return {"code": found.code, "detail": found.sentence("then start the import again")}
    return {"code": "microsoft_refused", "detail": f"Microsoft refused to show the contacts. It says: {error}"}


async def follow(work: JobWork, person: Connection) -> None:
    """Go on with the runs of a person that a connection or a switch had stopped."""
    for run_id, status in await queries.waiting_runs(work.session, work.org_id, person.user_id):
        run = await queries.locked_run(work.session, work.org_id, run_id)
        if person.obstacle(switch=SWITCH, made_by=run.account) is None:
            run.problem = None
            work.queue(GOING_ON[status](run_id=run_id))
