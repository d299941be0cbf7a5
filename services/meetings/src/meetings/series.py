"""A series and its occurrences: each occurrence is a meeting, found in Graph's instances of the next sixty days.

The row that repeats stands for the series: it is booked, changed and cancelled like a meeting, and tells no events. The
instances are the truth about occurrences: one that is new becomes a meeting, one that differs is taken over, and one
that is missing is read by its id and is cancelled when Graph does not know it. So a round costs as many occurrences as
the window has, and at most ``MOST``.
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from meetings import calls, changing, options, queries, scheduling, state
from meetings import graph as teams
from meetings.graph import Instance, Shown
from meetings.settings import Settings
from meetings.tables import CANCELLED_IN_OUTLOOK, MeetingRow
from meetings.work import RefreshSeries, RescheduleMeeting
from shared.database.unit_of_work import UnitOfWork
from shared.events.meetings import Origin
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound
from shared.jobs.job import Job, JobWork

PAST, AHEAD = timedelta(days=7), timedelta(days=60)
MOST = 200
"""Occurrences in one round; a week and sixty days of a daily series are 68."""
_FAR = timedelta(days=5 * 366)


def meeting_id_of(series_id: str, original_start: datetime) -> str:
    """The id of an occurrence, the same whoever finds it first: a UUID of version 8 with the time of the series' own.

    So a list by the time of making has occurrences where their series was made.
    """
    named = f"{series_id} {original_start.astimezone(UTC).isoformat(timespec='seconds')}"
    made_at, rest = series_id.replace("-", "")[:12], hashlib.sha256(named.encode()).hexdigest()
    return str(uuid.UUID(f"{made_at}8{rest[:3]}8{rest[3:6]}{rest[6:18]}"))


async def refresh(job: Job, caller: GraphCaller, series: MeetingRow, origin: Origin, settings: Settings) -> None:
    """Bring the series and its occurrences to what Outlook has."""
    try:
        shown: Shown | None = await teams.read(caller, series.event_id or "")
    except GraphNotFound:
        shown = None
    if shown is None or shown.cancelled:
        async with job.unit_of_work() as work:
            await cancel(work, await queries.locked(work.session, work.org_id, series.id), "outlook")
        return
    now = datetime.now(UTC)
    window = now - PAST, now + AHEAD
    found = await teams.instances(caller, series.event_id or "", window, MOST)
    there = await options.read(caller, series)
    more = bool(found and found[-1].ends > now) or await _has_more(caller, series, now)
    async with job.unit_of_work() as work:
        row = await queries.locked(work.session, work.org_id, series.id)
        if row.status == "cancelled" and not changing.may_return(row):
            return
        _take(row, series, shown, work)
        if not changing.pending(row):
            await _take_options(row, series, there, work)
        known = await queries.occurrences(work.session, work.org_id, row.id, window)
        _bring(work, row, known, found, origin, settings)
        if row.status in {"scheduled", "ended"} and not changing.pending(row):
            row.status = "scheduled" if more else "ended"  # its last one may be moved after it was over


async def _has_more(caller: GraphCaller, series: MeetingRow, now: datetime) -> bool:
    return bool(await teams.instances(caller, series.event_id or "", (now, now + _FAR), 1))


def _take(row: MeetingRow, asked: MeetingRow, shown: Shown, work: UnitOfWork) -> None:
    """Take over changes that Outlook made to the series itself. A pending change of ours has its own job."""
    if not changing.pending(row):
        changing.keep(row, asked, changing.read(asked, shown), work.outbox)
        row.repeats = shown.repeats or row.repeats


async def _take_options(row: MeetingRow, asked: MeetingRow, there: dict[str, str], work: JobWork) -> None:
    """All of a series are one online meeting."""
    options.take(row, asked, there, work.outbox)
    for one in await queries.occurrences_ahead(work.session, work.org_id, row.id):
        if one.options != row.options:
            options.adopt(one, row.options, work.outbox)


def _bring(
    work: JobWork,
    series: MeetingRow,
    known: list[MeetingRow],
    found: list[Instance],
    origin: Origin,
    settings: Settings,
) -> None:
    pairs, left = _matched(series, known, found)
    for instance, row in pairs:
        if row is None:
            _add(work, series, instance, settings)
            continue
        row.event_id = instance.event_id
        if changing.pending(row):
            continue
        moved = (instance.starts, instance.ends) != (row.starts_at, row.ends_at)
        if row.status == "ended" and moved:  # it was said to have taken place when it was booked
            scheduling.take_end_back(row)
        if row.status not in {"scheduled", "cancelled"}:
            continue
        if row.status == "cancelled" and not changing.may_return(row):
            continue
        asked = MeetingRow(**row.model_dump())
        changing.keep(row, asked, changing.read(asked, instance.shown), work.outbox, origin)
        if moved:
            calls.tell_end(row, work.outbox)
            scheduling.watch_booked_end(row, work, settings.booked_end_grace_s)
    for row in left:  # not among the instances: cancelled, or moved out of the window
        if row.status == "scheduled":
            work.queue(RescheduleMeeting(meeting_id=row.id), priority="fresh")


def _matched(
    series: MeetingRow, known: list[MeetingRow], found: list[Instance]
) -> tuple[list[tuple[Instance, MeetingRow | None]], list[MeetingRow]]:
    """Each instance with its meeting, None when it is new; and the meetings that are not among the instances.

    Known by the event, else by the start that the series has for it, else by the day of that start, as the zone of each
    has it: when the time or the zone of a series is changed, nobody says that Microsoft's ids stay.
    """
    rows: dict[str, MeetingRow] = {}
    left = {row.id: row for row in known}

    def take(name: Callable[[Instance], object], names: dict[Any, str]) -> None:
        for instance in found:
            row = left.get(names.get(name(instance), ""))
            if instance.event_id not in rows and row is not None:
                rows[instance.event_id] = left.pop(row.id)

    take(lambda one: one.event_id, {row.event_id: row.id for row in known})
    take(lambda one: meeting_id_of(series.id, one.original_start), {row.id: row.id for row in known})
    days = {_day(row.original_start, row.zone): row.id for row in left.values() if row.original_start}
    take(lambda one: _day(one.original_start, series.zone), days)
    return [(instance, rows.get(instance.event_id)) for instance in found], list(left.values())


def _day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()


def _add(work: JobWork, series: MeetingRow, instance: Instance, settings: Settings) -> None:
    row = MeetingRow(
        org_id=series.org_id,
        id=meeting_id_of(series.id, instance.original_start),
        user_id=series.user_id,
        organizer_name=series.organizer_name,
        organizer_oid=series.organizer_oid,
        subject=series.subject,
        body=series.body,
        starts_at=instance.starts,
        ends_at=instance.ends,
        zone=series.zone,
        options=series.options,
        attendees=series.attendees,
        join_url=series.join_url,
        online_meeting_id=series.online_meeting_id,
        event_id=instance.event_id,
        series_id=series.id,
        original_start=instance.original_start,
        recording_wanted=series.recording_wanted,
        auto_recording=series.auto_recording,
        auto_recording_reason=series.auto_recording_reason,
        responses=instance.shown.responses,
        shared_with_attendees=series.shared_with_attendees,
    )
    shown = changing.noticed(row, instance.shown)
    teams.take(row, shown, shown.parts.keys())
    changing.remember(row, shown, teams.parts_of(row))
    work.session.add(row)
    scheduling.scheduled(row, work.outbox)
    scheduling.watch_booked_end(row, work, settings.booked_end_grace_s)


async def cancel(work: JobWork, series: MeetingRow, origin: Origin) -> None:
    """The series is cancelled: so is every occurrence that is not over."""
    if origin == "outlook" and series.status != "cancelled":
        changing.gone(series, work.outbox)
    for row in await queries.occurrences_ahead(work.session, work.org_id, series.id):
        row.status = "cancelled"
        if origin == "outlook":
            row.problem = {"code": CANCELLED_IN_OUTLOOK, "detail": "The series was cancelled in Outlook."}
        state.changed(row, work.outbox)
        scheduling.cancelled(row, work.outbox, origin)


async def share(work: UnitOfWork, series: MeetingRow, *, on: bool) -> None:
    """Every meeting of the series, and each that comes."""
    for row in (series, *await queries.occurrences(work.session, work.org_id, series.id, lock=True)):
        if row.shared_with_attendees != on:
            row.shared_with_attendees = on
            state.changed(row, work.outbox)


def soon(work: UnitOfWork, series_id: str, origin: Origin = "outlook") -> None:
    """Have the occurrences looked at."""
    work.queue(RefreshSeries(series_id=series_id, origin=origin))


async def record_like(work: JobWork, series: MeetingRow, problem: dict[str, Any] | None) -> None:
    """All of a series are one online meeting: what was set for it holds for every occurrence that is not over."""
    for row in await queries.occurrences_ahead(work.session, work.org_id, series.id):
        row.recording_wanted = series.recording_wanted
        scheduling.recording_set(row, accepted=series.auto_recording, problem=problem, outbox=work.outbox)
