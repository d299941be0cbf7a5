"""All SQL of the recording-ingest service."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, or_, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from recording_ingest.absences import PAUSING
from recording_ingest.graph import Artefact
from recording_ingest.tables import ArtefactRow, LedgerMeeting, StepRow, TranscriptRow, UnassignedRow
from shared.connections.obstacles import FEATURE_OFF, FORMER

MENDED = PAUSING - {FEATURE_OFF, *(old for old, new in FORMER.items() if new == FEATURE_OFF)}
"""A reconnect looks again for what was declared absent for one of these reasons, however old the meeting is."""
_NOTE_MEETING = text(
    """INSERT INTO ledger_meeting (org_id, meeting_id, subject, auto_recording, status, meeting_version, revision,
                                   version, absences)
       VALUES (:org_id, :meeting_id, '', false, 'scheduled', 0, 0, 0, '{}') ON CONFLICT DO NOTHING"""
)
_ADD_ARTEFACT = text(
    """INSERT INTO artefact (org_id, id, meeting_id, kind, graph_id, call_id, content_correlation_id, created_at,
                             ended_at, status, by_person)
       VALUES (:org_id, :id, :meeting_id, :kind, :graph_id, :call_id, :content_correlation_id,
               CAST(:created_at AS timestamptz), CAST(:ended_at AS timestamptz), 'detected', :by_person)
       ON CONFLICT (org_id, kind, graph_id) DO NOTHING RETURNING id"""
)
_CATCH_UP = text(
    """SELECT meeting_id FROM ledger_meeting m WHERE org_id = :org_id AND user_id = :user_id
           AND ((ends_at > :ended_after AND (
                    least(starts_at, ended_at) <= clock_timestamp() OR absences <> '{}'
                    OR EXISTS (SELECT FROM artefact a WHERE (a.org_id, a.meeting_id) = (m.org_id, m.meeting_id))))
                OR absences->'recording'->>'code' = ANY(:codes) OR absences->'transcript'->>'code' = ANY(:codes)
                OR EXISTS (SELECT FROM artefact a WHERE (a.org_id, a.meeting_id) = (m.org_id, m.meeting_id)
                           AND a.code = ANY(:pausing)))"""
)
_TO_PAUSE = text(
    """SELECT meeting_id FROM ledger_meeting m WHERE org_id = :org_id AND user_id = :user_id
           AND (ends_at BETWEEN :ended_after AND clock_timestamp() OR (ended_at IS NOT NULL AND ends_at > :ended_after)
                OR EXISTS (SELECT FROM artefact a WHERE (a.org_id, a.meeting_id) = (m.org_id, m.meeting_id)
                           AND a.status IN ('detected', 'importing', 'paused')))"""
)
_WAITING_IMPORTS = text(
    """SELECT a.kind, a.id FROM artefact a JOIN ledger_meeting m USING (org_id, meeting_id)
       WHERE org_id = :org_id AND meeting_id = ANY(:ids) AND (m.organizer_oid IS NULL OR m.organizer_oid = :oid)
           AND (a.status IN ('detected', 'importing', 'paused') OR a.code = ANY(:codes)) ORDER BY a.id"""
)
_FAILED_IMPORTS = text(
    """SELECT kind, id FROM artefact WHERE org_id = :org_id AND meeting_id = ANY(:ids) AND status <> 'imported'
       ORDER BY id"""
)
_ABSENT_BECAUSE = text(
    """SELECT meeting_id FROM ledger_meeting m WHERE org_id = :org_id AND meeting_id > :after
           AND greatest(ends_at, ended_at) > clock_timestamp() - make_interval(days => :days)
           AND (absences->'recording'->>'code' = ANY(:codes) OR absences->'transcript'->>'code' = ANY(:codes)
                OR EXISTS (SELECT FROM artefact a WHERE (a.org_id, a.meeting_id) = (m.org_id, m.meeting_id)
                           AND a.code = ANY(:codes)))
       ORDER BY meeting_id LIMIT :limit"""
)
_MISSING_COUNTS = text(
    """SELECT told.key AS kind, told.value->>'code' AS code, count(*) AS meetings,
              max(coalesce(ended_at, ends_at)) AS newest, max(told.value->>'reason') AS reason
       FROM ledger_meeting, jsonb_each(absences) told WHERE org_id = :org_id GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"""
)
_MISSING = text(
    """SELECT meeting_id, user_id, starts_at AS start, coalesce(ended_at, ends_at) AS over, absences
       FROM ledger_meeting WHERE org_id = :org_id AND absences <> '{}'
           AND (CAST(:before AS text) IS NULL OR meeting_id < :before) ORDER BY meeting_id DESC LIMIT :limit"""
)
_HAS_PLACE = text("SELECT 1 FROM artefact WHERE org_id = :org_id AND kind = :kind AND graph_id = :graph_id")
_NOTE_UNASSIGNED = text(
    """INSERT INTO unassigned (org_id, id, user_id, online_meeting_id, kind, graph_id, call_id, content_correlation_id,
                               created_at, ended_at, why, scores)
       VALUES (:org_id, :id, :user_id, :online_meeting_id, :kind, :graph_id, :call_id, :content_correlation_id,
               CAST(:created_at AS timestamptz), CAST(:ended_at AS timestamptz), :why, CAST(:scores AS jsonb))
       ON CONFLICT (org_id, kind, graph_id) DO UPDATE SET why = excluded.why, scores = excluded.scores,
           ended_at = excluded.ended_at RETURNING id = :id"""
)
_TAKE_UNASSIGNED = text(
    "DELETE FROM unassigned WHERE org_id = :org_id AND kind = :kind AND graph_id = :graph_id RETURNING id"
)
_FORGET_STEPS = text(
    """DELETE FROM meeting_step WHERE org_id = :org_id AND meeting_id = :meeting_id AND id <= (
           SELECT id FROM meeting_step WHERE org_id = :org_id AND meeting_id = :meeting_id
           ORDER BY id DESC OFFSET :keep LIMIT 1)"""
)


async def now(session: AsyncSession) -> datetime:
    """The database's clock: workers' clocks differ."""
    moment: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return moment


async def meeting(session: AsyncSession, org_id: str, meeting_id: str, *, lock: bool = False) -> LedgerMeeting | None:
    """One meeting; with ``lock`` nobody else changes it before this transaction ends."""
    query = select(LedgerMeeting).where(LedgerMeeting.org_id == org_id, LedgerMeeting.meeting_id == meeting_id)
    return (await session.exec(_locking(query) if lock else query)).first()


async def noted_meeting(session: AsyncSession, org_id: str, meeting_id: str) -> LedgerMeeting:
    """The meeting, locked; a new row when this event is the first to tell of it."""
    await session.execute(_NOTE_MEETING, {"org_id": org_id, "meeting_id": meeting_id})
    query = select(LedgerMeeting).where(LedgerMeeting.org_id == org_id, LedgerMeeting.meeting_id == meeting_id)
    return (await session.exec(_locking(query))).one()


async def meetings_online(
    session: AsyncSession, org_id: str, user_id: str, online_meeting_id: str
) -> Sequence[LedgerMeeting]:
    """The organizer's meetings behind one join link; several are occurrences of a series."""
    query = select(LedgerMeeting).where(
        LedgerMeeting.org_id == org_id,
        LedgerMeeting.user_id == user_id,
        LedgerMeeting.online_meeting_id == online_meeting_id,
    )
    return (await session.exec(query)).all()


