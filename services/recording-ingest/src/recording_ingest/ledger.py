"""The ledger: artefacts of a meeting that are expected, seen, imported, or absent and why. Each change is published."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from recording_ingest import absences, gaps, planning, queries, story
from recording_ingest.absences import Absence, Signs
from recording_ingest.graph import Artefact, Kind, Options
from recording_ingest.planning import OPEN
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.transcripts import Reading
from recording_ingest.transfers import Stored
from recording_ingest.work import ImportArtefact, ImportTranscript, TransferRecording
from shared.connections import Connection, Obstacle, Switch, connection_of
from shared.database.outbox import made_at
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
UNFINISHED = {*OPEN, "paused"}
_SPEAKERS_TOLD = 100


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
        ids = await catch_up(work, work.org_id, person, settings)
        await gaps.end(work, person, ids)
    else:
        await gaps.begin(work, person, found.code)
        await hold_back(work, work.org_id, person.user_id, absences.of_obstacle(found), settings)


async def catch_up(work: UnitOfWork, org_id: str, person: Connection, settings: Settings) -> Sequence[str]:
    """Nothing keeps us from the person's account any more: look for what we have missed, and import what waits.

    The meetings that are looked at again.
    """
    ended_after = await queries.now(work.session) - timedelta(seconds=settings.artefact_deadline_s)
    ids = await queries.meetings_to_catch_up(work.session, org_id, person.user_id, ended_after)
    await _make_imports_due(work, org_id, person, ids)
    for meeting in await queries.locked(work.session, org_id, ids):
        await planning.plan(work, meeting, settings, at_once=True)
        rows = await queries.artefacts(work.session, org_id, meeting.meeting_id)
        found = obstacle_to(person, meeting)
        if found is None:
            await _take_up(work, meeting, rows)
        else:
            await _pause_all(work, meeting, rows, absences.of_obstacle(found))
    return ids


async def _make_imports_due(work: UnitOfWork, org_id: str, person: Connection, ids: Sequence[str]) -> None:
    """An import locks its job first and then its meeting; so it is here."""
    for kind, artefact_id in await queries.waiting_imports(work.session, org_id, ids, person.account.oid):
        queue_import(work, kind, artefact_id)
    await work.write_jobs()


async def check_again(work: UnitOfWork, ids: Sequence[str], settings: Settings) -> None:
    """Look at once, and import anew what was given up: something was mended, or a person asks.

    What still cannot be had is explained again.
    """
    for kind, artefact_id in await queries.failed_imports(work.session, work.org_id, ids):
        queue_import(work, kind, artefact_id)
    await work.write_jobs()
    for meeting in await queries.locked(work.session, work.org_id, ids):
        await planning.plan(work, meeting, settings, at_once=True)
        if await absence_of(work, meeting) is None:
            rows = await queries.artefacts(work.session, work.org_id, meeting.meeting_id)
            await _take_up(work, meeting, rows, failed=True)


async def _take_up(
    work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], *, failed: bool = False
) -> None:
    """Resume paused imports, with ``failed`` the failed ones too; their jobs are due."""
    told: list[ArtefactRow] = []
    for row in rows:
        if row.status in UNFINISHED or row.code in absences.PAUSING or (failed and row.status == "unavailable"):
            if row.status not in OPEN:
                row.resumed_at = await queries.now(work.session)
                told.append(row)
            row.status, row.code, row.reason = "detected", None, None
    _await_again(work, meeting, rows, told)


def _await_again(
    work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], resumed: Sequence[ArtefactRow]
) -> None:
    """Take back that it would not arrive, where only what is over now kept it away."""
    taken_up = {row.id for row in resumed}
    lifted = [
        kind
        for kind, told in meeting.absences.items()
        if told["code"] in absences.PAUSING or told.get("artefact_id") in taken_up
    ]
    meeting.absences = {kind: told for kind, told in meeting.absences.items() if kind not in lifted}
    expected = [row for row in rows if row in resumed or (row.kind in lifted and row.status in OPEN)]
    for row in expected:
        _awaited(work, meeting, row.kind, row.id)
    for kind in lifted:
        if not any(row.kind == kind for row in expected):
            _awaited(work, meeting, kind, None)


def expect_anew(work: UnitOfWork, meeting: LedgerMeeting) -> None:
    """Expect artefacts again for a meeting that was moved to another time; its absences are dropped."""
    lifted = [
        kind
        for kind, told in meeting.absences.items()
        if told.get("artefact_id") is None and told["code"] not in absences.PAUSING
    ]
    meeting.absences = {kind: told for kind, told in meeting.absences.items() if kind not in lifted}
    for kind in lifted:
        _awaited(work, meeting, kind, None)


def _awaited(work: UnitOfWork, meeting: LedgerMeeting, kind: str, artefact_id: str | None) -> None:
    meeting.version += 1
    story.note(work, meeting.meeting_id, "expected_again", kind=kind, artefact_id=artefact_id)
    about = {"org_id": meeting.org_id, "meeting_id": meeting.meeting_id, "aggregate_version": meeting.version}
    about |= {"kind": kind, "detected": artefact_id is not None, "artefact_id": artefact_id}
    work.outbox.add(ArtefactAwaited.model_validate(about))


async def hold_back(work: UnitOfWork, org_id: str, user_id: str, absence: Absence, settings: Settings) -> None:
    """Nothing of this person's meetings is imported for now; what is under way sees it at its next chunk."""
    ended_after = await queries.now(work.session) - timedelta(seconds=settings.artefact_deadline_s)
    for meeting in await queries.meetings_to_pause(work.session, org_id, user_id, ended_after):
        await _pause_all(work, meeting, await queries.artefacts(work.session, org_id, meeting.meeting_id), absence)
        await planning.plan(work, meeting, settings, at_once=True)


