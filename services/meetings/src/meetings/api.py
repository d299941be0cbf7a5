"""HTTP in: /v1/meetings."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from meetings import call_events, changing, queries, recording, scheduling, state
from meetings.listing import Asked_
from meetings.models import CallEvents, Meeting, MeetingChange, NewMeeting
from meetings.settings import Settings
from meetings.tables import MeetingRow
from meetings.waiting import settled
from meetings.work import CancelMeeting, RescheduleMeeting, ScheduleMeeting
from shared.connections import Connection, connection_of
from shared.database.outbox import uuid7
from shared.database.unit_of_work import Database, UnitOfWork
from shared.problems import Conflict, NotFound, PreconditionFailed, TooMany
from shared.web.dependencies import Db, Envelope_
from shared.web.idempotency import IdempotencyKey, require_key
from shared.web.identity import Identity
from shared.web.routes import HEADER_MAX, Caller, Id, Page, Work, needs_header, provided, with_header
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1/meetings", tags=["meetings"])


Settings_ = Annotated[Settings, Depends(provided("settings"))]
NEEDS_KEY = needs_header(
    "Idempotency-Key", "A key that you choose for this meeting. Send the same one when you try again."
)
LOCATED = with_header("Location", "Where the meeting is read.")
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=HEADER_MAX, include_in_schema=False), STORABLE]
_TAG = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
MAY_HAVE_TAG = {"parameters": [_TAG | {"description": "The ETag of the meeting as it was read: 412 when it changed."}]}
TAGGED = with_header("ETag", "Of this version of the meeting; send it as If-Match with a change.")


@router.post("", status_code=201, responses={201: LOCATED, 202: {"model": Meeting, **LOCATED}}, openapi_extra=NEEDS_KEY)
async def schedule(
    wanted: NewMeeting,
    caller: Caller,
    db: Db,
    settings: Settings_,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Meeting:
    """201 with the join link, or 202 while Microsoft takes longer; read the meeting again then.

    409 with the code of what Microsoft refused, and ``meeting_id``; where connecting mends it, ``link`` leads there.
    """
    require_key(idempotency_key)
    scheduling.check_times(wanted.start, wanted.end)
    meeting = await booked(db, caller, wanted, idempotency_key, settings)
    response.headers["Location"] = f"/v1/meetings/{meeting.id}"
    if meeting.status == "scheduling":
        response.status_code = 202
    return Meeting.of(meeting)


@router.get("")
async def meetings(caller: Caller, work: Work, envelope: Envelope_, asked: Asked_) -> Page[Meeting]:
    """The caller's own meetings: the one made last first, or by their start, the earliest first.

    Those of others are under ``/v1/meetings/attended``. Meetings of a channel, and meetings that somebody else
    organizes in Outlook or outside the organisation, are not supported.
    """
    person = await person_of(work, caller)
    find = partial(queries.meetings_of, work.session, caller.org_id, caller.user_id, asked.wanted)
    return await asked.page(envelope.ring, caller, "meetings", find, lambda row: Meeting.as_connected(row, person))


@router.get("/{meeting_id}", responses={200: TAGGED})
async def meeting(meeting_id: Id, caller: Caller, work: Work, response: Response) -> Meeting:
    row = await _own(work, caller, meeting_id)
    response.headers["ETag"] = tag(row)
    shown = Meeting.as_connected(row, await person_of(work, caller))
    shown.call_events = CallEvents.model_validate(asdict(await call_events.standing(work, row)))
    return shown


@router.patch("/{meeting_id}", openapi_extra=MAY_HAVE_TAG, responses={200: TAGGED})
async def reschedule(
    meeting_id: Id,
    change: MeetingChange,
    caller: Caller,
    work: Work,
    settings: Settings_,
    response: Response,
    if_match: IfMatch = None,
) -> Meeting:
    """What is given changes; the join link stays. Microsoft is told of what changed and of nothing else.

    What was changed in Outlook meanwhile is kept, and ``problem`` says what was not sent. A request that changes
    nothing does nothing, and several quick ones are one update at Microsoft. ``shared_with_attendees`` is Prospo's
    alone: it may be changed at any time, and acts at once.
    """
    row = await _own(work, caller, meeting_id, lock=True)
    require_tag(row, if_match)
    if change.model_fields_set - {"shared_with_attendees"}:
        await _change_at_microsoft(row, change, caller, work, settings)
    if change.shared_with_attendees not in {None, row.shared_with_attendees}:
        row.shared_with_attendees = not row.shared_with_attendees
        state.changed(row, work.outbox)
    response.headers["ETag"] = tag(row)
    return Meeting.of(row)


async def _change_at_microsoft(
    row: MeetingRow, change: MeetingChange, caller: Identity, work: UnitOfWork, settings: Settings
) -> None:
    _refuse_of_series(row, change)
    scheduling.require_scheduled(row)
    scheduling.require_connection(await person_of(work, caller), row.organizer_oid)
    if apply(row, change):
        state.changed(row, work.outbox)
        scheduling.watch_booked_end(row, work, settings.booked_end_grace_s)
        work.queue(RescheduleMeeting(meeting_id=row.id))
    await choose_recording(work, row, change.auto_recording)


@router.delete("/{meeting_id}", openapi_extra=MAY_HAVE_TAG)
async def cancel(meeting_id: Id, caller: Caller, work: Work, if_match: IfMatch = None) -> Meeting:
    """Cancel it; Microsoft tells the attendees. Cancelling again changes nothing."""
    row = await _own(work, caller, meeting_id, lock=True)
    if row.status == "cancelled":
        return Meeting.of(row)
    require_tag(row, if_match)
    if row.status not in {"scheduling", "scheduled"}:
        raise Conflict("meeting_not_scheduled", f"The meeting is {row.status}; there is nothing left to cancel.")
    booked = row.status == "scheduled"
    if booked:
        scheduling.require_connection(await person_of(work, caller), row.organizer_oid)
    # Who schedules it undoes what was begun, at once if that waits.
    work.queue(CancelMeeting(meeting_id=row.id) if booked else ScheduleMeeting(meeting_id=row.id))
    row.status = "cancelled"
    state.changed(row, work.outbox)
    return Meeting.of(row)


async def booked(db: Database, caller: Identity, wanted: NewMeeting, key: str | None, settings: Settings) -> MeetingRow:
    """The meeting or series as it is once it is booked, or after a while. Raises ``Conflict`` when it failed."""
    async with db.unit_of_work(caller.org_id) as work:
        meeting_id = await _accept(work, caller, wanted, key, settings)
    meeting = await settled(db, caller.org_id, meeting_id, within_s=settings.schedule_wait_s)
    if meeting is None:
        raise _not_found()
    if meeting.status == "failed":
        failed = meeting.problem or {"code": "microsoft_refused", "detail": "Microsoft refused it."}
        raise Conflict(failed["code"], failed["detail"], meeting_id=meeting.id)
    return meeting


async def _refuse_too_many(work: UnitOfWork, caller: Identity, settings: Settings) -> None:
    if await queries.under_way(work.session, caller.org_id, caller.user_id) >= settings.meetings_under_way:
        detail = "So many of your meetings are being scheduled at Microsoft. Try again when some of them are."
        raise TooMany("too_many_under_way", detail, retry_after_s=60)


async def _accept(work: UnitOfWork, caller: Identity, wanted: NewMeeting, key: str | None, settings: Settings) -> str:
    """The meeting this key stands for: made now together with its job, or by an earlier request."""
    meeting_id = uuid7()

    async def make() -> None:
        person = await person_of(work, caller)
        scheduling.require_future(wanted.start, wanted.end)
        scheduling.require_connection(person)
        await _refuse_too_many(work, caller, settings)
        _add(work, caller, person, wanted, meeting_id)

    asked, keep_days = wanted.model_dump(mode="json"), settings.request_keys_keep_days
    return await queries.KEYS.once(work.session, caller, key, asked, make, made=meeting_id, keep_days=keep_days)


def _add(work: UnitOfWork, caller: Identity, person: Connection, wanted: NewMeeting, meeting_id: str) -> None:
    row = MeetingRow(
        org_id=caller.org_id,
        id=meeting_id,
        user_id=caller.user_id,
        organizer_name=person.account.name or caller.name or "",
        organizer_oid=person.account.oid or "",
        subject=wanted.subject,
        body=wanted.body,
        starts_at=wanted.start,
        ends_at=wanted.end,
        zone=wanted.time_zone,
        options=_options({}, wanted),
        recording_wanted=wanted.auto_recording,
        repeats=wanted.rule(),
        attendees=[person.model_dump() for person in wanted.attendees],
    )
    work.session.add(row)
    state.tell(row, work.outbox)
    work.queue(ScheduleMeeting(meeting_id=meeting_id))


async def person_of(work: UnitOfWork, caller: Identity) -> Connection:
    return await connection_of(work.session, caller.org_id, caller.user_id)


async def _own(work: UnitOfWork, caller: Identity, meeting_id: str, *, lock: bool = False) -> MeetingRow:
    row = await queries.meeting(work.session, caller.org_id, meeting_id, lock=lock)
    if row is None or row.user_id != caller.user_id or row.repeats is not None:
        raise _not_found()
    return row


def apply(row: MeetingRow, change: MeetingChange) -> bool:
    """Whether anything changes."""
    start, end = change.start or row.starts_at, change.end or row.ends_at
    scheduling.check_times(start, end)
    scheduling.require_future(None if start == row.starts_at else start, None if end == row.ends_at else end)
    attendees = row.attendees if change.attendees is None else [person.model_dump() for person in change.attendees]
    body = row.body if change.body in {None, row.body or ""} else change.body
    wanted = (change.subject or row.subject, start, end, attendees, body, change.time_zone or row.zone)
    options = _options(row.options, change)
    before = (row.subject, row.starts_at, row.ends_at, row.attendees, row.body, row.zone)
    if (*wanted, options) == (*before, row.options):
        return False
    changing.remember_before_change(row)
    row.subject, row.starts_at, row.ends_at, row.attendees, row.body, row.zone = wanted
    row.options = options
    return True


def _options(before: dict[str, str], wanted: NewMeeting | MeetingChange) -> dict[str, str]:
    given = {"lobby": wanted.lobby, "presenters": wanted.presenters}
    return before | {name: value for name, value in given.items() if value is not None}


async def choose_recording(work: UnitOfWork, row: MeetingRow, chosen: bool | None) -> None:
    """The organizer's choice, which the meeting follows at Microsoft by a job."""
    if chosen is not None and chosen != row.recording_wanted:
        row.recording_wanted = chosen
        state.changed(row, work.outbox)
        recording.queue(work, row.id, soon=True)


def _refuse_of_series(row: MeetingRow, change: MeetingChange) -> None:
    """All occurrences are one meeting in Teams."""
    if row.series_id is not None and {"lobby", "presenters", "auto_recording"} & change.model_fields_set:
        detail = "Lobby, presenters and automatic recording are the same for all of a series: change the series."
        raise Conflict("set_for_series", detail, link=f"/v1/meetings/series/{row.series_id}")


def tag(row: MeetingRow) -> str:
    return f'"{row.version}"'


def require_tag(row: MeetingRow, if_match: str | None) -> None:
    if if_match and if_match != tag(row):
        raise PreconditionFailed("meeting_changed", "The meeting was changed since you read it. Read it again.")


def _not_found() -> NotFound:
    return NotFound("meeting_not_found", "There is no such meeting of yours. Open it from your list of meetings.")
