"""Our ledger beside Microsoft's lists: notifications get lost, lists do not."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from recording_ingest import absences, ledger, placing, planning, queries, story
from recording_ingest import graph as teams
from recording_ingest.absences import Absence
from recording_ingest.graph import KINDS, Artefact, Kind, Options
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.work import Reconcile
from shared.database.unit_of_work import UnitOfWork
from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphRetry

Looked = dict[Kind, list[Artefact] | Absence]


async def look(caller: GraphCaller, meeting: LedgerMeeting, halt: Absence | None) -> Looked:
    """Read what Microsoft lists, or why it lists nothing. An outage raises: it says nothing about the meeting."""
    if halt is not None:
        return dict.fromkeys(KINDS, halt)
    return {kind: await _listed(caller, meeting.online_meeting_id or "", kind) for kind in KINDS}


async def _listed(caller: GraphCaller, online_meeting_id: str, kind: Kind) -> list[Artefact] | Absence:
    try:
        return await teams.artefacts(caller, online_meeting_id, kind)
    except GraphRetry:
        raise
    except GraphError as error:
        return absences.of_refusal(error)


async def options(caller: GraphCaller, meeting: LedgerMeeting, looked: Looked) -> Options | None:
    """Read the meeting's options where Microsoft lists nothing of a kind: they may say why. None when unknown.

    Asked at the last look only, when what is absent is concluded.
    """
    if all(isinstance(listed, Absence) or listed for listed in looked.values()):
        return None
    try:
        return await teams.options(caller, meeting.online_meeting_id or "")
    except GraphRetry:
        raise
    except GraphError:
        return None


async def tell(work: UnitOfWork, meeting: LedgerMeeting, looked: Looked, request_id: str) -> None:
    """Write into the meeting's story what Microsoft listed, when it differs from the look before."""
    found = {kind: listed.code if isinstance(listed, Absence) else len(listed) for kind, listed in looked.items()}
    before = await queries.last_step(work.session, work.org_id, meeting.meeting_id, "looked")
    if before is None or {kind: before.details.get(kind) for kind in found} != found:
        asked = any(not isinstance(listed, Absence) for listed in looked.values())
        ids = {"microsoft_request_id": request_id if asked else None}
        story.note(work, meeting.meeting_id, "looked", **found, **ids)
    await queries.forget_old_steps(work.session, work.org_id, meeting.meeting_id, story.MOST_STEPS)


async def compare(
    work: UnitOfWork, meeting: LedgerMeeting, looked: Looked, settings: Settings, options: Options | None
) -> float | None:
    """Note what is new and conclude what is absent. Seconds until the next look; None when the meeting is settled."""
    await _detect_own(work, meeting, looked)
    now = meeting.looked_at = await queries.now(work.session)
    rows = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    await _give_up_stuck_imports(work, meeting, rows, now, settings)
    known = {kind: listed if isinstance(listed, Absence) else None for kind, listed in looked.items()}
    ledger.conclude(work, meeting, rows, known, now, settings, options)
    at = planning.next_look(meeting, rows, now, settings)
    return max(0.0, (at - now).total_seconds()) if at else None


async def _detect_own(work: UnitOfWork, meeting: LedgerMeeting, looked: Looked) -> None:
    """A list is of everything behind the join link; other occurrences of a series have rows of their own."""
    occurrences = await queries.meetings_online(
        work.session, meeting.org_id, meeting.user_id or "", meeting.online_meeting_id or ""
    )
    every = [found for listed in looked.values() if isinstance(listed, list) for found in listed]
    placed = await queries.placed(work.session, work.org_id, [found.graph_id for found in every])
    new = [found for found in every if (found.kind, found.graph_id) not in placed]
    for found in sorted(new, key=placing.lock_order):
        decision = await placing.decide(work, occurrences, found)
        if decision is None:
            continue
        if decision.meeting_id is None:
            await placing.leave_unassigned(work, occurrences, found, decision)
        elif decision.meeting_id == meeting.meeting_id:
            await placing.place(work, meeting, found, decision)
        else:  # whose look may be over: of a cancelled one, or one that ended long ago
            owner = next(one for one in occurrences if one.meeting_id == decision.meeting_id)
            work.queue(Reconcile(meeting_id=owner.meeting_id, revision=owner.revision))


async def _give_up_stuck_imports(
    work: UnitOfWork, meeting: LedgerMeeting, rows: Sequence[ArtefactRow], now: datetime, settings: Settings
) -> None:
    """An import explains its own failures; one whose job is gone would otherwise stay silent for ever."""
    longest = timedelta(seconds=2 * settings.artefact_deadline_s)
    for row in rows:
        if row.status in planning.OPEN and now > row.tried_since + longest:
            await ledger.fail_import(work, meeting, row, absences.IMPORT_FAILED)
