"""All SQL of the meetings service."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from meetings.attending import BOOKED
from meetings.tables import CANCELLED_IN_OUTLOOK, AttendanceRow, CallRefusalRow, MeetingRow
from shared.connections.obstacles import FORMER, HEARD_OF
from shared.jobs import GiveUp
from shared.web.idempotency import RequestKeys

KEYS = RequestKeys("meeting_id")
_UNDER_WAY = text(
    "SELECT count(*) FROM meeting WHERE org_id = :org_id AND user_id = :user_id AND status = 'scheduling'"
)
_UNLIKE_SWITCH = text(
    """SELECT id, starts_at < clock_timestamp() + interval '1 day' AS soon FROM meeting
       WHERE org_id = :org_id AND user_id = :user_id AND status = 'scheduled' AND series_id IS NULL
           AND (auto_recording <> (:wanted AND recording_wanted) OR problem IS NOT NULL
                OR (auto_recording_reason = 'refused' AND NOT :wanted))
           AND (:works OR auto_recording_reason IS DISTINCT FROM 'disconnected')
       ORDER BY id"""
)
_BY_THEMSELVES = text(
    """SELECT id, CASE WHEN repeats IS NULL THEN ends_at END FROM meeting
       WHERE org_id = :org_id AND user_id = :user_id AND status = 'scheduled' AND series_id IS NULL
           AND auto_recording AND (repeats IS NOT NULL OR ends_at > clock_timestamp()) ORDER BY starts_at, id"""
)
_INTERRUPTED = text(
    """SELECT id, event_id IS NOT NULL, status = 'cancelled' FROM meeting
       WHERE org_id = :org_id AND user_id = :user_id
           AND (status IN ('scheduling', 'cancelled') OR (status = 'scheduled' AND ends_at > clock_timestamp()))
           AND problem ->> 'code' = ANY(:codes)"""
)
_MINE = "org_id = :org_id AND user_id = :user_id AND organizer_oid = :account"
_FOLLOWED = f"(status = 'scheduled' OR (status = 'cancelled' AND problem ->> 'code' = '{CANCELLED_IN_OUTLOOK}'))"
_MAY_BE_MOVED = text(
    f"""SELECT EXISTS (SELECT FROM meeting WHERE {_MINE}
        AND ({_FOLLOWED} AND (ends_at > clock_timestamp() OR repeats IS NOT NULL)
             OR status = 'ended' AND ends_at > :over_since))"""
)
_OF_EVENTS = text(
    f"""SELECT id, event_id, shown ->> 'etag',
               CASE WHEN repeats IS NOT NULL THEN id ELSE series_id END AS series FROM meeting
        WHERE {_MINE} AND event_id = ANY(:event_ids) AND ({_FOLLOWED} OR status = 'ended') ORDER BY id"""
)
_ALONE = f"{_MINE} AND status = 'scheduled' AND repeats IS NULL AND series_id IS NULL"
FAR_OFF_AT_ONCE = 200
"""Most meetings beyond the window that each full round reads, the nearest first."""
_NOT_NAMED = text(
    f"""(SELECT id FROM meeting WHERE {_ALONE} AND event_id <> ALL(:event_ids)
             AND ends_at > :first AND starts_at < :last)
        UNION (SELECT id FROM meeting WHERE {_ALONE} AND starts_at >= :last
             ORDER BY starts_at LIMIT {FAR_OFF_AT_ONCE}) ORDER BY id"""
)
_STARTING = text(f"SELECT id FROM meeting WHERE {_ALONE} AND ends_at > :since AND starts_at < :until ORDER BY id")
_SERIES = text(f"SELECT id FROM meeting WHERE {_MINE} AND status = 'scheduled' AND repeats IS NOT NULL ORDER BY id")
_OF_ACCOUNTS = """FROM meeting WHERE org_id = :org_id AND organizer_oid = ANY(:accounts)
    AND status IN ('scheduled', 'ended') AND repeats IS NULL AND join_url IS NOT NULL"""
_LINKS = text(f"SELECT DISTINCT join_url {_OF_ACCOUNTS} AND ends_at > :since AND starts_at < :until ORDER BY 1")
_NEXT_START = text(f"SELECT min(starts_at) {_OF_ACCOUNTS} AND starts_at >= :since")
_WATCHED = text(
    """UPDATE meeting SET calls_watched_at = clock_timestamp()
       WHERE org_id = :org_id AND join_url = ANY(:links) AND calls_watched_at IS NULL"""
)
_TOLD_OF = text(
    """SELECT EXISTS (SELECT FROM graph_subscription WHERE org_id = :org_id AND user_id = '' AND resource = :resource
       AND expires_at > clock_timestamp())"""
)
_REFUSED = text(
    """INSERT INTO call_refusal (org_id, code, detail, request_id) VALUES (:org_id, :code, :detail, :request_id)
       ON CONFLICT (org_id) DO UPDATE SET code = excluded.code, detail = excluded.detail,
           request_id = excluded.request_id, refused_at = excluded.refused_at"""
)
_NOT_REFUSED = text("DELETE FROM call_refusal WHERE org_id = :org_id")


async def links_near(
    session: AsyncSession, org_id: str, accounts: Collection[str], since: datetime, until: datetime
) -> list[str]:
    """Join links of booked meetings of these organizers that end after ``since`` and start before ``until``."""
    values = {"org_id": org_id, "accounts": list(accounts), "since": since, "until": until}
    return list((await session.execute(_LINKS, values)).scalars())


async def next_start(session: AsyncSession, org_id: str, accounts: Collection[str], since: datetime) -> datetime | None:
    """The next start from ``since`` on among the booked meetings of these organizers."""
    values = {"org_id": org_id, "accounts": list(accounts), "since": since}
    found: datetime | None = (await session.execute(_NEXT_START, values)).scalar_one()
    return found


async def behind_link(session: AsyncSession, org_id: str, join_url: str) -> MeetingRow | None:
    """The meeting of a join link, or the series, locked."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.join_url == join_url)
    query = query.where(col(MeetingRow.series_id).is_(None)).order_by(col(MeetingRow.id)).with_for_update()
    return (await session.exec(query)).first()


