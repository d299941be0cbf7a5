"""storage's upload sessions: opened here, put to as Graph's own are, for they may be Graph's own.

The upload address is a secret: it lives in memory only and is never logged.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from recording_ingest.settings import Settings
from shared.graph.errors import (
    GraphConflict,
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphPastEnd,
    GraphRetry,
    GraphSessionGone,
)
from shared.graph.links import Links
from shared.graph.refusals import read_seconds
from shared.graph.upload import CHUNK_LIMIT, Source, Upload, Uploads
from shared.graph.upload import UploadSession as Address
from shared.jobs import Again
from shared.web.identity import ServiceTokens
from shared.web.internal import InternalClient

_DEDUPE_LENGTH = 200
_SESSIONS = "upload-sessions"
_PLACE = "Prospo storage"
"""The place of every file in a storage of the previous version."""
Saved = Callable[[int], Awaitable[None]]


class StorageRetry(Again):
    """storage did not answer or is busy; asked again it may stand elsewhere. A job is patient with it."""

    def __init__(self, message: str, *, after_s: float = 10) -> None:
        super().__init__(message, after_s=after_s, counts=False)


class SessionGone(Exception):
    """The upload session does not exist any more; a new one has to be opened."""


class StorageWaits(Exception):
    """The organisation's place for files does not work, ``reason`` says why; the same file is taken once it does."""

    def __init__(self, reason: str, after_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class StorageRefused(Exception):
    """storage will not have it as it is: a defect of ours or of the set-up."""


class RangeRefused(StorageRefused):
    """A range was refused with ``status``; of an upload into SharePoint storage may know what comes of it."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"storage answered {status} {said}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be stored. The same ``dedupe_key`` is the same file, however often it is begun."""

    org_id: str
    dedupe_key: str
    path: str
    content_type: str
    owner_id: str
    name: str
    """How people should know it, where they see its place."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """SharePoint's answer to a range of an attempt; storage decides what follows."""

    attempt: int
    status: int


@dataclass(frozen=True, slots=True)
class UploadSession:
    """The target of the bytes, in ranges of at most ``chunk_max``, and how many have arrived."""

    file_id: str
    completed: bool
    received: int
    address: Address = field(repr=False)
    attempt: int | None = None
    """Number of an upload into SharePoint, which storage verifies. None where storage takes the bytes itself."""
    place: str = ""
    """The place of the file, as people know it."""

    @property
    def chunk_max(self) -> int:
        return self.address.chunk


class StorageClient:
    """Asks storage for upload sessions and puts ranges."""

    def __init__(self, settings: Settings, service_tokens: ServiceTokens) -> None:
        timeout = httpx.Timeout(settings.storage_timeout_s, connect=10)
        self._internal = InternalClient(settings, service_tokens, timeout)
        inside = [self._internal.url("storage", _SESSIONS)]
        links = Links(settings.graph_base_url, settings.graph_hosts, inside=inside)
        self._uploads = Uploads(self._internal.http, links)

    async def aclose(self) -> None:
        await self._internal.aclose()

    async def open(self, wanted: Wanted, size_bytes: int, trouble: Trouble | None = None) -> UploadSession:
        """The session of this file, new or gone on with. A file of another size is another file.

        Raises ``StorageWaits`` while the place for it does not work.
        """
        answer = await self._ask(wanted, size_bytes, wanted.dedupe_key, trouble)
        if _code(answer) == "size_changed":
            answer = await self._ask(wanted, size_bytes, f"{wanted.dedupe_key}:{size_bytes}", trouble)
        if not answer.is_success:
            raise _refusal(answer)
        said = answer.json()
        multiple, most = int(said["chunk_multiple"]), min(int(said["chunk_max"]), CHUNK_LIMIT - 1)
        chunk = max(multiple, most // multiple * multiple)
        address = Address(said["upload_url"] or "", said.get("headers", {}), multiple=multiple, chunk=chunk)
        attempt = said.get("attempt")
        return UploadSession(
            said["file_id"], said["completed"], int(said["received_bytes"]), address, attempt, said.get("place", _PLACE)
        )

    async def put(
        self, session: UploadSession, start: int, count: int, size_bytes: int, body: AsyncIterator[bytes]
    ) -> int:
        """Send one range as it comes. Returns the byte storage wants next, which need not be the one after it."""
        source = _Source()
        with _told_apart(source):
            said = await self._uploads.put(session.address, start, start + count, size_bytes, source.watched(body))
        return said.position

    async def send(self, session: UploadSession, size_bytes: int, source: Source, saved: Saved) -> str | None:
        """Send all that is missing into SharePoint. Returns the id of what SharePoint made of it, when it said it."""
        watched = _Source()
        upload = Upload(self._uploads, session.address, size_bytes)
        with _told_apart(watched):
            item = await upload.send(watched.of(source), start=session.received, saved=saved)
        return str(item["id"]) if "id" in item else None

    async def verify(
        self, session: UploadSession, org_id: str, digest: str, item_id: str | None, sha256: str | None
    ) -> None:
        """All bytes are in SharePoint: storage compares size and hash, and gives the file its name."""
        body = {"org_id": org_id, "file_id": session.file_id, "quick_xor_hash": digest, "item_id": item_id}
        if sha256 is not None:  # None where several processes had a part in it; a storage of before knows no such field
            body["sha256"] = sha256
        answer = await self._post("delivered-files", body)
        if not answer.is_success:
            raise _refusal(answer)

    async def finish(self, session: UploadSession, size_bytes: int) -> None:
        """All bytes are there but the file was not put together: asking where it stands does it."""
        with _told_apart():
            await self._uploads.status(session.address, size_bytes)

    async def _ask(self, wanted: Wanted, size_bytes: int, dedupe_key: str, trouble: Trouble | None) -> httpx.Response:
        body: dict[str, Any] = {
            "org_id": wanted.org_id,
            "dedupe_key": _fitting(dedupe_key),
            "path": wanted.path,
            "content_type": wanted.content_type,
            "size_bytes": size_bytes,
            "owner_id": wanted.owner_id,
            "name": wanted.name,
        }
        if trouble is not None:
            body["trouble"] = {"attempt": trouble.attempt, "status": trouble.status}
        return await self._post(_SESSIONS, body)

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            return await self._internal.post("storage", path, body)
        except httpx.TransportError as error:
            raise StorageRetry(f"storage did not answer ({type(error).__name__}).") from error


def _fitting(dedupe_key: str) -> str:
    """Graph's ids have no stated length; storage's keys have."""
    return dedupe_key if len(dedupe_key) <= _DEDUPE_LENGTH else hashlib.sha256(dedupe_key.encode()).hexdigest()


def _code(answer: httpx.Response) -> str:
    is_json = "json" in answer.headers.get("content-type", "")
    return str(answer.json().get("code", "")) if is_json and answer.is_error else ""


class _Source:
    """The source of an upload; ``error`` is its own, not storage's."""

    def __init__(self) -> None:
        self.error: GraphError | None = None

    def of(self, source: Source) -> Source:
        async def pieces(position: int) -> AsyncGenerator[bytes, None]:
            async with aclosing(source(position)) as coming, aclosing(self.watched(coming)) as watched:
                async for piece in watched:
                    yield piece

        return pieces

    async def watched(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in body:
                yield piece
        except GraphError as error:
            self.error = error
            raise


@contextmanager
def _told_apart(source: _Source | None = None) -> Iterator[None]:
    """Refusals of the upload in storage's terms; those of the download it feeds on as they are."""
    try:
        yield
    except GraphError as error:
        if source is not None and error is source.error:
            raise
        raise _of_upload(error) from error


def _of_upload(error: GraphError) -> Exception:
    if isinstance(error, GraphSessionGone | GraphPastEnd | GraphConflict):
        return SessionGone(f"storage answered {error.status}.")
    if isinstance(error, GraphFull) or (type(error) is GraphGiveUp and error.status == httpx.codes.BAD_REQUEST):
        return RangeRefused(error.status, f"{error.code}: {error.message}")
    if isinstance(error, GraphRetry):
        return StorageRetry(f"storage answered {error.status}: {error.message}", after_s=error.after_s)
    return StorageRefused(f"storage answered {error.status} {error.code}: {error.message}")


def _refusal(answer: httpx.Response) -> Exception:
    status, wait = answer.status_code, read_seconds(answer.headers.get("retry-after", ""))
    if _code(answer) == "storage_location_stopped":
        return StorageWaits(str(answer.json().get("detail", "")), wait or 300)
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return StorageRetry(f"storage answered {status} {_code(answer)}.", after_s=10 if wait is None else wait)
    return StorageRefused(f"storage answered {status} {_code(answer)}.")
