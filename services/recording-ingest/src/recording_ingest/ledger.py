"""What is expected of a meeting, seen, imported, or absent and why. Every change here is told once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from recording_ingest import absences, queries
from recording_ingest.absences import Absence
from recording_ingest.graph import KINDS, Artefact, Kind
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.transcripts import Transcript
from recording_ingest.transfers import Stored
from recording_ingest.work import ImportArtefact, ImportTranscript, Reconcile, TransferRecording
from shared.connections import Connection, Obstacle, Switch, connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
    TranscriptUnavailable,
)

IMPORTS: dict[str, type[ImportArtefact]] = {"recording": TransferRecording, "transcript": ImportTranscript}
SWITCH: Switch = "auto_recording"
CONTENT_TYPE = "video/mp4"
OPEN = {"detected", "importing"}
UNFINISHED = {*OPEN, "paused"}
_SPEAKERS_TOLD = 100


def expected_by(meeting: LedgerMeeting, settings: Settings) -> datetime | None:
    """Until when artefacts are waited for; None while the meeting's times are not known."""
    ends = [moment for moment in (meeting.ends_at, meeting.ended_at) if moment is not None]
    return max(ends) + timedelta(seconds=settings.artefact_deadline_s) if ends else None


def next_look(
    meeting: LedgerMeeting, artefacts: Sequence[ArtefactRow], now: datetime, settings: Settings
) -> datetime | None:
    """When to compare with Microsoft's list again; None when nothing more can come of the meeting."""
    by = expected_by(meeting, settings)
    interval = timedelta(seconds=settings.reconcile_interval_s)
    if by is None or not _in_question(meeting, artefacts):
        return None
    if now >= by:
        return now + interval if any(row.status in OPEN for row in artefacts) else None
    if {row.kind for row in artefacts if row.status == "imported"} == set(KINDS):
        return by  # a second recording of people who met again is found by the last look
    end = by - timedelta(seconds=settings.artefact_deadline_s)
    if now < end:
        return min(now + timedelta(seconds=settings.reconcile_early_interval_s), end + interval)
    return min(now + interval, by)


def _in_question(meeting: LedgerMeeting, artefacts: Sequence[ArtefactRow]) -> bool:
    """Whether Microsoft can be asked, and something may come of a meeting that was not cancelled before it began."""
    known = meeting.user_id is not None and meeting.online_meeting_id is not None
    return known and (meeting.status != "cancelled" or bool(artefacts))


async def plan(work: UnitOfWork, meeting: LedgerMeeting, settings: Settings, *, at_once: bool = False) -> None:
    """Reconcile the meeting anew, once at least: we may hear of it long after its deadline.

    The revision makes the job of an earlier plan end, even one that runs just now.
    """
    meeting.revision += 1
    now = await queries.now(work.session)
    artefacts = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    if meeting.ends_at is not None and _in_question(meeting, artefacts):
        run_at = next_look(meeting, artefacts, now, settings) or now
        wanted = Reconcile(meeting_id=meeting.meeting_id, revision=meeting.revision)
        work.queue(wanted, run_at=now if at_once else run_at)


def obstacle_to(person: Connection, meeting: LedgerMeeting | None = None) -> Obstacle | None:
    """Why nothing is asked for this person, or of this meeting of theirs; asked before each call and at every chunk."""
    return person.obstacle(switch=SWITCH, made_by=meeting.organizer_oid if meeting else None)


async def absence_of(work: UnitOfWork, meeting: LedgerMeeting, *, hold: bool = False) -> Absence | None:
    """Why nothing is asked of Microsoft for this meeting now, or None."""
    person = await connection_of(work.session, meeting.org_id, meeting.user_id or "", hold=hold)
    found = obstacle_to(person, meeting)
    return absences.of_obstacle(found) if found else None


async def follow(work: UnitOfWork, person: Connection, settings: Settings) -> None:
    """A person's imports go on or are held back, as connection and switch say by now."""
    found = obstacle_to(person)
    if found is None:
        await catch_up(work, work.org_id, person, settings)
    else:
        await hold_back(work, work.org_id, person.user_id, absences.of_obstacle(found), settings)


