"""storage's upload sessions: opened here, put to as Graph's own are, for they may be Graph's own.

The upload address is a secret: it lives in memory only and is never logged.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from recording_ingest.settings import Settings
from shared.graph.errors import GraphError, GraphPastEnd, GraphRetry, GraphSessionGone
from shared.graph.links import Links
from shared.graph.upload import CHUNK_LIMIT, Uploads
from shared.graph.upload import UploadSession as Address
from shared.jobs import Again
from shared.web.identity import ServiceTokens

_DEDUPE_LENGTH = 200


class StorageRetry(Again):
    """storage did not answer or is busy; asked again it may stand elsewhere. A job is patient with it."""

    def __init__(self, message: str, *, after_s: float = 10) -> None:
        super().__init__(message, after_s=after_s, counts=False)


class SessionGone(Exception):
    """The upload session does not exist any more; a new one has to be opened."""


class StorageRefused(Exception):
    """storage will not have it as it is: a defect of ours or of the set-up."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be stored. The same ``dedupe_key`` is the same file, however often it is begun."""

    org_id: str
    dedupe_key: str
    path: str
    content_type: str
    owner_id: str


@dataclass(frozen=True, slots=True)
class UploadSession:
    """Where the bytes go, in ranges of at most ``chunk_max``, and how many have arrived."""

    file_id: str
    completed: bool
    received: int
    address: Address = field(repr=False)

    @property
    def chunk_max(self) -> int:
        return self.address.chunk


class StorageClient:
    """Asks storage for upload sessions and puts ranges."""

    def __init__(self, settings: Settings, service_tokens: ServiceTokens) -> None:
        self._url = settings.internal_url.format(service="storage") + "/internal/upload-sessions"
        self._service_tokens = service_tokens
        timeout = httpx.Timeout(settings.storage_timeout_s, connect=10)
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False, verify=settings.trusted())
        links = Links(settings.graph_base_url, settings.graph_hosts, inside=[self._url])
        self._uploads = Uploads(self._http, links)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def open(self, wanted: Wanted, size_bytes: int) -> UploadSession:
        """The session of this file, new or gone on with. A file of another size is another file."""
        answer = await self._ask(wanted, size_bytes, wanted.dedupe_key)
        if _code(answer) == "size_changed":
            answer = await self._ask(wanted, size_bytes, f"{wanted.dedupe_key}:{size_bytes}")
        if not answer.is_success:
            raise _refusal(answer)
        said = answer.json()
        multiple, most = int(said["chunk_multiple"]), min(int(said["chunk_max"]), CHUNK_LIMIT - 1)
        chunk = max(multiple, most // multiple * multiple)
        address = Address(said["upload_url"], said.get("headers", {}), multiple=multiple, chunk=chunk)
        return UploadSession(said["file_id"], said["completed"], int(said["received_bytes"]), address)

    async def put(
        self, session: UploadSession, start: int, count: int, size_bytes: int, body: AsyncIterator[bytes]
    ) -> int:
        """Send one range as it comes. Returns the byte storage wants next, which need not be the one after it."""
        source = _Source(body)
        with _told_apart(source):
            said = await self._uploads.put(session.address, start, start + count, size_bytes, source.pieces())
        return said.position

    async def finish(self, session: UploadSession, size_bytes: int) -> None:
        """All bytes are there but the file was not put together: asking where it stands does it."""
        with _told_apart():
            await self._uploads.status(session.address, size_bytes)

    async def _ask(self, wanted: Wanted, size_bytes: int, dedupe_key: str) -> httpx.Response:
        body = {
            "org_id": wanted.org_id,
            "dedupe_key": _fitting(dedupe_key),
            "path": wanted.path,
            "content_type": wanted.content_type,
            "size_bytes": size_bytes,
            "owner_id": wanted.owner_id,
        }
        headers = {"Authorization": f"Bearer {self._service_tokens.issue('storage')}"}
        return await self._send("POST", self._url, json=body, headers=headers)

    async def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            return await self._http.request(method, url, **more)
        except httpx.TransportError as error:
            raise StorageRetry(f"storage did not answer ({type(error).__name__}).") from error


def _fitting(dedupe_key: str) -> str:
    """Graph's ids have no stated length; storage's keys have."""
    return dedupe_key if len(dedupe_key) <= _DEDUPE_LENGTH else hashlib.sha256(dedupe_key.encode()).hexdigest()


def _code(answer: httpx.Response) -> str:
    is_json = "json" in answer.headers.get("content-type", "")
    return str(answer.json().get("code", "")) if is_json and answer.is_error else ""


class _Source:
    """What is uploaded; ``error`` is its own, which is not storage's."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.error: GraphError | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in self._body:
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
    if isinstance(error, GraphSessionGone | GraphPastEnd):
        return SessionGone(f"storage answered {error.status}.")
    if isinstance(error, GraphRetry):
        return StorageRetry(f"storage answered {error.status}: {error.message}", after_s=error.after_s)
    return StorageRefused(f"storage answered {error.status} {error.code}: {error.message}")


def _refusal(answer: httpx.Response) -> Exception:
    status = answer.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return StorageRetry(f"storage answered {status}.")
    return StorageRefused(f"storage answered {status} {_code(answer)}.")
