"""When to look for a meeting's recordings and transcripts: soon after its end, then ever more seldom."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from recording_ingest import queries
from recording_ingest.graph import KINDS
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.work import Reconcile
from shared.database.unit_of_work import UnitOfWork

OPEN = {"detected", "importing"}


def expected_by(meeting: LedgerMeeting, settings: Settings) -> datetime | None:
    """The deadline for artefacts; None while the meeting's times are not known."""
    ends = [moment for moment in (meeting.ends_at, meeting.ended_at) if moment is not None]
    return max(ends) + timedelta(seconds=settings.artefact_deadline_s) if ends else None


def next_look(
    meeting: LedgerMeeting, artefacts: Sequence[ArtefactRow], now: datetime, settings: Settings
) -> datetime | None:
    """When to compare with Microsoft's list again; None when nothing more can come of the meeting."""
    by = expected_by(meeting, settings)
    interval = timedelta(seconds=settings.reconcile_interval_s)
    if by is None or not _in_question(meeting, artefacts):
        return None
    if now >= by:
        return now + interval if any(row.status in OPEN for row in artefacts) else None
    if {row.kind for row in artefacts if row.status == "imported"} == set(KINDS):
        return by  # a second recording of people who met again is found by the last look
    end = by - timedelta(seconds=settings.artefact_deadline_s)
    if now < end:
        first = end + timedelta(seconds=min(settings.reconcile_after_s))
        return min(now + timedelta(seconds=settings.reconcile_early_interval_s), first)
    planned = [end + timedelta(seconds=after_s) for after_s in settings.reconcile_after_s]
    return min([moment for moment in planned if moment > now] + [by])


def _in_question(meeting: LedgerMeeting, artefacts: Sequence[ArtefactRow]) -> bool:
    """Whether Microsoft can be asked, and something may come of a meeting that was not cancelled before it began."""
    known = meeting.user_id is not None and meeting.online_meeting_id is not None
    return known and (meeting.status != "cancelled" or bool(artefacts))


async def plan(work: UnitOfWork, meeting: LedgerMeeting, settings: Settings, *, at_once: bool = False) -> None:
    """Reconcile the meeting anew, once at least: we may hear of it long after its deadline.

    The revision makes the job of an earlier plan end, even one that runs just now.
    """
    meeting.revision += 1
    now = await queries.now(work.session)
    artefacts = await queries.artefacts(work.session, meeting.org_id, meeting.meeting_id)
    if meeting.ends_at is not None and _in_question(meeting, artefacts):
        run_at = next_look(meeting, artefacts, now, settings) or now
        wanted = Reconcile(meeting_id=meeting.meeting_id, revision=meeting.revision)
        work.queue(wanted, run_at=now if at_once else run_at)
