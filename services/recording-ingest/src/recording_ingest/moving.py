"""Moves artefacts when the occurrences of their series are moved, unless a person said where they belong.

News of Outlook and of recordings race: an artefact that was placed earlier may no longer fit its occurrence.
Then it goes to the occurrence that it fits now, whole as it is, or it is adrift: unassigned until a person says, or
until another move makes one fit. Nothing is imported anew, and nothing is deleted.
"""

from collections.abc import Sequence

from recording_ingest import absences, assigning, ledger, placing, planning, queries, story
from recording_ingest.assigning import Decision
from recording_ingest.graph import Artefact
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from shared.database.unit_of_work import UnitOfWork
from shared.events import ArtefactMoved


async def place_again(work: UnitOfWork, meeting_id: str, settings: Settings) -> None:
    """Place again the artefacts of this meeting and those adrift behind its join link. Locks the series in order."""
    asked = await queries.meeting(work.session, work.org_id, meeting_id)
    if asked is None or asked.series_id is None or not (asked.user_id and asked.online_meeting_id):
        return
    args = (work.session, work.org_id, asked.user_id, asked.online_meeting_id)
    ids = [one.meeting_id for one in await queries.meetings_online(*args)]
    meetings = {one.meeting_id: one for one in await queries.locked(work.session, work.org_id, ids)}
    rows = await queries.movable(work.session, work.org_id, meeting_id, ids)
    for row in rows:
        decision = await _decide(work, list(meetings.values()), row, rows)
        if decision is None or _stays(row, decision):
            continue
        if decision.meeting_id is not None:
            await _move(work, meetings, row, meetings[decision.meeting_id], decision, settings)
        elif row.adrift is None:
            await _set_adrift(work, meetings[row.meeting_id], row, decision, settings)


async def assign(
    work: UnitOfWork, meetings: dict[str, LedgerMeeting], chosen: ArtefactRow, meeting_id: str, settings: Settings
) -> None:
    """A person says where what was adrift belongs, with what was made in the same call."""
    for row in await queries.adrift_with(work.session, chosen):
        await _move(work, meetings, row, meetings[meeting_id], None, settings)


async def _decide(
    work: UnitOfWork, meetings: Sequence[LedgerMeeting], row: ArtefactRow, moved: Sequence[ArtefactRow]
) -> Decision | None:
    """Decide where one artefact belongs. The artefacts in ``moved`` are no evidence for each other."""
    dated = [one for one in map(placing.occurrence, meetings) if one is not None]
    found = _found(row)
    kin = await queries.kin(work.session, work.org_id, [one.meeting_id for one in dated], found)
    others = {one.id for one in moved}
    return assigning.decide(found, dated, [placing.kin_of(one) for one in kin if one.id not in others])


def _stays(row: ArtefactRow, decision: Decision) -> bool:
    """Whether it still fits where it is, whatever else may fit: only a wrong place is changed."""
    own = next((one for one in decision.scores if one.meeting_id == row.meeting_id), None)
    return row.adrift is None and own is not None and assigning.good_enough(own)


async def _move(
    work: UnitOfWork,
    meetings: dict[str, LedgerMeeting],
    row: ArtefactRow,
    to: LedgerMeeting,
    decision: Decision | None,
    settings: Settings,
) -> None:
    if row.adrift is None:
        _leave(work, meetings[row.meeting_id], row, to.meeting_id)
        await planning.plan(work, meetings[row.meeting_id], settings)
    row.meeting_id, row.adrift, row.by_person = to.meeting_id, None, decision is None
    transcript = await queries.transcript(work.session, work.org_id, row.id)
    if transcript is not None:
        transcript.meeting_id = to.meeting_id
    scores = [one.told() for one in decision.scores[: placing.TOLD]] if decision else []
    by = decision.why if decision else "person"
    story.note(work, to.meeting_id, "assigned", artefact_id=row.id, kind=row.kind, by=by, scores=scores)
    to.absences = {kind: told for kind, told in to.absences.items() if kind != row.kind}
    ledger.tell_detected(work, to, row, row.id)
    if row.status == "imported" and transcript is not None:
        ledger.tell_transcript(work, to, row, transcript.speakers, transcript.line_count)
    elif row.status == "imported" and row.location is not None:
        ledger.tell_recording(work, to, row)
    elif row.status == "imported":  # by a version that did not keep where; storage knows the file again
        row.status = "detected"
        ledger.queue_import(work, row.kind, row.id)
    elif row.code is not None:
        code, row.code = absences.Absence(row.code, row.reason or ""), None
        await ledger.explain(work, to, row, code)
        row.code = code.code


async def _set_adrift(
    work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, decision: Decision, settings: Settings
) -> None:
    _leave(work, meeting, row, None)
    scores = [one.told() for one in decision.scores[: placing.TOLD]]
    row.adrift = {"why": decision.why, "scores": scores}
    await planning.plan(work, meeting, settings)


def _leave(work: UnitOfWork, meeting: LedgerMeeting, row: ArtefactRow, to: str | None) -> None:
    """Remove it from the meeting, and look again for what the meeting then misses."""
    meeting.version += 1
    story.note(work, meeting.meeting_id, "moved_away", artefact_id=row.id, kind=row.kind, to=to)
    about = {"org_id": meeting.org_id, "aggregate_version": meeting.version, "meeting_id": meeting.meeting_id}
    about |= {"artefact_id": row.id, "kind": row.kind, "to_meeting_id": to}
    work.outbox.add(ArtefactMoved.model_validate(about))


def _found(row: ArtefactRow) -> Artefact:
    ids = (row.graph_id, row.call_id, row.content_correlation_id)
    return Artefact(row.kind, *ids, row.created_at, row.ended_at)  # type: ignore[arg-type]