async def meetings_to_catch_up(
    session: AsyncSession, org_id: str, user_id: str, ended_after: datetime
) -> Sequence[str]:
    """The organizer's meetings that a broken connection or the switch may have kept from us.

    Those to come of which nothing is known have their next look before them.
    """
    values = {"org_id": org_id, "user_id": user_id, "ended_after": ended_after}
    values |= {"codes": list(MENDED), "pausing": list(PAUSING)}
    return (await session.execute(_CATCH_UP, values)).scalars().all()


async def waiting_imports(
    session: AsyncSession, org_id: str, ids: Sequence[str], oid: str | None
) -> list[tuple[str, str]]:
    """Kind and id of what is not imported yet of these meetings, where this account is their organizer's."""
    values = {"org_id": org_id, "ids": list(ids), "oid": oid, "codes": list(PAUSING)}
    return [(row.kind, row.id) for row in await session.execute(_WAITING_IMPORTS, values)]


async def failed_imports(session: AsyncSession, org_id: str, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Kind and id of what is not imported of these meetings."""
    return [(row.kind, row.id) for row in await session.execute(_FAILED_IMPORTS, {"org_id": org_id, "ids": list(ids)})]


async def absent_because(
    session: AsyncSession, org_id: str, codes: Sequence[str], within_days: int, after: str, limit: int
) -> list[str]:
    """Meetings that miss something for one of these reasons, if over for no longer, by id and ``after`` this one."""
    values = {"org_id": org_id, "codes": list(codes), "days": within_days, "after": after, "limit": limit}
    return list((await session.execute(_ABSENT_BECAUSE, values)).scalars())


async def missing_counts(session: AsyncSession, org_id: str) -> Sequence[Row[Any]]:
    """By kind and code: how many meetings miss it, and when the newest of them was over."""
    return (await session.execute(_MISSING_COUNTS, {"org_id": org_id})).all()


async def missing(session: AsyncSession, org_id: str, before: str | None, limit: int) -> Sequence[Row[Any]]:
    """Missing artefacts with owner and reason, newest meetings first."""
    return (await session.execute(_MISSING, {"org_id": org_id, "before": before, "limit": limit})).all()


async def meetings_to_pause(
    session: AsyncSession, org_id: str, user_id: str, ended_after: datetime
) -> Sequence[LedgerMeeting]:
    """The organizer's meetings of which something is being imported or still waited for, locked."""
    values = {"org_id": org_id, "user_id": user_id, "ended_after": ended_after}
    return await locked(session, org_id, (await session.execute(_TO_PAUSE, values)).scalars().all())


async def meetings_named(session: AsyncSession, org_id: str, ids: Sequence[str]) -> Sequence[LedgerMeeting]:
    query = select(LedgerMeeting).where(LedgerMeeting.org_id == org_id, col(LedgerMeeting.meeting_id).in_(ids))
    return (await session.exec(query)).all()


async def locked(session: AsyncSession, org_id: str, ids: Sequence[str]) -> Sequence[LedgerMeeting]:
    query = select(LedgerMeeting).where(LedgerMeeting.org_id == org_id, col(LedgerMeeting.meeting_id).in_(ids))
    return (await session.exec(_locking(query.order_by(col(LedgerMeeting.meeting_id))))).all()


async def add_artefact(
    session: AsyncSession, meeting: LedgerMeeting, artefact_id: str, found: Artefact, *, by_person: bool = False
) -> bool:
    """Store an artefact once. Returns whether it is new."""
    values: dict[str, Any] = {name: getattr(found, name) for name in Artefact.__slots__}
    values |= {"org_id": meeting.org_id, "meeting_id": meeting.meeting_id, "id": artefact_id, "by_person": by_person}
    return (await session.execute(_ADD_ARTEFACT, values)).first() is not None


async def artefact(session: AsyncSession, org_id: str, artefact_id: str) -> ArtefactRow | None:
    """Read it as it is now, also when this transaction has read it before."""
    query = select(ArtefactRow).where(ArtefactRow.org_id == org_id, ArtefactRow.id == artefact_id)
    return (await session.exec(query.execution_options(populate_existing=True))).first()


async def movable(session: AsyncSession, org_id: str, meeting_id: str, ids: Sequence[str]) -> Sequence[ArtefactRow]:
    """Artefacts placed by score in this meeting, and those that lost their place in any of ``ids``, oldest first."""
    mine, adrift = col(ArtefactRow.meeting_id) == meeting_id, col(ArtefactRow.adrift).is_not(None)
    query = select(ArtefactRow).where(ArtefactRow.org_id == org_id, col(ArtefactRow.by_person).is_(False))
    query = query.where(col(ArtefactRow.meeting_id).in_(ids), or_(mine, adrift))
    return (await session.exec(query.order_by(col(ArtefactRow.created_at), col(ArtefactRow.id)))).all()


async def adrift(session: AsyncSession, org_id: str, user_id: str, limit: int) -> Sequence[tuple[ArtefactRow, str]]:
    """Artefacts that lost their place in the organizer's meetings, oldest first, each with its online meeting."""
    whose = and_(
        col(LedgerMeeting.org_id) == ArtefactRow.org_id, col(LedgerMeeting.meeting_id) == ArtefactRow.meeting_id
    )
    query = select(ArtefactRow, LedgerMeeting.online_meeting_id).join(LedgerMeeting, whose)
    query = query.where(ArtefactRow.org_id == org_id, LedgerMeeting.user_id == user_id)
    query = query.where(col(ArtefactRow.adrift).is_not(None)).order_by(col(ArtefactRow.created_at), col(ArtefactRow.id))
    return [(row, online_id or "") for row, online_id in (await session.exec(query.limit(limit))).all()]


async def adrift_with(session: AsyncSession, chosen: ArtefactRow) -> Sequence[ArtefactRow]:
    """This one, and what was made in the same call and has lost its place too."""
    query = select(ArtefactRow).where(ArtefactRow.org_id == chosen.org_id, col(ArtefactRow.adrift).is_not(None))
    same_call = and_(col(ArtefactRow.call_id) == chosen.call_id, col(ArtefactRow.meeting_id) == chosen.meeting_id)
    query = query.where(or_(col(ArtefactRow.id) == chosen.id, same_call))
    return (await session.exec(query)).all()


async def artefacts(session: AsyncSession, org_id: str, meeting_id: str) -> Sequence[ArtefactRow]:
    """The artefacts of one meeting, oldest first."""
    query = select(ArtefactRow).where(ArtefactRow.org_id == org_id, ArtefactRow.meeting_id == meeting_id)
    query = query.where(col(ArtefactRow.adrift).is_(None))
    return (await session.exec(query.order_by(col(ArtefactRow.created_at), col(ArtefactRow.id)))).all()


async def transcript(session: AsyncSession, org_id: str, transcript_id: str) -> TranscriptRow | None:
    query = select(TranscriptRow).where(TranscriptRow.org_id == org_id, TranscriptRow.id == transcript_id)
    return (await session.exec(query)).first()


async def has_place(session: AsyncSession, org_id: str, found: Artefact) -> bool:
    values = {"org_id": org_id, "kind": found.kind, "graph_id": found.graph_id}
    return (await session.execute(_HAS_PLACE, values)).first() is not None


async def placed(session: AsyncSession, org_id: str, graph_ids: Sequence[str]) -> set[tuple[str, str]]:
    """Kind and Graph's id of those that have their meeting: in one statement, for a series has hundreds."""
    query = select(ArtefactRow.kind, ArtefactRow.graph_id).where(
        ArtefactRow.org_id == org_id, col(ArtefactRow.graph_id).in_(graph_ids)
    )
    return {(kind, graph_id) for kind, graph_id in (await session.exec(query)).all()}


async def kin(session: AsyncSession, org_id: str, ids: Sequence[str], found: Artefact) -> Sequence[ArtefactRow]:
    """Artefacts of these meetings from the same call, or made together with it."""
    akin = [col(ArtefactRow.call_id) == found.call_id] if found.call_id else []
    akin += (
        [col(ArtefactRow.content_correlation_id) == found.content_correlation_id]
        if found.content_correlation_id
        else []
    )
    if not akin:
        return []
    query = select(ArtefactRow).where(ArtefactRow.org_id == org_id, col(ArtefactRow.meeting_id).in_(ids), or_(*akin))
    query = query.where(col(ArtefactRow.adrift).is_(None))
    return (await session.exec(query)).all()


async def note_unassigned(
    session: AsyncSession,
    meeting: LedgerMeeting,
    artefact_id: str,
    found: Artefact,
    why: str,
    scores: Sequence[dict[str, Any]],
) -> bool:
    """Store an unassigned artefact, or its new scores. Returns whether it is new."""
    values: dict[str, Any] = {name: getattr(found, name) for name in Artefact.__slots__}
    values |= {"org_id": meeting.org_id, "id": artefact_id, "user_id": meeting.user_id, "why": why}
    values |= {"online_meeting_id": meeting.online_meeting_id, "scores": json.dumps(list(scores))}
    return bool((await session.execute(_NOTE_UNASSIGNED, values)).scalar_one())


async def take_unassigned(session: AsyncSession, org_id: str, found: Artefact) -> str | None:
    """Its id, when it was unassigned until now."""
    values = {"org_id": org_id, "kind": found.kind, "graph_id": found.graph_id}
    return (await session.execute(_TAKE_UNASSIGNED, values)).scalar_one_or_none()


async def unassigned(session: AsyncSession, org_id: str, user_id: str, limit: int) -> Sequence[UnassignedRow]:
    """The organizer's, oldest first."""
    query = select(UnassignedRow).where(UnassignedRow.org_id == org_id, UnassignedRow.user_id == user_id)
    return (await session.exec(query.order_by(col(UnassignedRow.created_at), col(UnassignedRow.id)).limit(limit))).all()


async def unassigned_one(session: AsyncSession, org_id: str, artefact_id: str) -> UnassignedRow | None:
    query = select(UnassignedRow).where(UnassignedRow.org_id == org_id, UnassignedRow.id == artefact_id)
    return (await session.exec(query)).first()


async def unassigned_with(session: AsyncSession, chosen: UnassignedRow) -> Sequence[UnassignedRow]:
    """This one, and what was made in the same call or together with it."""
    query = select(UnassignedRow).where(
        UnassignedRow.org_id == chosen.org_id,
        UnassignedRow.online_meeting_id == chosen.online_meeting_id,
        or_(
            col(UnassignedRow.id) == chosen.id,
            col(UnassignedRow.call_id) == chosen.call_id,
            col(UnassignedRow.content_correlation_id) == chosen.content_correlation_id,
        ),
    )
    return (await session.exec(query)).all()


async def last_step(session: AsyncSession, org_id: str, meeting_id: str, what: str) -> StepRow | None:
    query = select(StepRow).where(StepRow.org_id == org_id, StepRow.meeting_id == meeting_id, StepRow.what == what)
    return (await session.exec(query.order_by(col(StepRow.id).desc()).limit(1))).first()


async def forget_old_steps(session: AsyncSession, org_id: str, meeting_id: str, keep: int) -> None:
    await session.execute(_FORGET_STEPS, {"org_id": org_id, "meeting_id": meeting_id, "keep": keep})


async def steps(session: AsyncSession, org_id: str, meeting_id: str) -> Sequence[StepRow]:
    """The steps of a meeting, in the order in which they happened."""
    query = select(StepRow).where(StepRow.org_id == org_id, StepRow.meeting_id == meeting_id)
    return (await session.exec(query.order_by(col(StepRow.id)))).all()


def _locking(query: SelectOfScalar[LedgerMeeting]) -> SelectOfScalar[LedgerMeeting]:
    """Also what this transaction has read before is read again: it may be older than the lock."""
    return query.with_for_update().execution_options(populate_existing=True)
