"""HTTP in: the files of the organisation for people and programs: found, read, shared, linked to, deleted."""

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from shared.database.unit_of_work import Database
from shared.problems import Conflict, NotFound
from shared.web import audit
from shared.web.attendance import Attendance
from shared.web.audit import note_read
from shared.web.dependencies import Envelope_, Graph_
from shared.web.limits import limited
from shared.web.routes import ORG_ADMIN, Caller, Cursor, Page, Reader, StrictModel, Work, provided
from shared.web.words import ONE_LINE
from storage import deleting, links, people_queries, queries
from storage.parts import Parts
from storage.reading import GIVES_BYTES, Range, answer, span
from storage.settings import Settings
from storage.uploading_api import File

router = APIRouter(tags=["files"])
Files = Annotated[Parts, Depends(provided("parts"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
Attendance_ = Annotated[Attendance, Depends(provided("attendance"))]
Searched = Annotated[str | None, Query(min_length=1, max_length=200), ONE_LINE]


class Sharing(StrictModel):
    """What is left out stays as it is."""

    shared: bool | None = None


class LinkWanted(StrictModel):
    """How long the link is good."""

    expires_in_s: int = Field(default=86_400, ge=60, le=links.LONGEST_S)


class Link(BaseModel):
    """``url`` is below the address of the console, and said only where the link is made: who has it reads the file.

    Its token stands behind the ``#``, which browsers send to nobody, so it is in no access log on the way.
    """

    id: str
    url: str | None = None
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    opened: int

    @classmethod
    def of(cls, row: Any, url: str | None = None) -> Self:
        shown = {name: getattr(row, name) for name in cls.model_fields if name != "url"}
        return cls(**shown, url=url)


@router.get("/v1/files")
async def files(
    caller: Caller,
    work: Work,
    named: Searched = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Page[File]:
    """The caller's own files, also those still coming, and what the organisation shares; newest first.

    ``named`` finds those whose name has these words in it, in any case; the database's locale says what is the same
    letter outside ASCII.
    """
    values = {"org_id": work.org_id, "user_id": caller.user_id, "named": named, "cursor": cursor, "limit": limit + 1}
    rows = (await work.session.execute(queries.MINE, values)).all()
    shown = [File.of(row, caller.user_id) for row in rows[:limit]]
    return Page[File](items=shown, next_cursor=shown[-1].id if len(rows) > limit else None)


@router.get("/v1/files/{file_id}")
async def describe(file_id: uuid.UUID, caller: Reader, work: Work) -> File:
    """For who may read the file; a program's look is noted in the audit trail."""
    row = await _file(work, caller, file_id)
    note_read(work.session, caller, "file.describe", row.id, row.owner_id)
    return File.of(row, caller.user_id)


@router.get("/v1/files/{file_id}/content", response_class=StreamingResponse, responses=GIVES_BYTES)
async def content(
    file_id: uuid.UUID,
    request: Request,
    caller: Reader,
    work: Work,
    files: Files,
    graph: Graph_,
    attendance: Attendance_,
    wanted: Range = None,
) -> Response:
    """The bytes, or one range of them (206). Several ranges are answered with the whole.

    A recording is read by attendees of its meeting too, while the organizer shares it with them. Each read by a program
    is noted in the audit trail, with the bytes it asked for, and those of an attendee once an hour.
    """
    row = await _content(request, work, caller, file_id, attendance)
    start, end, status = spanned = span(wanted, row.size_bytes)
    if status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        note_read(work.session, caller, "file.read", row.id, row.owner_id, first_byte=start, end=end)
    return await answer(request, row, spanned, files, graph)


@router.patch("/v1/files/{file_id}")
async def share_file(file_id: uuid.UUID, wanted: Sharing, caller: Caller, work: Work) -> File:
    """Its owner lets everybody of the organisation read it, or nobody else any more."""
    values = {"org_id": work.org_id, "id": str(file_id), "user_id": caller.user_id, "shared": wanted.shared}
    row = (await work.session.execute(people_queries.SHARE, values)).first()
    if row is None:
        raise _no_file()
    audit.note(work.session, work.org_id, caller.user_id, "file.share", target=row.id, shared=wanted.shared)
    return File.of(row, caller.user_id)


@router.delete("/v1/files/{file_id}", status_code=204)
async def delete_file(file_id: uuid.UUID, caller: Caller, work: Work) -> Response:
    """By its owner or an Org Admin, for everybody and for good; its copy in SharePoint goes too.

    ``file.deleted`` says it. 409 ``on_hold`` while the organisation keeps everything.
    """
    values = {"org_id": work.org_id, "id": str(file_id), "user_id": caller.user_id, "any": ORG_ADMIN in caller.roles}
    row = (await work.session.execute(people_queries.MAY_DELETE, values)).first()
    if row is None:
        raise _no_file()
    if row.completed_at is None and not row.by_person:
        raise Conflict("file_coming", "This file is still coming. Delete it when it is stored.")
    await deleting.refuse_on_hold(work)
    await deleting.remove(work, row, "person" if row.owner_id == caller.user_id else "org_admin")
    audit.note(work.session, work.org_id, caller.user_id, "file.delete", target=row.id, user_id=row.owner_id)
    return Response(status_code=204)


@router.post(
    "/v1/files/{file_id}/links", status_code=201, dependencies=[limited("file_links", per_hour="file_links_per_hour")]
)
async def make_link(file_id: uuid.UUID, wanted: LinkWanted, caller: Caller, work: Work, envelope: Envelope_) -> Link:
    """Whoever has the link reads this one file without signing in, until it ends or is revoked."""
    file = await _file(work, caller, file_id)
    values = {"org_id": work.org_id, "id": str(uuid.uuid4()), "file_id": file.id, "user_id": caller.user_id}
    row = (await work.session.execute(people_queries.LINK, values | {"for_s": wanted.expires_in_s})).one()
    audit.note(work.session, work.org_id, caller.user_id, "file.link", target=file.id, user_id=file.owner_id)
    return Link.of(row, f"{links.PAGE}#{links.make(envelope.ring, work.org_id, row.id, row.expires_at)}")


@router.get("/v1/files/{file_id}/links")
async def file_links(file_id: uuid.UUID, caller: Caller, work: Work) -> list[Link]:
    """The newest hundred, with how often each was opened."""
    file = await _file(work, caller, file_id)
    rows = await work.session.execute(people_queries.LINKS, {"org_id": work.org_id, "file_id": file.id})
    return [Link.of(row) for row in rows]


@router.delete("/v1/files/{file_id}/links/{link_id}", status_code=204)
async def revoke_link(file_id: uuid.UUID, link_id: uuid.UUID, caller: Caller, work: Work) -> Response:
    """At once, also for who is about to open it. Whoever may read the file may end a link to it."""
    file = await _file(work, caller, file_id)
    values = {"org_id": work.org_id, "file_id": file.id, "id": str(link_id)}
    if (await work.session.execute(people_queries.REVOKE, values)).first() is None:
        raise links.unknown()
    audit.note(work.session, work.org_id, caller.user_id, "file.link_revoke", target=file.id, user_id=file.owner_id)
    return Response(status_code=204)


async def _content(request: Request, work: Work, caller: Reader, file_id: uuid.UUID, attendance: Attendance) -> Any:
    """As ``_file``, and for who attends the meeting of a recording. Such a person only reads it, and makes no links."""
    try:
        return await _file(work, caller, file_id)
    except NotFound:
        row = (await work.session.execute(queries.PARTS, {"org_id": work.org_id, "id": str(file_id)})).first()
        if row is None or row.completed_at is None or row.by_person:
            raise
        if not await attendance.reads(caller, "recording", str(file_id)):
            raise
        db: Database = request.app.state.service.db
        await audit.note_attended(db, work.session, caller, "file.read", row.id, row.owner_id)
        return row


async def _file(work: Work, caller: Reader, file_id: uuid.UUID) -> Any:
    values = {"id": str(file_id), "user_id": caller.user_id, "whosever": caller.is_program}
    row = (await work.session.execute(queries.READABLE, values)).first()
    if row is None:
        raise _no_file()
    return row


def _no_file() -> NotFound:
    return NotFound("file_not_found", "There is no such file for you. Open it from where it was shown to you.")
