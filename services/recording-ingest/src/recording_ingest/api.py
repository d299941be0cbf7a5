"""HTTP in: transcripts and the ledger, for the meeting's organizer and for programs of the organisation."""

from typing import Annotated

from fastapi import APIRouter, Depends

from recording_ingest import absences, queries
from recording_ingest.ledger import obstacle_to
from recording_ingest.models import Ledger, TranscriptShown
from recording_ingest.settings import Settings
from shared.connections import connection_of
from shared.problems import NotFound
from shared.web.audit import note_read
from shared.web.routes import Id, Reader, Work, provided

router = APIRouter(prefix="/v1", tags=["recordings"])
Settings_ = Annotated[Settings, Depends(provided("settings"))]


@router.get("/transcripts/{transcript_id}")
async def transcript(transcript_id: Id, caller: Reader, work: Work) -> TranscriptShown:
    """What was said; each read by a program is noted in the audit trail."""
    row = await queries.transcript(work.session, caller.org_id, transcript_id)
    if row is None or not (caller.is_program or row.user_id == caller.user_id):
        raise NotFound("transcript_not_found", "There is no such transcript of yours. Open it from your meeting.")
    note_read(work.session, caller, "transcript.read", row.id, row.user_id)
    return TranscriptShown.of(row)


@router.get("/ledger/{meeting_id}")
async def ledger(meeting_id: Id, caller: Reader, work: Work, settings: Settings_) -> Ledger:
    """What came of a meeting's recording and transcript with their ids, or why nothing did.

    Each read by a program is noted in the audit trail.
    """
    meeting = await queries.meeting(work.session, caller.org_id, meeting_id)
    if meeting is None or meeting.user_id is None or not (caller.is_program or meeting.user_id == caller.user_id):
        raise NotFound("meeting_not_found", "There is no such meeting of yours. Open it from your list of meetings.")
    note_read(work.session, caller, "ledger.read", meeting.meeting_id, meeting.user_id)
    rows = await queries.artefacts(work.session, caller.org_id, meeting_id)
    found = obstacle_to(await connection_of(work.session, caller.org_id, meeting.user_id))
    return Ledger.of(meeting, rows, absences.of_obstacle(found) if found else None, settings)
