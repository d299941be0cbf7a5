"""HTTP in: upload sessions for other services, and ranges by upload token."""

import secrets
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from shared.database.unit_of_work import Database
from shared.graph.upload import UploadSession
from shared.problems import BadInput, NotFound, TooMany
from shared.secrets import digest
from shared.web.dependencies import Db
from shared.web.routes import StrictModel, Work, called_by, provided
from shared.web.words import ONE_LINE
from storage import locations, queries
from storage.deliveries import Deliveries, full, must_turn
from storage.parts import Parts
from storage.reading import BYTES
from storage.settings import Settings
from storage.uploads import CHUNK_MULTIPLE, complete, give_up_later, parse_range, receive, session_of, tidy_later

router = APIRouter()
Files = Annotated[Parts, Depends(provided("parts"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
Deliveries_ = Annotated[Deliveries, Depends(provided("deliveries"))]


_NAME = "[A-Za-z0-9!#$&^_.+-]+"
CONTENT_TYPE = f'^{_NAME}/{_NAME}( *; *{_NAME}=({_NAME}|"[ !#-\\[\\]-~]*"))*$'
"""RFC 9110 8.3.1, so that the file can be sent with it."""


class Trouble(StrictModel):
    """SharePoint answered a range of this attempt with ``status``: 400 takes it for no range, 507 has no room."""

    attempt: int = Field(ge=1)
    status: int = Field(ge=400, le=599)


class UploadWanted(StrictModel):
    org_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    dedupe_key: Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
    path: Annotated[str, Field(min_length=1, max_length=1000), ONE_LINE]
    content_type: str = Field(max_length=200, pattern=CONTENT_TYPE)
    size_bytes: int = Field(gt=0, le=1 << 40)
    owner_id: Annotated[str, Field(min_length=1, max_length=200), ONE_LINE] | None = None
    """The one person of the organisation who may read it; everybody of it when left out."""

    name: Annotated[str, Field(min_length=1, max_length=1000), ONE_LINE] | None = None
    """How people should know the file, where they see its place; the end of ``path`` when left out."""
    trouble: Trouble | None = None


class Delivered(StrictModel):
    """All bytes are in SharePoint, and these are what their sender hashed (base64)."""

    org_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    file_id: uuid.UUID
    quick_xor_hash: str = Field(pattern=r"^[A-Za-z0-9+/]{27}=$")
    item_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9!_-]{1,200}$")
    """What SharePoint answered to the last range, when that answer came."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the bytes, when one process hashed them all. Without it storage reads the file once more."""


class Arrived(BaseModel):
    """Which bytes are missing; none when the file is whole."""

    next_expected_ranges: list[str]
    file_id: str | None = None


class Stored(BaseModel):
    file_id: str
    size_bytes: int


NO_ACCOUNT: dict[str, Any] = {"security": []}
TAKES_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": BYTES}}}


@router.post("/internal/upload-sessions", dependencies=[called_by("recording-ingest")])
async def open_session(wanted: UploadWanted, db: Db, knobs: Knobs, deliveries: Deliveries_) -> dict[str, Any]:
    """The same intent (``dedupe_key``) is the same file; asking again gives a new address and keeps what arrived.

    With ``attempt`` the address is SharePoint's own: send to it, then say ``complete`` with the hash of what was sent.
    Without ``upload_url`` all bytes are there.
    """
    token = secrets.token_urlsafe(32)
    aimed = await _aimed(db, knobs, wanted, token)
    row = aimed.row
    if aimed.former is not None:
        await deliveries.abandon(aimed.former)
    if row.completed_at is None and row.drive_id is not None:
        locations.refuse_stopped(aimed.location)
    answer = {"file_id": row.id, "completed": row.completed_at is not None, "received_bytes": row.received_bytes}
    answer |= {"place": aimed.place}
    if row.completed_at is not None or row.drive_id is None:
        url = knobs.internal_url.format(service="storage") + f"/v1/uploads/{token}"
        most = knobs.upload_chunk_max_bytes // CHUNK_MULTIPLE * CHUNK_MULTIPLE
        return answer | {"upload_url": url, "chunk_multiple": CHUNK_MULTIPLE, "chunk_max": most, "headers": {}}
    if wanted.trouble is not None and wanted.trouble.status == HTTPStatus.INSUFFICIENT_STORAGE:
        raise await full(db, row)
    refused = wanted.trouble.attempt if wanted.trouble and wanted.trouble.status == HTTPStatus.BAD_REQUEST else None
    stand, attempt = await deliveries.stand(row, refused=refused)
    session = stand.session or UploadSession("")
    return answer | {
        "received_bytes": stand.position,
        "upload_url": session.url or None,
        "chunk_multiple": session.multiple,
        "chunk_max": session.chunk,
        "headers": session.headers,
        "attempt": attempt,
    }


@dataclass(frozen=True, slots=True)
class _Aimed:
    """A file's row, on its way to where new files go now: ``location``, or Prospo's own storage.

    ``former`` is the row as it was, when it was on its way to another place.
    """

    row: Any
    former: Any | None
    location: Any | None
    place: str


async def _aimed(db: Database, knobs: Settings, wanted: UploadWanted, token: str) -> _Aimed:
    async with db.unit_of_work(wanted.org_id) as work:
        location = await locations.place_for_new(work)
        place = {"drive_id": location and location.drive_id, "folder_id": location and location.folder_id}
        values = wanted.model_dump(exclude={"trouble"}) | {"id": str(uuid.uuid4()), "token_hash": digest(token)} | place
        row = (await work.session.execute(queries.OPEN, values)).one()
        if row.size_bytes != wanted.size_bytes:  # rolled back, so that a running upload keeps its address
            raise BadInput("size_changed", f"This file was begun with {row.size_bytes} bytes; use another dedupe_key.")
        if row.id == values["id"]:
            await _refuse_too_many(work, wanted.org_id, knobs)
            give_up_later(work, knobs.unfinished_upload_keep_s)
        former = row
        if must_turn(row, place):
            aim = values | {"id": row.id, "step": row.upload_step}
            row = (await work.session.execute(queries.AIM, aim)).one()
        place_name = await locations.name_of(work, row)
    turned = former.drive_id is not None and row.upload_step != former.upload_step
    return _Aimed(row, former if turned else None, location, place_name)


async def _refuse_too_many(work: Work, org_id: str, knobs: Settings) -> None:
    """Counted with the new one, which is rolled back."""
    found = (await work.session.execute(queries.UNFINISHED, {"org_id": org_id})).one()
    if found.sessions > knobs.unfinished_uploads or found.bytes > knobs.unfinished_upload_bytes:
        raise TooMany(
            "too_many_uploads", "So many uploads are unfinished. Finish some of them first.", retry_after_s=60
        )


@router.post("/internal/delivered-files", dependencies=[called_by("recording-ingest")])
async def complete_delivery(said: Delivered, db: Db, deliveries: Deliveries_) -> Stored:
    """Compare size and hash with SharePoint's, give the file its name there, and announce it; once, however often."""
    async with db.unit_of_work(said.org_id) as work:
        row = (await work.session.execute(queries.PARTS, {"org_id": said.org_id, "id": str(said.file_id)})).first()
    if row is None or (row.drive_id is None and row.completed_at is None):
        raise NotFound("upload_not_found", "This file is not on its way to SharePoint any more. Ask for a session.")
    await deliveries.finish(row, said.quick_xor_hash, said.item_id, said.sha256)
    return Stored(file_id=row.id, size_bytes=row.size_bytes)


@router.put(
    "/v1/uploads/{token}",
    status_code=202,
    response_model=Arrived,
    response_model_exclude_none=True,
    responses={201: {"model": Stored}},
    openapi_extra=NO_ACCOUNT | TAKES_BYTES,
)
async def put_range(
    token: str, request: Request, content_range: Annotated[str, Header()], db: Db, files: Files, knobs: Knobs
) -> Arrived | JSONResponse:
    row = await session_of(db, token)
    span = parse_range(content_range, row.size_bytes, knobs.upload_chunk_max_bytes)
    row, whole = await receive(db, files, token, span, request.stream())
    if whole:
        return JSONResponse(Stored(file_id=row.id, size_bytes=row.size_bytes).model_dump(), 201)
    return Arrived(next_expected_ranges=[f"{row.received_bytes}-"])


@router.get("/v1/uploads/{token}", response_model_exclude_none=True, openapi_extra=NO_ACCOUNT)
async def where_it_stands(token: str, db: Db, files: Files) -> Arrived:
    row = await session_of(db, token)
    if row.received_bytes == row.size_bytes:
        await complete(db, files, row)
        return Arrived(next_expected_ranges=[], file_id=row.id)
    return Arrived(next_expected_ranges=[f"{row.received_bytes}-"])


@router.delete("/v1/uploads/{token}", status_code=204, openapi_extra=NO_ACCOUNT)
async def abandon(token: str, db: Db) -> Response:
    row = await session_of(db, token)
    async with db.unit_of_work(row.org_id) as work:
        await work.session.execute(queries.ABANDON, {"token_hash": digest(token)})
        tidy_later(work, row)
    return Response(status_code=204)