async def note_watched(session: AsyncSession, org_id: str, links: Collection[str]) -> None:
    """Note that Microsoft tells of the calls behind these join links from now on."""
    await session.execute(_WATCHED, {"org_id": org_id, "links": list(links)})


async def is_told_of(session: AsyncSession, org_id: str, resource: str) -> bool:
    """Whether Microsoft tells the application of it now."""
    return bool((await session.execute(_TOLD_OF, {"org_id": org_id, "resource": resource})).scalar_one())


async def call_refusal(session: AsyncSession, org_id: str) -> CallRefusalRow | None:
    return (await session.exec(select(CallRefusalRow).where(CallRefusalRow.org_id == org_id))).first()


async def note_call_refusal(session: AsyncSession, org_id: str, about: Mapping[str, str]) -> None:
    await session.execute(_REFUSED, {"org_id": org_id, **about})


async def forget_call_refusal(session: AsyncSession, org_id: str) -> None:
    await session.execute(_NOT_REFUSED, {"org_id": org_id})


async def recorded_in(session: AsyncSession, org_id: str, file_id: str) -> list[str]:
    """Meetings whose record has this file as a recording."""
    of_file = _with_artefact(org_id, "recording", file_id)
    return list((await session.exec(select(MeetingRow.id).where(*of_file))).all())


async def invited_with(
    session: AsyncSession, org_id: str, addresses: Sequence[str], kind: str, id_: str
) -> list[MeetingRow]:
    """Meetings that one of these addresses is invited to, and whose record has this file as a recording, or this
    artefact as a transcript."""
    invited = _invited(org_id, addresses)
    return list((await session.exec(select(MeetingRow).where(invited, *_with_artefact(org_id, kind, id_)))).all())


