"""HTTP in: meetings of others. /v1/meetings/attended for attendees, /v1/meetings/organisation for Org Admins."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from meetings import attending, queries, scheduling
from meetings.api import person_of
from meetings.attended_models import AttendedMeeting, MeetingOfOrganisation
from meetings.listing import Asked_
from shared.connections import connection_of
from shared.problems import NotFound
from shared.web.dependencies import Db, Envelope_
from shared.web.routes import AdminCaller, Caller, Id, Page, StrictModel, Work, called_by

router = APIRouter(tags=["meetings of others"])
Text = Annotated[str, Field(max_length=200)]


@router.get("/v1/meetings/attended")
async def attended_meetings(caller: Caller, work: Work, envelope: Envelope_, asked: Asked_) -> Page[AttendedMeeting]:
    """Meetings that others of the organisation scheduled through Prospo and that the caller is invited to.

    The caller is known by the addresses that Microsoft gives their connected account in the organisation's tenant:
    409 with the reason while none is connected. Not supported, and so not here: meetings of a channel, meetings that
    somebody outside the organisation organizes, and meetings that were made in Outlook or Teams and not in Prospo.
    """
    person = await person_of(work, caller)
    scheduling.require_connection(person)
    mine = attending.addresses_of(person)
    find = partial(queries.attended_by, work.session, caller.org_id, caller.user_id, mine, asked.wanted)
    return await asked.page(envelope.ring, caller, "attended", find, AttendedMeeting.of)


@router.get("/v1/meetings/attended/{meeting_id}")
async def attended_meeting(meeting_id: Id, caller: Caller, work: Work) -> AttendedMeeting:
    """For who attends it, and for the organizer as attendees see it. It cannot be changed from here."""
    row = await queries.meeting(work.session, caller.org_id, meeting_id)
    if row is None or row.repeats is not None:
        raise _not_invited()
    if row.user_id != caller.user_id and not attending.attends(row, await person_of(work, caller)):
        raise _not_invited()
    return AttendedMeeting.of(row)


@router.get("/v1/meetings/organisation")
async def meetings_of_organisation(
    caller: AdminCaller, work: Work, envelope: Envelope_, asked: Asked_
) -> Page[MeetingOfOrganisation]:
    """Every meeting that was scheduled through Prospo, without its content: when, by whom, and what came of recording
    and transcript, or why nothing did.

    Meetings of a channel, and meetings that somebody outside the organisation organizes, are not supported.
    """
    find = partial(queries.of_organisation, work.session, caller.org_id, asked.wanted)
    return await asked.page(envelope.ring, caller, "organisation", find, MeetingOfOrganisation.of)


class Question(StrictModel):
    """Whether this person reads it as an attendee. ``id`` is a recording's file, or a transcript's artefact."""

    org_id: Text
    user_id: Text
    kind: Literal["recording", "transcript"]
    id: Text


class Answered(BaseModel):
    readable: bool


@router.post("/internal/shared-artefacts", tags=["internal"], dependencies=[called_by("recording-ingest", "storage")])
async def shared_artefact(asked: Question, db: Db) -> Answered:
    """Asked at each read of somebody who is not the owner, so what the organizer takes back is closed at once."""
    async with db.unit_of_work(asked.org_id) as work:
        person = await connection_of(work.session, asked.org_id, asked.user_id)
        mine = attending.addresses_of(person)
        found = await queries.invited_with(work.session, asked.org_id, mine, asked.kind, asked.id)
    return Answered(readable=any(attending.reads(row, person, asked.kind, asked.id) for row in found))


def _not_invited() -> NotFound:
    return NotFound(
        "meeting_not_found",
        "There is no such meeting that you are invited to. Prospo knows by your connected Microsoft account which "
        "addresses are yours: connect it, or ask the organizer.",
    )
