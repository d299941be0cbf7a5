"""Upload sessions: a large file in ranges, in constant memory, resumed at the byte by any process.

The address of a session is a secret that lets whoever has it write: no representation, log line, trace or error has it,
and no token of ours goes with it. What keeps a session over a restart seals ``UploadSession.secret()`` first.

Ranges go strictly in order. After anything unclear (a lost answer, 5xx, 416) the service is asked where it stands,
as it may have stored a range it answered 5xx to. ``Uploads`` is one request each; ``Upload`` is a whole file.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from shared.graph import bounded
from shared.graph.errors import (
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphPastEnd,
    GraphRetry,
    GraphSessionGone,
    GraphTooLarge,
)
from shared.graph.links import Links
from shared.graph.refusals import refusal
from shared.graph.transport import NOT_SENT, PATIENCE_S, TRIES, USER_AGENT, read_json
from shared.graph.words import field_of, request_id_of

log = structlog.get_logger(__name__)

MULTIPLE = 320 * 1024
"""Every range but the last is a multiple of this."""
CHUNK = 32 * MULTIPLE
CHUNK_LIMIT = 60 * 1024 * 1024
"""A range must be smaller."""
_GONE = {401, 403, 404, 410}
_FIRST_LAST = re.compile(r"\s*(\d{1,18})\s*(?:-\s*(?:(\d{1,18})\s*)?)?")

Source = Callable[[int], AsyncGenerator[bytes, None]]
"""Gives the file's bytes from a position on; asked again after a gap or a cut."""


@dataclass(frozen=True, slots=True)
class UploadSession:
    """Where the ranges go, each at most ``chunk`` bytes and a multiple of ``multiple``."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    multiple: int = MULTIPLE
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        if self.chunk % self.multiple or not self.multiple <= self.chunk < CHUNK_LIMIT:
            raise ValueError(f"A range has a multiple of {self.multiple} bytes and less than {CHUNK_LIMIT}.")

    def secret(self) -> str:
        """Everything needed to go on elsewhere, the address among it: seal it before it is stored."""
        return json.dumps([self.url, self.headers, self.multiple, self.chunk, False])  # version 0.1 reads five

    @classmethod
    def of_secret(cls, secret: str) -> "UploadSession":
        return cls(*json.loads(secret)[:4])


@dataclass(frozen=True, slots=True)
class Standing:
    """The byte wanted next, where the gap that begins there ends, and the item once the file is ``done``."""

    position: int
    until: int | None = None
    done: bool = False
    item: dict[str, Any] = field(default_factory=dict)


def read_session(answer: dict[str, Any]) -> UploadSession:
    """The session that ``createUploadSession`` answered."""
    url = field_of(answer, "uploadUrl")
    if not isinstance(url, str) or not url:
        raise GraphRetry("Microsoft answered an upload session without an address.", maybe_done=True)
    return UploadSession(url)


class Uploads:
    """Requests to upload sessions; ``gate`` is entered around each."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        links: Links,
        gate: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self._http = http
        self._links = links
        self._gate = gate

    async def put(
        self, session: UploadSession, start: int, end: int, size: int, body: AsyncIterator[bytes]
    ) -> Standing:
        """Send the bytes from ``start`` to before ``end`` as they come. Raises what ``body`` raises as it is.

        ``GraphRetry``: it may be stored. ``GraphSessionGone``, ``GraphPastEnd``, ``GraphTooLarge``, ``GraphConflict``
        (at the last range), ``GraphChanged`` and ``GraphFull`` are what they say.
        """
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
        answer = await self._send("PUT", session, headers, _exactly(body, end - start))
        return _standing(answer, end, size)

    async def status(self, session: UploadSession, size: int) -> Standing:
        """How many bytes the server has, as the server says."""
        answer = await self._send("GET", session, {})
        standing = _standing(answer, -1, size)
        if standing.position < 0:
            raise GraphRetry("Microsoft did not say where the upload stands.", answer.status_code)
        return standing

    async def cancel(self, session: UploadSession) -> None:
        """Forget what was sent; a session that is gone is forgotten."""
        answer = await self._send("DELETE", session, {})
        if not answer.is_success and not isinstance(error := _refused(answer), GraphSessionGone):
            raise error

    async def _send(
        self, method: str, session: UploadSession, headers: dict[str, str], body: AsyncIterator[bytes] | None = None
    ) -> httpx.Response:
        target = await self._links.target("", session.url)
        given = {name: value for name, value in session.headers.items() if name.lower() != "authorization"}
        all_headers = given | {"User-Agent": USER_AGENT} | headers | target.headers
        async with self._gate():
            request = self._http.build_request(
                method, target.url, headers=all_headers, content=body, extensions=target.extensions
            )
            try:
                answer = await self._http.send(request, auth=None, follow_redirects=False, stream=True)
                try:
                    await bounded.read(answer)
                finally:
                    await answer.aclose()
                return answer
            except httpx.RequestError as error:
                sent = not isinstance(error, NOT_SENT)
                message = f"The upload was not answered ({type(error).__name__})."
                raise GraphRetry(message, after_s=1, maybe_done=sent) from None  # the cause may name the address