def _invited(org_id: str, addresses: Sequence[str]) -> Any:
    of_address = (AttendanceRow.org_id == org_id, col(AttendanceRow.address).in_(addresses))
    return col(MeetingRow.id).in_(select(AttendanceRow.meeting_id).where(*of_address))


def _with_artefact(org_id: str, kind: str, id_: str) -> tuple[Any, Any]:
    entry = {"kind": kind, "file_id" if kind == "recording" else "artefact_id": id_}
    return MeetingRow.org_id == org_id, col(MeetingRow.artefacts).contains([entry])


async def may_be_moved(session: AsyncSession, org_id: str, user_id: str, account: str, over_since: datetime) -> bool:
    """Whether the person has a booked meeting, made with this account, that is not over, or not since long."""
    values = {"org_id": org_id, "user_id": user_id, "account": account, "over_since": over_since}
    return bool((await session.execute(_MAY_BE_MOVED, values)).scalar_one())


async def of_events(session: AsyncSession, mailbox: Mapping[str, str], event_ids: Sequence[str]) -> list[Any]:
    """Followed meetings of these events: id, event's id, its etag as it was last shown, and the series that it is, or
    is of.

    One that was cancelled in Outlook is followed on, and one that ended: there it can come back, or be moved.
    """
    return list(await session.execute(_OF_EVENTS, {**mailbox, "event_ids": list(event_ids)}))


async def series_of(session: AsyncSession, mailbox: Mapping[str, str]) -> list[str]:
    """The person's series that go on."""
    return list((await session.execute(_SERIES, dict(mailbox))).scalars())


async def occurrences(
    session: AsyncSession,
    org_id: str,
    series_id: str,
    window: tuple[datetime, datetime] | None = None,
    *,
    lock: bool = False,
) -> list[MeetingRow]:
    """The occurrences of a series by their start; those of the window, with ``lock`` locked."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.series_id == series_id)
    if window is not None:
        starts, ends = col(MeetingRow.starts_at), col(MeetingRow.ends_at)
        query = query.where(starts < window[1], ends > window[0])
    if lock or window is not None:
        query = query.with_for_update()
    return list((await session.exec(query.order_by(col(MeetingRow.starts_at), col(MeetingRow.id)))).all())


async def occurrences_ahead(session: AsyncSession, org_id: str, series_id: str) -> list[MeetingRow]:
    """Booked ones that are not over, locked."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.series_id == series_id)
    query = query.where(MeetingRow.status == "scheduled", MeetingRow.ends_at > datetime.now(UTC))
    return list((await session.exec(query.order_by(col(MeetingRow.id)).with_for_update())).all())


async def not_named(
    session: AsyncSession, mailbox: Mapping[str, str], window: tuple[datetime, datetime], event_ids: Sequence[str]
) -> list[str]:
    """Booked meetings of the window whose event is not among these, and some beyond the window."""
    values = {**mailbox, "event_ids": list(event_ids), "first": window[0], "last": window[1]}
    return list((await session.execute(_NOT_NAMED, values)).scalars())


async def starting(session: AsyncSession, mailbox: Mapping[str, str], since: datetime, until: datetime) -> list[str]:
    """Single meetings that are not over, and start soon."""
    values = {**mailbox, "since": since, "until": until}
    return list((await session.execute(_STARTING, values)).scalars())


async def unlike_switch(session: AsyncSession, org_id: str, user_id: str, *, wanted: bool, works: bool) -> list[Any]:
    """A person's booked meetings that do not do what the switch says, or may not: id, and whether within a day.

    A series is one of them, for all of its occurrences. What a disconnect took back waits until the connection
    ``works``.
    """
    values = {"org_id": org_id, "user_id": user_id, "wanted": wanted, "works": works}
    return list(await session.execute(_UNLIKE_SWITCH, values))


async def recording_by_themselves(session: AsyncSession, org_id: str, user_id: str) -> dict[str, datetime | None]:
    """A person's meetings that are not over and record by themselves, the next first: id and end; a series has none."""
    rows = await session.execute(_BY_THEMSELVES, {"org_id": org_id, "user_id": user_id})
    return {row[0]: row[1] for row in rows}