async def _pause_all(work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], absence: Absence) -> None:
    for row in rows:
        if row.status in UNFINISHED:
            await pause(work, meeting, row, absence)


async def pause(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence) -> None:
    """The import stays where it stands until it is taken up again."""
    await explain(work, meeting, row, absence)
    row.status, row.code, row.reason = "paused", absence.code, absence.reason


def queue_import(work: UnitOfWork, kind: str, artefact_id: str, because: str | None = None) -> None:
    work.queue(IMPORTS[kind](artefact_id=artefact_id), because=because)


async def detect(
    work: UnitOfWork, meeting: LedgerMeeting, found: Artefact, artefact_id: str, *, by_person: bool = False
) -> bool:
    """Microsoft has it: note it, say so and queue its import. Whether this is the first time."""
    if not await queries.add_artefact(work.session, meeting, artefact_id, found, by_person=by_person):
        return False
    queue_import(work, found.kind, artefact_id, because=tell_detected(work, meeting, found, artefact_id))
    return True


def tell_detected(work: UnitOfWork, meeting: LedgerMeeting, found: Artefact | ArtefactRow, artefact_id: str) -> str:
    """The id of the event."""
    meeting.version += 1
    return work.outbox.add(
        ArtefactDetected.model_validate(
            {
                "org_id": meeting.org_id,
                "aggregate_version": meeting.version,
                "meeting_id": meeting.meeting_id,
                "artefact_id": artefact_id,
                "kind": found.kind,
                "created_at": found.created_at,
                "ended_at": found.ended_at,
                "call_id": found.call_id,
                "pair_id": found.content_correlation_id,
            }
        )
    )


def conclude(
    work: UnitOfWork,
    meeting: LedgerMeeting,
    artefacts: Sequence[ArtefactRow],
    looked: Mapping[Kind, Absence | None],
    now: datetime,
    settings: Settings,
    options: Options | None,
) -> None:
    """Say what is absent: at the deadline, or at once where it is known for sure and somebody waits for it."""
    by = planning.expected_by(meeting, settings)
    if by is None or (meeting.status == "cancelled" and not artefacts):
        return
    ended = now >= by - timedelta(seconds=settings.artefact_deadline_s)
    for kind, known in looked.items():
        waited_for = meeting.auto_recording and (known is None or known.code not in absences.PAUSING)
        if any(row.kind == kind for row in artefacts):
            continue
        if now >= by:
            missing = absences.missing(kind, _signs(meeting, artefacts, options))
            declare_absent(work, meeting, kind, known or missing)
        elif known is not None and known.at_once and (waited_for or ended or artefacts):
            declare_absent(work, meeting, kind, known)