async def catch_up(work: UnitOfWork, org_id: str, person: Connection, settings: Settings) -> None:
    """Nothing keeps us from the person's account any more: look for what we have missed, and import what waits."""
    ended_after = await queries.now(work.session) - timedelta(seconds=settings.artefact_deadline_s)
    ids = await queries.meetings_to_catch_up(work.session, org_id, person.user_id, ended_after)
    await _make_imports_due(work, org_id, person, ids)
    for meeting in await queries.locked(work.session, org_id, ids):
        await plan(work, meeting, settings, at_once=True)
        rows = await queries.artefacts(work.session, org_id, meeting.meeting_id)
        found = obstacle_to(person, meeting)
        if found is None:
            await _take_up(work, meeting, rows)
        else:
            await _pause_all(work, meeting, rows, absences.of_obstacle(found))


async def _make_imports_due(work: UnitOfWork, org_id: str, person: Connection, ids: Sequence[str]) -> None:
    """An import locks its job first and then its meeting; so it is here."""
    for kind, artefact_id in await queries.waiting_imports(work.session, org_id, ids, person.account.oid):
        queue_import(work, kind, artefact_id)
    await work.write_jobs()


async def _take_up(work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow]) -> None:
    """What waits goes on; its jobs are due."""
    told: list[ArtefactRow] = []
    for row in rows:
        if row.status in UNFINISHED or row.code in absences.PAUSING:
            if row.status not in OPEN:
                row.resumed_at = await queries.now(work.session)
                told.append(row)
            row.status, row.code, row.reason = "detected", None, None
    _await_again(work, meeting, rows, told)


def _await_again(
    work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], resumed: Sequence[ArtefactRow]
) -> None:
    """Take back that it would not arrive, where only what is over now kept it away."""
    lifted = [kind for kind, told in meeting.absences.items() if told["code"] in absences.PAUSING]
    meeting.absences = {kind: told for kind, told in meeting.absences.items() if kind not in lifted}
    expected = [row for row in rows if row in resumed or (row.kind in lifted and row.status in OPEN)]
    for row in expected:
        _awaited(work, meeting, row.kind, row.id)
    for kind in lifted:
        if not any(row.kind == kind for row in expected):
            _awaited(work, meeting, kind, None)


def _awaited(work: UnitOfWork, meeting: LedgerMeeting, kind: str, artefact_id: str | None) -> None:
    meeting.version += 1
    about = {"org_id": meeting.org_id, "meeting_id": meeting.meeting_id, "aggregate_version": meeting.version}
    about |= {"kind": kind, "detected": artefact_id is not None, "artefact_id": artefact_id}
    work.outbox.add(ArtefactAwaited.model_validate(about))


async def hold_back(work: UnitOfWork, org_id: str, user_id: str, absence: Absence, settings: Settings) -> None:
    """Nothing of this person's meetings is imported for now; what is under way sees it at its next chunk."""
    ended_after = await queries.now(work.session) - timedelta(seconds=settings.artefact_deadline_s)
    for meeting in await queries.meetings_to_pause(work.session, org_id, user_id, ended_after):
        await _pause_all(work, meeting, await queries.artefacts(work.session, org_id, meeting.meeting_id), absence)
        await plan(work, meeting, settings, at_once=True)


async def _pause_all(work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], absence: Absence) -> None:
    for row in rows:
        if row.status in UNFINISHED:
            await pause(work, meeting, row, absence)


async def pause(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence) -> None:
    """The import stays where it stands until it is taken up again."""
    await _stop(work, meeting, row, absence, "paused")


def queue_import(work: UnitOfWork, kind: str, artefact_id: str, because: str | None = None) -> None:
    work.queue(IMPORTS[kind](artefact_id=artefact_id), because=because)


async def detect(work: UnitOfWork, meeting: LedgerMeeting, found: Artefact, artefact_id: str) -> bool:
    """Microsoft has it: note it, say so and queue its import. Whether this is the first time."""
    if not await queries.add_artefact(work.session, meeting, artefact_id, found):
        return False
    meeting.version += 1
    told = work.outbox.add(
        ArtefactDetected(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.meeting_id,
            artefact_id=artefact_id,
            kind=found.kind,
            created_at=found.created_at,
            ended_at=found.ended_at,
            call_id=found.call_id,
            pair_id=found.content_correlation_id,
        )
    )
    queue_import(work, found.kind, artefact_id, because=told)
    return True


