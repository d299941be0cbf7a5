"""HTTP in: transcripts and the ledger, for the meeting's organizer and for programs of the organisation."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from recording_ingest import absences, moving, placing, queries, reading
from recording_ingest import ledger as ledger_of_meetings
from recording_ingest.models import (
    Assignment,
    Hit,
    Ledger,
    Missing,
    MissingCount,
    MissingOf,
    NewCheck,
    Story,
    TranscriptShown,
    UnassignedShown,
)
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting, UnassignedRow
from shared.connections import connection_of
from shared.database.unit_of_work import UnitOfWork
from shared.problems import BadInput, Conflict, NotFound
from shared.web.attendance import Attendance
from shared.web.audit import note_attended, note_read
from shared.web.dependencies import Db
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import ORG_ADMIN, AdminCaller, Caller, Cursor, Id, Page, Reader, Work, provided
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1", tags=["recordings"])
Settings_ = Annotated[Settings, Depends(provided("settings"))]
Attendance_ = Annotated[Attendance, Depends(provided("attendance"))]
Limit = Annotated[int, Query(ge=1, le=100)]
Words = Annotated[str | None, Query(min_length=1, max_length=200), STORABLE]
FORMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {media: {"schema": {"type": "string"}} for form, media in reading.MEDIA.items() if form != "json"}}
}
_MOST_LINES = 10**9
CHECKS = limited("rechecks", per_hour="rechecks_per_hour")
_MOST_UNASSIGNED = 100


@router.get("/transcripts")
async def search_transcripts(
    caller: Caller, work: Work, q: Words = None, speaker: Words = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[Hit]:
    """Lines of the caller's own transcripts, the newest transcript first.

    ``q`` is words that all occur in a line, "in quotes" one after the other, -not this one, or one or another.
    ``speaker`` is the whole name. Without both, all lines.
    """
    before = _place(cursor) if cursor else None
    values: dict[str, Any] = {"q": q, "speaker": speaker, "before": before, "limit": limit + 1}
    rows = await reading.found(work.session, caller.org_id, caller.user_id, **values)
    hits = [Hit.model_validate(dict(row._mapping)) for row in rows[:limit]]  # noqa: SLF001 - its public name
    more = f"{hits[-1].transcript_id}:{hits[-1].number}" if len(rows) > limit else None
    return Page[Hit](items=hits, next_cursor=more)


@router.get("/transcripts/{transcript_id}", response_model=TranscriptShown, responses=FORMS)
async def transcript(
    transcript_id: Id,
    caller: Reader,
    work: Work,
    db: Db,
    attendance: Attendance_,
    q: Words = None,
    speaker: Words = None,
    cursor: Annotated[int | None, Query(ge=0, le=_MOST_LINES)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    form: Annotated[reading.Form | None, Query(alias="format")] = None,
    accept: Annotated[str | None, Header(max_length=1000)] = None,
) -> Any:
    """What was said. As JSON a page of it, or the lines with certain words or of one speaker; ``Accept`` or ``format``
    asks for the whole as WebVTT or as text. Attendees of the meeting read it too, while its organizer shares it with
    them. Each read by a program is noted in the audit trail, and those of an attendee once an hour.
    """
    form = reading.form_of(accept, form)
    row = await queries.transcript(work.session, caller.org_id, transcript_id)
    own = row is not None and (caller.is_program or row.user_id == caller.user_id)
    if row is None or not (own or await attendance.reads(caller, "transcript", row.id)):
        raise NotFound("transcript_not_found", "There is no such transcript of yours. Open it from your meeting.")
    if own:
        note_read(work.session, caller, "transcript.read", row.id, row.user_id)
    else:
        await note_attended(db, work.session, caller, "transcript.read", row.id, row.user_id)
    about: dict[str, Any] = {"after": cursor or 0, "q": q, "speaker": speaker}
    if form == "json":
        lines = await reading.lines(work.session, caller.org_id, row.id, limit=limit + 1, **about)
        return TranscriptShown.of(row, lines, limit)
    content = reading.whole(db, caller.org_id, row.id, form, **about)
    headers = {"Vary": "Accept", "Content-Disposition": f"inline; filename=transcript.{form}"}
    return StreamingResponse(content, media_type=f"{reading.MEDIA[form]}; charset=utf-8", headers=headers)


def _place(cursor: str) -> tuple[str, int]:
    transcript_id, _, number = cursor.rpartition(":")
    if not (number.isascii() and number.isdigit()) or len(number) > len(str(_MOST_LINES)):
        raise BadInput("unknown_cursor", "There is no such page. Take next_cursor of the page before, or none.")
    return transcript_id, int(number)


@router.get("/ledger/unassigned")
async def unassigned_artefacts(caller: Caller, work: Work) -> list[UnassignedShown]:
    """The caller's recordings and transcripts of which it is not sure which meeting they belong to, oldest first.

    At most 100. None of them is imported before somebody assigns it.
    """
    shown, meetings = [], dict[str, Sequence[LedgerMeeting]]()
    args = (work.session, caller.org_id, caller.user_id)
    found: list[tuple[UnassignedRow | ArtefactRow, str]] = [*await queries.adrift(*args, _MOST_UNASSIGNED)]
    found += [(row, row.online_meeting_id) for row in await queries.unassigned(*args, _MOST_UNASSIGNED)]
    for row, online_id in sorted(found, key=lambda one: (one[0].created_at, one[0].id))[:_MOST_UNASSIGNED]:
        if online_id not in meetings:
            meetings[online_id] = await queries.meetings_online(*args, online_id)
        shown.append(UnassignedShown.of(row, meetings[online_id]))
    return shown


@router.post("/ledger/{meeting_id}/artefacts/{artefact_id}")
async def assign_artefact(
    meeting_id: Id, artefact_id: Id, wanted: Assignment, caller: Caller, work: Work, settings: Settings_
) -> Ledger:
    """What was unassigned belongs to this meeting, with all that was made in the same call; it is imported now."""
    meeting = await queries.meeting(work.session, caller.org_id, meeting_id, lock=True)
    if meeting is None or meeting.user_id != caller.user_id:
        raise _no_meeting()
    row = await queries.unassigned_one(work.session, caller.org_id, artefact_id)
    if row is None and await _assign_adrift(work, caller, meeting, artefact_id, settings):
        return await _ledger_of(work, meeting, settings)
    if row is None or row.user_id != caller.user_id:
        raise NotFound("artefact_not_found", "There is no such unassigned recording of yours. It may be assigned now.")
    if meeting.online_meeting_id != row.online_meeting_id:
        raise _not_a_choice()
    await placing.assign(work, meeting, row)
    return await _ledger_of(work, meeting, settings)


async def _assign_adrift(
    work: UnitOfWork, caller: Identity, meeting: LedgerMeeting, artefact_id: str, settings: Settings
) -> bool:
    """Whether it was the caller's, and had lost its place in a meeting."""
    row = await queries.artefact(work.session, caller.org_id, artefact_id)
    before = await queries.meeting(work.session, caller.org_id, row.meeting_id) if row else None
    if row is None or before is None or row.adrift is None or before.user_id != caller.user_id:
        return False
    if meeting.online_meeting_id != before.online_meeting_id:
        raise _not_a_choice()
    await moving.assign(work, {meeting.meeting_id: meeting}, row, meeting.meeting_id, settings)
    return True


