"""Downloads: ranges, redirects without our token, bodies that are whole or said to be cut; in constant memory."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpcore
import httpx
import structlog

from shared.graph.errors import GraphError, GraphGiveUp, GraphRetry
from shared.graph.refusals import refusal, whole_size
from shared.graph.transport import Call, Transport, request_id

log = structlog.get_logger(__name__)

REDIRECTS = 3
CHUNK = 320 * 1024
httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = 256 * 1024
"""What asyncio reads at once; httpcore's own 64 KiB cut each read into four, which copies its rest three times."""
_LINK_EXPIRED = {401, 403, 404, 410}


@dataclass(frozen=True, slots=True)
class Download:
    """A running download: 200 or 206, the whole file's size when Graph says it, and its bytes in chunks.

    With 200 the bytes begin at 0, also when a later start was asked for.
    """

    status: int
    total: int | None
    chunks: AsyncIterator[bytes]


async def start_download(transport: Transport, call: Call, start: int, stack: AsyncExitStack) -> Download:
    """Follows redirects, then begins; the connection is closed with ``stack``, however much was read."""
    answer = await _follow(transport, call, stack)
    if start and answer.status_code == httpx.codes.PARTIAL_CONTENT and _first_byte(answer) != start:
        raise GraphRetry("Graph answered another range than the one asked for.", answer.status_code, "other_range")
    chunks = _chunks(answer)
    stack.push_async_callback(chunks.aclose)
    return Download(answer.status_code, _total(answer), chunks)


async def _follow(transport: Transport, call: Call, stack: AsyncExitStack) -> httpx.Response:
    answer = await transport.send(call, stack)
    source = call.url
    for _ in range(REDIRECTS):
        if not answer.has_redirect_location:
            return answer
        target = await transport.links.target(source, answer.headers["location"])
        source = target.name
        await stack.aclose()  # the connection that redirected is done with
        answer = await transport.fetch(target, call, stack)
        if not answer.is_success and not answer.has_redirect_location:
            raise _refused(answer)
    if answer.has_redirect_location:
        raise GraphGiveUp("Graph redirected a download too often.", answer.status_code, "too_many_redirects")
    return answer


def _refused(answer: httpx.Response) -> GraphError:
    """The refusal of a pre-authenticated address, whose words are not Graph's: when it expired, Graph gives another."""
    status = answer.status_code
    log.warning("download.refused", status=status, graph_request_id=request_id(answer))
    if status in _LINK_EXPIRED:
        return GraphRetry("The download's address expired. A new one is asked for.", status, "link_expired", after_s=1)
    return refusal(status, answer.headers, None)


async def _chunks(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Pieces of ``CHUNK`` bytes or somewhat more; the last, or the last before a cut, may be smaller."""
    waiting, weight, cut = list[bytes](), 0, None
    try:
        async for piece in answer.aiter_bytes():
            waiting.append(piece)
            weight += len(piece)
            if weight >= CHUNK:
                yield b"".join(waiting)
                waiting, weight = [], 0
    except httpx.RequestError as error:
        cut = error
    if waiting:
        yield b"".join(waiting)
    if cut is not None:
        raise GraphRetry("The download was cut off; it goes on where it stopped.", after_s=1) from cut
    expected = _length(answer)
    if expected is not None and answer.num_bytes_downloaded != expected:
        raise GraphRetry("The download ended early; it goes on where it stopped.", code="truncated", after_s=1)


def _length(answer: httpx.Response) -> int | None:
    """How many bytes this answer must have: what its range says, else its length."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        first, last = _first_byte(answer), _number(_span(answer).partition("-")[2])
        if first is not None and last is not None:
            return last - first + 1
    return _number(answer.headers.get("content-length", ""))


def _total(answer: httpx.Response) -> int | None:
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        return whole_size(answer.headers.get("content-range", ""))
    return None if "content-encoding" in answer.headers else _number(answer.headers.get("content-length", ""))


def _first_byte(answer: httpx.Response) -> int | None:
    return _number(_span(answer).partition("-")[0])


def _span(answer: httpx.Response) -> str:
    """``0-9`` of ``bytes 0-9/100``."""
    header: str = answer.headers.get("content-range", "")
    return header.strip().removeprefix("bytes").strip().partition("/")[0]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
