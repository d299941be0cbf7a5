"""HTTP in: people upload files with their own token, at once or in ranges that any request goes on with."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field

from shared.problems import BadInput, TooLarge
from shared.web.dependencies import Db
from shared.web.idempotency import IdempotencyKey, require_key
from shared.web.limits import limited
from shared.web.routes import Caller, StrictModel, Work, needs_header, provided
from shared.web.words import ONE_LINE, whole_number
from storage import receiving
from storage.api import CONTENT_TYPE, TAKES_BYTES, Arrived
from storage.parts import Parts
from storage.settings import Settings
from storage.uploads import parse_range

router = APIRouter(tags=["files"])
Files = Annotated[Parts, Depends(provided("parts"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
LIMITED = limited("file_uploads", per_hour="file_uploads_per_hour")
NEEDS_KEY = needs_header("Idempotency-Key", "The same for the same file, also when it is begun again after a crash.")


def _no_path(value: str) -> str:
    if "/" in value or "\\" in value or value.strip(". ") == "":
        raise ValueError("must be a file's name, without a folder")
    return value


FileName = Annotated[str, Field(min_length=1, max_length=400), ONE_LINE, AfterValidator(_no_path)]
MediaType = Annotated[str, Field(max_length=200, pattern=CONTENT_TYPE)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileWanted(StrictModel):
    """A file that is about to come. ``sha256`` is in hex: with another one the bytes are refused."""

    name: FileName
    content_type: MediaType = "application/octet-stream"
    size_bytes: int = Field(ge=0, le=1 << 50)
    shared: bool = False
    """Everybody of the organisation may read it; otherwise its owner alone."""
    sha256: Sha256 | None = None


class File(BaseModel):
    """``name`` is what people call it; ``stored_as`` is its name in SharePoint, which does not take every name.

    ``sha256`` is null until the file was read once. ``received_bytes``: how much of one that is coming to Prospo's own
    storage is there; null where that is not known here, as SharePoint is sent its bytes directly.
    """

    id: str
    name: str
    path: str
    content_type: str
    size_bytes: int
    received_bytes: int | None
    sha256: str | None
    state: Literal["coming", "checking", "stored"]
    place: Literal["prospo", "sharepoint"]
    stored_as: str | None
    shared: bool
    mine: bool
    created_at: datetime

    @classmethod
    def of(cls, row: Any, user_id: str) -> Self:
        whole = row.completed_at is not None
        shown = {name: getattr(row, name) for name in ("id", "path", "content_type", "size_bytes", "sha256")}
        return cls(
            **shown,
            received_bytes=row.size_bytes if whole else row.received_bytes if row.drive_id is None else None,
            name=row.file_name or row.path.rpartition("/")[2],
            state="stored" if whole else "checking" if row.checking else "coming",
            place="sharepoint" if row.item_id is not None else "prospo",
            stored_as=row.item_name,
            shared=row.shared or row.owner_id is None,
            mine=row.owner_id == user_id,
            created_at=row.created_at,
        )


class Upload(BaseModel):
    """Send ranges to ``PUT /v1/files/uploads/{id}`` from byte ``received_bytes`` on, then ``complete`` it.

    ``problem`` is ``sha256_mismatch`` after bytes that were not the file: it is sent again from byte 0.
    """

    id: str
    size_bytes: int
    received_bytes: int
    range_max: int
    state: Literal["coming", "checking", "stored"]
    problem: str | None

    @classmethod
    def of(cls, row: Any, knobs: Settings) -> Self:
        return cls(
            id=row.id,
            size_bytes=row.size_bytes,
            received_bytes=row.received_bytes,
            range_max=knobs.upload_chunk_max_bytes,
            state="stored" if row.completed_at is not None else "checking" if row.checking else "coming",
            problem=row.problem,
        )


@router.post("/v1/files", status_code=201, openapi_extra=NEEDS_KEY, dependencies=[LIMITED])
async def begin_upload(
    wanted: FileWanted, caller: Caller, work: Work, knobs: Knobs, key: IdempotencyKey = None
) -> Upload:
    """A file of the caller's. The same key is the same upload, so whoever lost the answer asks again.

    507 ``quota_reached``, 413 ``file_too_large`` and 429 are said here, before a byte is sent.
    """
    about = receiving.Wanted(wanted.name, wanted.content_type, wanted.size_bytes, wanted.shared, wanted.sha256)
    return Upload.of(await receiving.begin(work, knobs, caller, about, require_key(key)), knobs)


@router.get("/v1/files/uploads/{file_id}")
async def upload_stands(file_id: uuid.UUID, caller: Caller, work: Work, knobs: Knobs) -> Upload:
    """Where to go on."""
    return Upload.of(await receiving.own(work, caller, file_id), knobs)


@router.put("/v1/files/uploads/{file_id}", status_code=202, response_model_exclude_none=True, openapi_extra=TAKES_BYTES)
async def send_range(
    file_id: uuid.UUID,
    request: Request,
    caller: Caller,
    db: Db,
    files: Files,
    knobs: Knobs,
    content_range: Annotated[str, Header()] = "",
) -> Arrived:
    """One range, durable before it is acknowledged; one that is there already is acknowledged again.

    409 ``range_out_of_order`` says with ``next_expected`` where to go on.
    """
    async with db.unit_of_work(caller.org_id) as work:
        row = await receiving.own(work, caller, file_id)
    span = parse_range(content_range, row.size_bytes, knobs.upload_chunk_max_bytes)
    row = await receiving.take(db, files, row, span, request.stream())
    missing = [f"{row.received_bytes}-"] if row.received_bytes < row.size_bytes else []
    return Arrived(next_expected_ranges=missing)


@router.post("/v1/files/{file_id}/complete", responses={202: {"model": File}})
async def complete_upload(file_id: uuid.UUID, caller: Caller, db: Db, files: Files) -> JSONResponse:
    """All bytes are there: the file is checked and announced (``file.stored``), once, however often it is said.

    202 while a large file is still being read: look at it again. 422 ``sha256_mismatch``: nothing is kept.
    """
    async with db.unit_of_work(caller.org_id) as work:
        row = await receiving.own(work, caller, file_id)
    row = await receiving.complete(db, files, row)
    return JSONResponse(File.of(row, caller.user_id).model_dump(mode="json"), 202 if row.checking else 200)


@router.post("/v1/files/uploads/small", status_code=201, openapi_extra=TAKES_BYTES | NEEDS_KEY, dependencies=[LIMITED])
async def upload_small(
    request: Request,
    caller: Caller,
    db: Db,
    files: Files,
    knobs: Knobs,
    name: Annotated[FileName, Query()],
    content_type: Annotated[MediaType, Query()] = "application/octet-stream",
    shared: Annotated[bool, Query()] = False,
    sha256: Annotated[Sha256 | None, Query()] = None,
    key: IdempotencyKey = None,
) -> File:
    """A whole file of at most ``range_max`` bytes in one request, which says its ``Content-Length``."""
    size = whole_number(request.headers.get("content-length", ""))
    if size is None:
        raise BadInput("length_required", "Say with Content-Length how many bytes come, or begin an upload.")
    if size > knobs.upload_chunk_max_bytes:
        most = knobs.upload_chunk_max_bytes
        raise TooLarge(
            "file_too_large", f"One request takes at most {most} bytes. Begin an upload instead.", max_bytes=most
        )
    about = receiving.Wanted(name, content_type, size, shared, sha256)
    async with db.unit_of_work(caller.org_id) as work:
        row = await receiving.begin(work, knobs, caller, about, require_key(key))
    if row.received_bytes < size:
        row = await receiving.take(db, files, row, (0, size), request.stream())
    return File.of(await receiving.complete(db, files, row), caller.user_id)