def _not_a_choice() -> Conflict:
    return Conflict("not_a_choice", "It was made behind the join link of another meeting. Choose one of its choices.")


@router.get("/ledger/missing")
async def missing_artefacts(caller: AdminCaller, work: Work, cursor: Cursor = None, limit: Limit = 50) -> Missing:
    """What is missing of the organisation's meetings and why, without their content."""
    counts = await queries.missing_counts(work.session, caller.org_id)
    rows = await queries.missing(work.session, caller.org_id, cursor, limit + 1)
    items = [MissingOf.of(row) for row in rows[:limit]]
    counted = [MissingCount.model_validate(dict(row._mapping)) for row in counts]  # noqa: SLF001 - its public name
    return Missing(counts=counted, items=items, next_cursor=items[-1].meeting_id if len(rows) > limit else None)


@router.get("/ledger/{meeting_id}/story")
async def story_of_meeting(meeting_id: Id, caller: Caller, work: Work) -> Story:
    """Why the record is as it is, step by step, for its organizer and Org Admins: no words, names or addresses."""
    meeting = await queries.meeting(work.session, caller.org_id, meeting_id)
    if meeting is None or not (meeting.user_id == caller.user_id or ORG_ADMIN in caller.roles):
        raise _no_meeting()
    return Story.of(meeting, await queries.steps(work.session, caller.org_id, meeting_id))


@router.post("/ledger/{meeting_id}/check", status_code=202, dependencies=[CHECKS])
async def check_meeting_again(
    meeting_id: Id, wanted: NewCheck, caller: Caller, work: Work, settings: Settings_
) -> Ledger:
    """Look again at Microsoft at once, and import anew what was given up; read the ledger a moment later."""
    meeting = await _readable(work, caller, meeting_id)
    await ledger_of_meetings.check_again(work, [meeting.meeting_id], settings)
    await work.session.refresh(meeting)
    return await _ledger_of(work, meeting, settings)


@router.get("/ledger/{meeting_id}")
async def ledger(meeting_id: Id, caller: Reader, work: Work, settings: Settings_) -> Ledger:
    """What came of a meeting's recording and transcript with their ids, or why nothing did.

    Each read by a program is noted in the audit trail.
    """
    meeting = await _readable(work, caller, meeting_id)
    note_read(work.session, caller, "ledger.read", meeting.meeting_id, meeting.user_id)
    return await _ledger_of(work, meeting, settings)


async def _readable(work: UnitOfWork, caller: Identity, meeting_id: str) -> LedgerMeeting:
    meeting = await queries.meeting(work.session, caller.org_id, meeting_id)
    if meeting is None or meeting.user_id is None or not (caller.is_program or meeting.user_id == caller.user_id):
        raise _no_meeting()
    return meeting


async def _ledger_of(work: UnitOfWork, meeting: LedgerMeeting, settings: Settings) -> Ledger:
    rows = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    found = ledger_of_meetings.obstacle_to(await connection_of(work.session, meeting.org_id, meeting.user_id or ""))
    return Ledger.of(meeting, rows, absences.of_obstacle(found) if found else None, settings)


def _no_meeting() -> NotFound:
    return NotFound("meeting_not_found", "There is no such meeting of yours. Open it from your list of meetings.")