def _signs(meeting: LedgerMeeting, artefacts: Sequence[ArtefactRow], options: Options | None) -> Signs:
    made = made_at(meeting.meeting_id)
    return Signs(
        automatic=meeting.auto_recording,
        refused=meeting.auto_recording_code == "refused",
        other_kind=bool(artefacts),
        call=meeting.call,
        late=made is not None and meeting.starts_at is not None and made >= meeting.starts_at,
        options=options,
    )


def declare_absent(work: UnitOfWork, meeting: LedgerMeeting, kind: str, absence: Absence) -> None:
    """No artefact of this kind will arrive; the same reason is told once."""
    if meeting.absences.get(kind, {}).get("code") == absence.code:
        return
    meeting.absences = {**meeting.absences, kind: {"code": absence.code, "reason": absence.reason}}
    _tell_absent(work, meeting, kind, absence, None)


def _tell_absent(
    work: UnitOfWork,
    meeting: LedgerMeeting,
    kind: str,
    absence: Absence,
    artefact_id: str | None,
    request_id: str | None = None,
) -> None:
    meeting.version += 1
    about = {"kind": kind, "code": absence.code, "artefact_id": artefact_id, "microsoft_request_id": request_id}
    story.note(work, meeting.meeting_id, "unavailable", **about)
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


async def fail_import(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence, request_id: str | None = None
) -> None:
    """This artefact will not arrive. ``request_id`` is of Microsoft's refusal."""
    await explain(work, meeting, row, absence, request_id)
    row.status, row.code, row.reason = "unavailable", absence.code, absence.reason


async def explain(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, absence: Absence, request_id: str | None = None
) -> None:
    """Say why this artefact is not here; once for the same reason.

    The meeting has none of its kind for that reason when no other has arrived.
    """
    if row.adrift is not None:
        return
    told = meeting.absences.get(row.kind, {})
    siblings = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    arrived = any(other.kind == row.kind and other.status == "imported" for other in siblings)
    said_before = row.code == absence.code or (told.get("code"), told.get("artefact_id")) == (absence.code, row.id)
    if not arrived:
        why = {"code": absence.code, "reason": absence.reason, "artefact_id": row.id}
        meeting.absences = {**meeting.absences, row.kind: why}
    if not said_before:
        _tell_absent(work, meeting, row.kind, absence, row.id, request_id)


def recording_imported(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, stored: Stored, request_id: str
) -> None:
    """The whole recording is stored."""
    row.file_id, row.size_bytes, row.location = stored.file_id, stored.size_bytes, stored.place
    _imported(work, meeting, row, request_id, size_bytes=stored.size_bytes, file_id=stored.file_id)
    if row.adrift is None:
        tell_recording(work, meeting, row)


def tell_recording(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow) -> None:
    """Publish that the meeting has the recording, under a new version."""
    meeting.version += 1
    work.outbox.add(
        RecordingImported(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.meeting_id,
            artefact_id=row.id,
            file_id=row.file_id or "",
            size_bytes=row.size_bytes or 0,
            content_type=CONTENT_TYPE,
            location=row.location or "",
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
    )


def transcript_imported(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, said: Reading, request_id: str
) -> None:
    """The transcript is readable; this takes back that it would not arrive."""
    _imported(work, meeting, row, request_id, line_count=said.count)
    if row.adrift is None:
        tell_transcript(work, meeting, row, said.speakers, said.count)


def tell_transcript(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, speakers: Sequence[str], line_count: int
) -> None:
    """The same of a transcript."""
    meeting.version += 1
    work.outbox.add(
        TranscriptImported(
            org_id=meeting.org_id,
            aggregate_version=meeting.version,
            meeting_id=meeting.meeting_id,
            artefact_id=row.id,
            speakers=list(speakers[:_SPEAKERS_TOLD]),
            line_count=line_count,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
    )


def _imported(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, request_id: str, **found: Any) -> None:
    about = {"kind": row.kind, "artefact_id": row.id, "microsoft_request_id": request_id}
    story.note(work, meeting.meeting_id, "imported", **about, **found)
    row.status, row.code, row.reason = "imported", None, None
    meeting.absences = {kind: told for kind, told in meeting.absences.items() if kind != row.kind}