class Upload:
    """One file of ``size`` bytes on its way; ``sleep`` is how it waits between tries."""

    def __init__(
        self,
        uploads: Uploads,
        session: UploadSession,
        size: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if size <= 0:
            raise ValueError("An empty file has no ranges: put it in one request.")
        self._uploads = uploads
        self._session = session
        self._size = size
        self._sleep = sleep
        self._chunk = session.chunk
        self._furthest = 0
        self._last_sent = False

    async def send(
        self, source: Source, *, start: int | None = None, saved: Callable[[int], Awaitable[None]] | None = None
    ) -> dict[str, Any]:
        """Send what is missing. Returns Microsoft's item, which is empty where it answers none.

        ``start``: where the session stands when that is known (0: it is new); None: it is asked. ``saved`` is called
        with the position after each range. ``GraphRetry`` leaves it for later: the session goes on then.
        """
        standing = None if start is None else Standing(start)
        stuck, trouble = 0, GraphRetry("The upload does not go on. It is tried again.")
        while standing is None or not standing.done:
            before = self._furthest
            try:
                standing = await self._step(standing, source, saved)
            except GraphPastEnd:
                standing = None
            except GraphTooLarge:
                self._shrink()
                standing = None
            except GraphRetry as error:
                standing, trouble = None, error
                await self._pause(error, 0 if self._furthest > before else stuck)
            except GraphSessionGone as error:
                error.maybe_done = self._last_sent
                raise
            stuck = 0 if self._furthest > before else stuck + 1
            if stuck > 2 * TRIES:
                raise trouble
        return standing.item

    async def standing(self) -> Standing:
        """How many bytes the server has, as the server says."""
        return await self._uploads.status(self._session, self._size)

    async def cancel(self) -> None:
        """Forget what was sent; a session that is gone is forgotten."""
        await self._uploads.cancel(self._session)

    async def _pause(self, error: GraphRetry, stuck: int) -> None:
        if error.after_s > PATIENCE_S or stuck >= TRIES:
            raise error
        await self._sleep(error.after_s)

    async def _step(
        self, standing: Standing | None, source: Source, saved: Callable[[int], Awaitable[None]] | None
    ) -> Standing:
        if standing is None:
            standing = await self._uploads.status(self._session, self._size)
        elif standing.position >= self._size:
            await self._sleep(1)  # all is there, and not put together yet
            standing = await self._uploads.status(self._session, self._size)
        else:
            standing = await self._send_ranges(standing, source, saved)
        self._furthest = max(self._furthest, standing.position)
        return standing

    async def _send_ranges(
        self, standing: Standing, source: Source, saved: Callable[[int], Awaitable[None]] | None
    ) -> Standing:
        """Ranges until the end, or until another byte is wanted than the one that follows."""
        async with aclosing(source(standing.position)) as pieces:
            supply = Supply(pieces)
            while True:
                start = standing.position
                end = min(start + self._chunk, standing.until or self._size, self._size)
                self._last_sent = self._last_sent or end == self._size
                body = supply.take(end - start)
                standing = await self._uploads.put(self._session, start, end, self._size, body)
                self._furthest = max(self._furthest, standing.position)
                if saved is not None:
                    await saved(standing.position)
                if standing.done or standing.position != end or end == self._size:
                    return standing

    def _shrink(self) -> None:
        if self._chunk <= self._session.multiple:
            raise GraphTooLarge("Microsoft takes not even the smallest range.", 413)
        self._chunk = max(self._session.multiple, self._chunk // 2 // self._session.multiple * self._session.multiple)


class Supply:
    """A stream of bytes, handed out range by range as it comes: not even one range is held in memory."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    async def take(self, count: int) -> AsyncGenerator[bytes, None]:
        """The next ``count`` bytes, or fewer when the stream ends."""
        while count > 0:
            piece = self._left or await anext(self._pieces, b"")
            if not piece:
                return
            self._left = piece[count:]
            count -= len(piece)
            yield piece[:count] if count < 0 else piece


async def _exactly(body: AsyncIterator[bytes], count: int) -> AsyncGenerator[bytes, None]:
    async for piece in body:
        count -= len(piece)
        yield piece
    if count:
        raise GraphGiveUp("The file ended before the bytes that were promised.", code="source_too_short")


def _standing(answer: httpx.Response, end: int, size: int) -> Standing:
    """What an answer to bytes up to ``end`` says; ``end`` -1 stands for a question. Raises what it refuses."""
    body = read_json(answer)
    wanted = field_of(body, "nextExpectedRanges", "nextExpected")
    if wanted not in (None, []) and (answer.is_success or answer.status_code in {409, 416}):
        return _gap(wanted, size)
    if not answer.is_success:
        raise _refused(answer)
    item = body if isinstance(body, dict) else {}
    named = field_of(item, "id", "file_id") is not None
    if answer.status_code == 201 or (answer.status_code == 200 and (named or end >= size)):
        return Standing(size, done=True, item=item)
    return Standing(size if wanted == [] else end)


def _gap(wanted: Any, size: int) -> Standing:
    """The first of the ranges that are missing: ``26-``, ``2097152``, ``72797-4533321``, alone or in a list.

    Microsoft's own example has a last byte that is the size, so one past the last.
    """
    found = [_FIRST_LAST.fullmatch(str(one)) for one in (wanted if isinstance(wanted, list) else [wanted])]
    untils = [(int(one[1]), int(one[2]) + 1 if one[2] else size) for one in found if one is not None]
    gaps = sorted((first, size if until == size + 1 else until) for first, until in untils)
    if len(gaps) != len(found) or any(not first < until <= size for first, until in gaps if first != size):
        raise GraphRetry("Microsoft wants ranges that the file does not have.", code="unreadable_ranges")
    return Standing(gaps[0][0], gaps[0][1])


def _refused(answer: httpx.Response) -> GraphError:
    status, request_id = answer.status_code, request_id_of(answer.headers)
    error = refusal(status, answer.headers, read_json(answer))
    log.warning("upload.refused", status=status, graph_code=error.code, graph_request_id=request_id)
    if status in _GONE and not isinstance(error, GraphFull):
        return GraphSessionGone("The upload session does not exist any more.", status, error.code, request_id)
    return error