async def interrupted(session: AsyncSession, org_id: str, user_id: str) -> list[Any]:
    """A person's meetings with a booking, change or cancellation that waits for a connection: id, booked, cancelled.

    Changes of ended meetings are left: Outlook would only write to attendees about the past.
    """
    values = {"org_id": org_id, "user_id": user_id, "codes": [*HEARD_OF, *FORMER]}
    return list(await session.execute(_INTERRUPTED, values))


async def meeting(session: AsyncSession, org_id: str, meeting_id: str, *, lock: bool = False) -> MeetingRow | None:
    """One meeting; with ``lock`` nobody else changes it before this transaction ends."""
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, MeetingRow.id == meeting_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def locked(session: AsyncSession, org_id: str, meeting_id: str) -> MeetingRow:
    """The same for a job, locked. Raises ``GiveUp`` when it is gone."""
    found = await meeting(session, org_id, meeting_id, lock=True)
    if found is None:
        raise GiveUp(f"The meeting {meeting_id} does not exist.")
    return found


@dataclass(frozen=True, slots=True)
class Listed:
    """Which meetings, and in which order: ``made``, the last first, or ``start``, the earliest first."""

    order: str = "made"
    since: datetime | None = None
    until: datetime | None = None
    status: str | None = None
    series_id: str | None = None


async def meetings_of(
    session: AsyncSession, org_id: str, user_id: str, wanted: Listed, after: list[str] | None, limit: int
) -> list[MeetingRow]:
    """The user's meetings; ``after`` is the start and the id that the last page ended with."""
    return await _listed(session, org_id, wanted, after, limit, MeetingRow.user_id == user_id)


async def of_organisation(
    session: AsyncSession, org_id: str, wanted: Listed, after: list[str] | None, limit: int
) -> list[MeetingRow]:
    """Everybody's meetings, as in ``meetings_of``."""
    return await _listed(session, org_id, wanted, after, limit)


async def attended_by(
    session: AsyncSession,
    org_id: str,
    user_id: str,
    addresses: Sequence[str],
    wanted: Listed,
    after: list[str] | None,
    limit: int,
) -> list[MeetingRow]:
    """Booked meetings of others to which one of these addresses is invited, as in ``meetings_of``."""
    theirs = (_invited(org_id, addresses), MeetingRow.user_id != user_id, col(MeetingRow.status).in_(BOOKED))
    return await _listed(session, org_id, wanted, after, limit, *theirs, col(MeetingRow.join_url).is_not(None))


async def _listed(
    session: AsyncSession, org_id: str, wanted: Listed, after: list[str] | None, limit: int, *whose: Any
) -> list[MeetingRow]:
    query = select(MeetingRow).where(MeetingRow.org_id == org_id, col(MeetingRow.repeats).is_(None), *whose)
    if wanted.series_id is not None:
        query = query.where(MeetingRow.series_id == wanted.series_id)
    if wanted.since is not None:
        query = query.where(MeetingRow.ends_at > wanted.since)
    if wanted.until is not None:
        query = query.where(MeetingRow.starts_at < wanted.until)
    if wanted.status is not None:
        query = query.where(MeetingRow.status == wanted.status)
    by_id, by_start = col(MeetingRow.id), col(MeetingRow.starts_at)
    if wanted.order == "start":
        query = query.order_by(by_start, by_id)
        if after:
            query = query.where(tuple_(by_start, by_id) > (datetime.fromisoformat(after[0]), after[1]))
    else:
        query = query.order_by(by_id.desc())
        if after:
            query = query.where(by_id < after[1])
    return list((await session.exec(query.limit(limit))).all())


async def under_way(session: AsyncSession, org_id: str, user_id: str) -> int:
    """How many meetings of a person are being scheduled."""
    return int((await session.execute(_UNDER_WAY, {"org_id": org_id, "user_id": user_id})).scalar_one())
