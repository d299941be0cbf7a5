"""HTTP in: /v1/meetings/series."""

from fastapi import APIRouter, Response

from meetings import api, queries, scheduling, state
from meetings import series as series_of_meetings
from meetings.api import LOCATED, MAY_HAVE_TAG, NEEDS_KEY, TAGGED, IfMatch, Settings_
from meetings.series_models import NewSeries, Series, SeriesChange
from meetings.tables import MeetingRow
from meetings.work import CancelMeeting, RescheduleMeeting, ScheduleMeeting
from shared.database.unit_of_work import UnitOfWork
from shared.problems import Conflict, NotFound
from shared.web.dependencies import Db
from shared.web.idempotency import IdempotencyKey, require_key
from shared.web.identity import Identity
from shared.web.routes import Caller, Id, Work

router = APIRouter(prefix="/v1/meetings/series", tags=["series"])


@router.post("", status_code=201, responses={201: LOCATED, 202: {"model": Series, **LOCATED}}, openapi_extra=NEEDS_KEY)
async def schedule_series(
    wanted: NewSeries,
    caller: Caller,
    db: Db,
    settings: Settings_,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Series:
    """201 with the join link, or 202 while Microsoft takes longer.

    Its occurrences are meetings, listed by ``GET /v1/meetings?series_id=``; they appear when their day is within sixty.
    """
    require_key(idempotency_key)
    scheduling.check_times(wanted.start, wanted.end)
    row = await api.booked(db, caller, wanted, idempotency_key, settings)
    response.headers["Location"] = f"/v1/meetings/series/{row.id}"
    if row.status == "scheduling":
        response.status_code = 202
    return Series.of(row)


@router.get("/{series_id}", responses={200: TAGGED})
async def series(series_id: Id, caller: Caller, work: Work, response: Response) -> Series:
    row = await _own(work, caller, series_id)
    response.headers["ETag"] = api.tag(row)
    return Series.of(row)


@router.patch("/{series_id}", openapi_extra=MAY_HAVE_TAG, responses={200: TAGGED})
async def change_series(
    series_id: Id, change: SeriesChange, caller: Caller, work: Work, response: Response, if_match: IfMatch = None
) -> Series:
    """All occurrences change but for those that were changed alone: attendees get one update for the series.

    ``shared_with_attendees`` is Prospo's alone: it may be changed at any time, and acts at once.
    """
    row = await _own(work, caller, series_id, lock=True)
    api.require_tag(row, if_match)
    if change.shared_with_attendees is not None:
        await series_of_meetings.share(work, row, on=change.shared_with_attendees)
    if change.model_fields_set <= {"shared_with_attendees"}:
        response.headers["ETag"] = api.tag(row)
        return Series.of(row)
    scheduling.require_scheduled(row)
    scheduling.require_connection(await api.person_of(work, caller), row.organizer_oid)
    if api.apply(row, change.as_meeting()):
        state.changed(row, work.outbox)
        work.queue(RescheduleMeeting(meeting_id=row.id))
    await api.choose_recording(work, row, change.auto_recording)
    response.headers["ETag"] = api.tag(row)
    return Series.of(row)


@router.delete("/{series_id}", openapi_extra=MAY_HAVE_TAG)
async def cancel_series(series_id: Id, caller: Caller, work: Work, if_match: IfMatch = None) -> Series:
    """Cancel all occurrences that are not over; attendees get one cancellation."""
    row = await _own(work, caller, series_id, lock=True)
    if row.status == "cancelled":
        return Series.of(row)
    api.require_tag(row, if_match)
    if row.status not in {"scheduling", "scheduled"}:
        raise Conflict("series_not_scheduled", f"The series is {row.status}; there is nothing left to cancel.")
    booked = row.status == "scheduled"
    if booked:
        scheduling.require_connection(await api.person_of(work, caller), row.organizer_oid)
    work.queue(CancelMeeting(meeting_id=row.id) if booked else ScheduleMeeting(meeting_id=row.id))
    row.status = "cancelled"
    state.changed(row, work.outbox)
    return Series.of(row)


async def _own(work: UnitOfWork, caller: Identity, series_id: str, *, lock: bool = False) -> MeetingRow:
    row = await queries.meeting(work.session, caller.org_id, series_id, lock=lock)
    if row is None or row.user_id != caller.user_id or row.repeats is None:
        raise NotFound("series_not_found", "There is no such series of yours. Open it from one of its meetings.")
    return row
