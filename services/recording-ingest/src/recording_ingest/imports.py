"""One artefact's import: taken up under its meeting's lock, and explained in the ledger when it does not go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from recording_ingest import absences, ledger, queries, story
from recording_ingest.absences import Absence
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.transcripts import TakesTooLong
from recording_ingest.uploads import StorageRefused, StorageWaits
from shared.connections import Obstructed, connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphRetry
from shared.jobs import Again, GiveUp, Periodic
from shared.jobs.job import Job

ATTEMPTS = 20


async def begin(job: Job, artefact_id: str, settings: Settings) -> tuple[LedgerMeeting, ArtefactRow] | None:
    """The artefact this job imports, and its meeting; None when it is imported or was held back for too long.

    Whoever takes that up again queues a new job. Raises ``GiveUp`` when there is no such artefact.
    """
    async with job.unit_of_work() as work:
        meeting, row = await locked(work, artefact_id)
        if row.status == "imported" or await _given_up(work, meeting, row, settings):
            return None
        row.status = "importing"
        told = {"kind": row.kind, "artefact_id": row.id, "attempt": job.attempt}
        story.note(work, meeting.meeting_id, "import_begun", **told)
        return meeting, row


async def _given_up(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, settings: Settings) -> bool:
    waited = await queries.now(work.session) - row.tried_since
    if row.status != "paused" or waited.total_seconds() <= settings.import_pause_limit_s:
        return False
    absence = await ledger.absence_of(work, meeting, hold=True)
    if absence is not None:
        await ledger.fail_import(work, meeting, row, absence)
    return absence is not None


async def save(job: Job, meeting: LedgerMeeting, checkpoint: dict[str, Any]) -> None:
    """Keep where the import stands. Raises ``Obstructed`` when it has to stop there."""
    async with job.unit_of_work() as work:
        await work.save_checkpoint(checkpoint)
        person = await connection_of(work.session, meeting.org_id, meeting.user_id or "")
    person.require(switch=ledger.SWITCH, made_by=meeting.organizer_oid)


async def may_go_on(job: Job, meeting: LedgerMeeting) -> None:
    """Raises ``Obstructed``."""
    async with job.reading() as work:
        person = await connection_of(work.session, meeting.org_id, meeting.user_id or "")
    person.require(switch=ledger.SWITCH, made_by=meeting.organizer_oid)


async def locked(work: UnitOfWork, artefact_id: str) -> tuple[LedgerMeeting, ArtefactRow]:
    """The artefact as it is under its meeting's lock, which is always taken first."""
    row = await queries.artefact(work.session, work.org_id, artefact_id)
    while row is not None:
        asked = row.meeting_id
        meeting = await queries.meeting(work.session, work.org_id, asked, lock=True)
        row = await queries.artefact(work.session, work.org_id, artefact_id)
        if meeting is None or row is None:
            break
        if row.meeting_id == asked:  # else it was moved before we had the lock
            return meeting, row
    raise GiveUp(f"The artefact {artefact_id} does not exist.")


@asynccontextmanager
async def explained(job: Job, meeting: LedgerMeeting, row: ArtefactRow, settings: Settings) -> AsyncIterator[None]:
    """Write into the ledger why the import does not go on; it is tried until the artefact's own deadline.

    One that is held back keeps its job and its checkpoint; whoever takes it up again makes the job due.
    """
    try:
        await may_go_on(job, meeting)
        yield
    except Obstructed as error:
        wait_s = settings.artefact_deadline_s if await _pause(job, row.id) else 0
        raise Periodic(error.obstacle.code, after_s=wait_s) from error
    except StorageWaits as waits:
        await _hold(job, row.id, absences.of_storage(waits.reason))
        raise Periodic("the place for files does not work", after_s=waits.after_s) from waits
    except GraphRetry:
        raise
    except GraphError as error:
        absence = absences.of_import(error, datetime.now(UTC) - row.created_at)
        hopeless = isinstance(error, GraphGiveUp) and not isinstance(error, GraphNotFound)
        await _explain(job, row.id, absence, settings, for_good=hopeless, request_id=error.request_id)
        wait_s = settings.reconcile_interval_s
        raise Again(f"{absence.code}: {error}", after_s=wait_s, counts=False) from error
    except TakesTooLong:
        await _explain(job, row.id, absences.UNREADABLE, settings, for_good=True)
    except StorageRefused as refused:
        if job.fails_with(refused):
            await _explain(job, row.id, absences.IMPORT_FAILED, settings, for_good=True)
        raise


async def _pause(job: Job, artefact_id: str) -> bool:
    """False when what held the import back is over again by now."""
    async with job.unit_of_work() as work:
        meeting, row = await locked(work, artefact_id)
        absence = await ledger.absence_of(work, meeting, hold=True)
        if absence is not None and row.status != "imported":
            await ledger.pause(work, meeting, row, absence)
    return absence is not None


async def _hold(job: Job, artefact_id: str, absence: Absence) -> None:
    """The job stays and asks again; nobody else has to take it up."""
    async with job.unit_of_work() as work:
        meeting, row = await locked(work, artefact_id)
        if row.status != "imported":
            await ledger.pause(work, meeting, row, absence)


async def _explain(
    job: Job,
    artefact_id: str,
    absence: Absence,
    settings: Settings,
    *,
    for_good: bool,
    request_id: str | None = None,
) -> None:
    """Raises ``GiveUp`` when there is no more hope."""
    async with job.unit_of_work() as work:
        meeting, row = await locked(work, artefact_id)
        waited = await queries.now(work.session) - row.tried_since
        for_good = for_good or waited.total_seconds() > settings.artefact_deadline_s
        if for_good:
            await ledger.fail_import(work, meeting, row, absence, request_id)
        elif absence.at_once:
            await ledger.explain(work, meeting, row, absence, request_id)
    if for_good:
        raise GiveUp(absence.reason)