def conclude(
    work: UnitOfWork,
    meeting: LedgerMeeting,
    artefacts: Sequence[ArtefactRow],
    looked: Mapping[Kind, Absence | None],
    now: datetime,
    settings: Settings,
) -> None:
    """Say what is absent: at the deadline, or at once where it is known for sure and somebody waits for it."""
    by = expected_by(meeting, settings)
    if by is None or (meeting.status == "cancelled" and not artefacts):
        return
    ended = now >= by - timedelta(seconds=settings.artefact_deadline_s)
    for kind, known in looked.items():
        waited_for = meeting.auto_recording and (known is None or known.code not in absences.PAUSING)
        if any(row.kind == kind for row in artefacts):
            continue
        if now >= by:
            recorded = meeting.auto_recording or bool(artefacts)
            refused = meeting.auto_recording_code == "refused"
            missing = absences.missing(kind, recorded=recorded, refused=refused)
            declare_absent(work, meeting, kind, known or missing)
        elif known is not None and known.at_once and (waited_for or ended or artefacts):
            declare_absent(work, meeting, kind, known)


def declare_absent(work: UnitOfWork, meeting: LedgerMeeting, kind: str, absence: Absence) -> None:
    """No artefact of this kind will arrive; the same reason is told once."""
    if meeting.absences.get(kind, {}).get("code") == absence.code:
        return
    meeting.absences = {**meeting.absences, kind: {"code": absence.code, "reason": absence.reason}}
    _tell_absent(work, meeting, kind, absence, None)


def _tell_absent(
    work: UnitOfWork, meeting: LedgerMeeting, kind: str, absence: Absence, artefact_id: str | None
) -> None:
    meeting.version += 1
    told = {
        "org_id": meeting.org_id,
        "aggregate_version": meeting.version,
        "meeting_id": meeting.meeting_id,
        "code": absence.code,
        "reason": absence.reason,
        "artefact_id": artefact_id,
    }
    if kind == "recording":
        work.outbox.add(RecordingUnavailable.model_validate(told))
    else:
        work.outbox.add(TranscriptUnavailable.model_validate(told))


async def fail_import(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence) -> None:
    """This artefact will not arrive."""
    await _stop(work, meeting, row, absence, "unavailable")


async def explain(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence) -> None:
    """Say why this artefact is not here; once for the same reason.

    The meeting has none of its kind for that reason when no other has arrived.
    """
    told = meeting.absences.get(row.kind, {})
    siblings = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    arrived = any(other.kind == row.kind and other.status == "imported" for other in siblings)
    said_before = row.code == absence.code or (told.get("code"), told.get("artefact_id")) == (absence.code, row.id)
    if not arrived:
        why = {"code": absence.code, "reason": absence.reason, "artefact_id": row.id}
        meeting.absences = {**meeting.absences, row.kind: why}
    if not said_before:
        _tell_absent(work, meeting, row.kind, absence, row.id)


async def _stop(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence, status: str) -> None:
    await explain(work, meeting, row, absence)
    row.status, row.code, row.reason = status, absence.code, absence.reason


def recording_imported(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, stored: Stored) -> None:
    """The whole recording is stored."""
    row.file_id, row.size_bytes = stored.file_id, stored.size_bytes
    _imported(meeting, row)
    work.outbox.add(
        RecordingImported(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.meeting_id,
            artefact_id=row.id,
            file_id=stored.file_id,
            size_bytes=stored.size_bytes,
            content_type=CONTENT_TYPE,
            location=stored.place,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
    )


def transcript_imported(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, said: Transcript) -> None:
    """The transcript is readable; this takes back that it would not arrive."""
    _imported(meeting, row)
    work.outbox.add(
        TranscriptImported(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.meeting_id,
            artefact_id=row.id,
            speakers=said.speakers[:_SPEAKERS_TOLD],
            line_count=len(said.lines),
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
    )


def _imported(meeting: LedgerMeeting, row: ArtefactRow) -> None:
    row.status, row.code, row.reason = "imported", None, None
    meeting.absences = {kind: told for kind, told in meeting.absences.items() if kind != row.kind}
    meeting.version += 1
