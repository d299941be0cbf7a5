"""Intervals in which nothing was fetched for a person: named while they last, fetched after, and announced once.

A connection that broke, the Org Admin's switch, or an outage of Prospo. Microsoft repeats a notification for some
hours only, so after a gap the lists are asked.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from recording_ingest import queries, story
from recording_ingest.settings import Settings
from recording_ingest.tables import GapRow, LedgerMeeting, WatchRow
from recording_ingest.work import AnnounceGap
from shared.connections import Connection
from shared.database.unit_of_work import UnitOfWork
from shared.events import GapRepaired
from shared.events.recordings import GapCause

AGAIN_S = 30.0
OUTAGE: GapCause = "outage"
_KNOWN: dict[str, GapCause] = {
    code: code
    for code in (
        "account_not_connected",
        "another_account",
        "feature_off",
        "permission_missing",
        "tenant_not_connected",
    )
}
_WATCHED = text(
    """INSERT INTO watch (org_id, user_id, watched_at) VALUES (:org_id, :user_id, clock_timestamp())
       ON CONFLICT (org_id, user_id) DO UPDATE SET watched_at = excluded.watched_at"""
)
_FOUND = text(
    """SELECT count(*) FROM artefact WHERE org_id = :org_id AND meeting_id = ANY(:ids) AND detected_at >= :since"""
)


async def begin(work: UnitOfWork, person: Connection, code: str) -> None:
    """Something stands between the person and Microsoft; it may stand there already. One who never was followed has
    nothing to miss.
    """
    cause = _KNOWN.get(code)
    watched = await _watch(work, person.user_id)
    if cause is None or watched is None or await _open(work, person.user_id) is not None:
        return
    began = await queries.now(work.session)
    await _add(work, GapRow(**_named(work, person), cause=cause, began_at=began, version=0))


async def end(work: UnitOfWork, person: Connection, ids: Sequence[str]) -> None:
    """End the gap. These meetings are looked at again; the event follows when that is done."""
    found = await _open(work, person.user_id)
    await watched(work, person.user_id)
    if found is not None:
        found.ended_at, found.meetings = await queries.now(work.session), list(ids)
        work.queue(AnnounceGap(user_id=person.user_id, version=found.version))


async def outage(work: UnitOfWork, person: Connection, settings: Settings) -> WatchRow | None:
    """Since when nobody followed the person's meetings, where that is too long ago; None otherwise."""
    row = await _watch(work, person.user_id)
    longest = timedelta(seconds=2 * settings.subscription_check_interval_s)
    late = row is not None and await queries.now(work.session) - row.watched_at > longest
    return row if late else None


async def after_outage(work: UnitOfWork, person: Connection, since: WatchRow, ids: Sequence[str]) -> None:
    now = await queries.now(work.session)
    gap = GapRow(**_named(work, person), cause=OUTAGE, began_at=since.watched_at, ended_at=now, version=0)
    gap.meetings = list(ids)
    await _add(work, gap)
    work.queue(AnnounceGap(user_id=person.user_id, version=gap.version))


async def watched(work: UnitOfWork, user_id: str) -> None:
    """The person's meetings are followed at this moment."""
    await work.session.execute(_WATCHED, {"org_id": work.org_id, "user_id": user_id})


async def announce(work: UnitOfWork, user_id: str, version: int) -> bool:
    """Publish the repaired gap. False while a meeting of the gap was not looked at since."""
    query = select(GapRow).where(GapRow.org_id == work.org_id, GapRow.user_id == user_id, GapRow.version == version)
    gap = (await work.session.exec(query.with_for_update())).first()
    if gap is None or gap.ended_at is None or gap.repaired:
        return True
    meetings = await queries.meetings_named(work.session, work.org_id, gap.meetings)
    if any(not _looked_at_since(one, gap) for one in meetings):
        return False
    values = {"org_id": work.org_id, "ids": gap.meetings, "since": gap.ended_at}
    count = int((await work.session.execute(_FOUND, values)).scalar_one())
    gap.repaired = True
    for one in meetings:
        interval = {"began_at": gap.began_at.isoformat(), "ended_at": gap.ended_at.isoformat()}
        story.note(work, one.meeting_id, "gap_repaired", cause=gap.cause, **interval)
    work.outbox.add(
        GapRepaired(
            org_id=work.org_id,
            aggregate_version=gap.version,
            user_id=user_id,
            cause=gap.cause,
            began_at=gap.began_at,
            ended_at=gap.ended_at,
            meetings=len(meetings),
            found=count,
        )
    )
    return True


def _looked_at_since(meeting: LedgerMeeting, gap: GapRow) -> bool:
    """Whether Microsoft was asked about the meeting since the gap; true when it cannot be asked."""
    asked = meeting.online_meeting_id is not None and meeting.ends_at is not None and meeting.status != "cancelled"
    since = gap.ended_at
    return not asked or (meeting.looked_at is not None and since is not None and meeting.looked_at >= since)


def _named(work: UnitOfWork, person: Connection) -> dict[str, Any]:
    return {"org_id": work.org_id, "user_id": person.user_id}


async def _add(work: UnitOfWork, gap: GapRow) -> None:
    """Under the next number of the person's."""
    query = select(GapRow.version).where(GapRow.org_id == work.org_id, GapRow.user_id == gap.user_id)
    last = (await work.session.exec(query.order_by(col(GapRow.version).desc()).limit(1))).first()
    gap.version = (last or 0) + 1
    work.session.add(gap)
    await work.session.flush()


async def _open(work: UnitOfWork, user_id: str) -> GapRow | None:
    query = select(GapRow).where(
        GapRow.org_id == work.org_id, GapRow.user_id == user_id, col(GapRow.ended_at).is_(None)
    )
    return (await work.session.exec(query.with_for_update())).first()


async def _watch(work: UnitOfWork, user_id: str) -> WatchRow | None:
    query = select(WatchRow).where(WatchRow.org_id == work.org_id, WatchRow.user_id == user_id)
    return (await work.session.exec(query)).first()
