"""Places a recording or transcript into the occurrence it belongs to, or with the unassigned for a person to place.

Locks are taken in one order: a meeting first, then unassigned artefacts as ``lock_order`` says. All occurrences of a
series are compared with one list at the same time, and each may write of the same artefact.
"""

from collections.abc import Sequence

from recording_ingest import assigning, ledger, queries, story
from recording_ingest.assigning import Decision, Kin, Occurrence
from recording_ingest.graph import Artefact
from recording_ingest.tables import ArtefactRow, LedgerMeeting, UnassignedRow
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork

TOLD = 5
"""Most scores of a decision that are kept."""


def lock_order(found: Artefact | UnassignedRow) -> tuple[str, str]:
    return found.kind, found.graph_id


async def decide(work: UnitOfWork, meetings: Sequence[LedgerMeeting], found: Artefact) -> Decision | None:
    """Choose among the occurrences of one join link. None when the artefact has its place, or none has a time."""
    if await queries.has_place(work.session, work.org_id, found):
        return None
    dated = [one for one in map(occurrence, meetings) if one is not None]
    if not dated:
        return None
    kin = await queries.kin(work.session, work.org_id, [one.meeting_id for one in dated], found)
    return assigning.decide(found, dated, map(kin_of, kin))


async def place(work: UnitOfWork, meeting: LedgerMeeting, found: Artefact, decision: Decision | None) -> None:
    """Into this meeting, which is locked. Without a decision, a person chose it."""
    artefact_id = await queries.take_unassigned(work.session, work.org_id, found) or uuid7()
    if await ledger.detect(work, meeting, found, artefact_id, by_person=decision is None):
        scores = [one.told() for one in decision.scores[:TOLD]] if decision else []
        by = decision.why if decision else "person"
        told = {"artefact_id": artefact_id, "kind": found.kind, "call_id": found.call_id, "by": by, "scores": scores}
        story.note(work, meeting.meeting_id, "assigned", **told)


async def leave_unassigned(
    work: UnitOfWork, meetings: Sequence[LedgerMeeting], found: Artefact, decision: Decision
) -> None:
    """Known, not imported, and shown to the organizer; scored anew whenever an occurrence is looked at again."""
    scores = [one.told() for one in decision.scores[:TOLD]]
    added = await queries.note_unassigned(work.session, meetings[0], uuid7(), found, decision.why, scores)
    for one in decision.scores[:2] if added else ():
        story.note(work, one.meeting_id, "left_unassigned", kind=found.kind, by=decision.why, scores=scores)


async def assign(work: UnitOfWork, meeting: LedgerMeeting, chosen: UnassignedRow) -> None:
    """A person says that it belongs to this meeting, and with it what was made in the same call.

    What lost its place when an occurrence was moved has been imported, perhaps: see ``moving``.
    """
    for row in sorted(await queries.unassigned_with(work.session, chosen), key=lock_order):
        await place(work, meeting, _found(row), None)


def _found(row: UnassignedRow) -> Artefact:
    kind = "recording" if row.kind == "recording" else "transcript"
    ids = (row.graph_id, row.call_id, row.content_correlation_id)
    return Artefact(kind, *ids, row.created_at, row.ended_at)  # type: ignore[arg-type]


def occurrence(meeting: LedgerMeeting) -> Occurrence | None:
    if meeting.starts_at is None or meeting.ends_at is None:
        return None
    cancelled, series = meeting.status == "cancelled", meeting.series_id is not None
    return Occurrence(meeting.meeting_id, meeting.starts_at, meeting.ends_at, cancelled, series)


def kin_of(row: ArtefactRow) -> Kin:
    return Kin(row.meeting_id, row.call_id, row.content_correlation_id)
