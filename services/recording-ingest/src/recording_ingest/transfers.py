"""Bytes from Graph to storage: constant memory, nothing on disk, resumable at the range by any worker.

While storage takes and confirms one range the next is read (``ahead``).

Whatever goes wrong on the storage side is mended in one way: ask storage again for the session of the same file. It
says how much it has, whether the file is whole, and gives a new address.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass

from recording_ingest.ahead import read_ahead
from recording_ingest.graph import EmptyAtMicrosoft
from recording_ingest.uploads import SessionGone, StorageClient, StorageRetry, UploadSession, Wanted
from shared import metrics
from shared.graph import Download, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.graph.upload import Supply
from shared.jobs import Again

Save = Callable[[dict[str, int]], Awaitable[None]]
"""Keeps a checkpoint. What it raises ends the transfer there."""
STUCK = 3
"""Rounds without a byte of progress before the job is left for later."""
_WAIT_AT_MOST_S = 5.0
_LINK_EXPIRED = {401, 403, 404, 410}


@dataclass(frozen=True, slots=True)
class Stored:
    file_id: str
    size_bytes: int


async def move(
    save: Save, size: int | None, caller: GraphCaller, path: str, storage: StorageClient, wanted: Wanted
) -> Stored:
    """Store what ``path`` at Graph holds, from wherever an earlier try got to. Checkpoint: size and bytes done.

    ``size`` is that of the checkpoint, when there is one.
    """
    async with AsyncExitStack() as opened:
        begun = None
        if size is None:  # the answer that tells it is read on, not asked for twice
            begun = await opened.enter_async_context(caller.download(path))
            size = begun.total or await _size(caller, path)
        session = await storage.open(wanted, size)
        await save({"size": size, "done": session.received})
        stuck = 0
        while not session.completed:
            try:
                await _send_rest(save, caller, path, storage, session, size, begun)
            except (StorageRetry, SessionGone) as trouble:
                if stuck >= STUCK:
                    raise StorageRetry(f"storage does not take the file; later again. {trouble}") from trouble
            begun = None
            await opened.aclose()
            before, session = session.received, await storage.open(wanted, size)
            stuck = 0 if session.received > before else stuck + 1
            if stuck > STUCK and not session.completed:
                raise StorageRetry("storage does not go on; later again.")
    return Stored(session.file_id, size)


async def _send_rest(
    save: Save,
    caller: GraphCaller,
    path: str,
    storage: StorageClient,
    session: UploadSession,
    size: int,
    begun: Download | None,
) -> None:
    """Send ranges until the end, or until storage wants another byte than the one that follows."""
    position = session.received
    if position >= size:
        await storage.finish(session, size)
        return
    try:
        async with (
            aclosing(steady(caller, path, position, size, begun)) as pieces,
            aclosing(read_ahead(pieces, session.chunk_max)) as coming,
        ):
            supply = Supply(coming)
            while position < size:
                count = min(session.chunk_max, size - position)
                follows = position + count
                position = await storage.put(session, position, count, size, supply.take(count))
                metrics.ingested_bytes.add(count)
                await save({"size": size, "done": position})
                if position != follows:
                    return
    except _Changed as change:
        await save({})
        raise Again(str(change), after_s=1, counts=False) from change


class _Changed(Exception):
    """Graph has another file than the one that was begun."""


async def steady(
    caller: GraphCaller, path: str, start: int, size: int, begun: Download | None = None
) -> AsyncGenerator[bytes, None]:
    """Bytes ``start`` to ``size`` without a gap, however often the download is cut or its address expires.

    ``begun`` is a download from byte 0 that nobody has read from yet.
    """
    position, stuck = start, 0
    while position < size:
        before, wait_s = position, 0.0
        try:
            async with aclosing(_pieces(caller, path, position, size, begun)) as pieces:
                async for piece in pieces:
                    position += len(piece)
                    if position > size:
                        raise _Changed(f"Graph sends more than the {size} bytes it said.")
                    yield piece
        except GraphError as error:
            if not _mends_by_asking_again(error):
                raise
            wait_s = error.after_s if isinstance(error, GraphRetry) else 1.0
        begun = None
        stuck = 0 if position > before else stuck + 1
        if stuck >= STUCK or wait_s > _WAIT_AT_MOST_S:
            raise GraphRetry("The download does not go on; later again.", after_s=max(wait_s, _WAIT_AT_MOST_S))
        await asyncio.sleep(wait_s if stuck else 0)


async def _pieces(
    caller: GraphCaller, path: str, start: int, size: int, begun: Download | None
) -> AsyncGenerator[bytes, None]:
    """One answer's bytes from ``start`` on, also of a server that ignores ranges and sends all."""
    async with nullcontext(begun) if begun else caller.download(path, start) as download:
        if download.total is not None and download.total != size:
            raise _Changed(f"Graph has {download.total} bytes now, no longer {size}.")
        skip = start if download.status == 200 else 0
        async for piece in download.chunks:
            if skip < len(piece):
                yield piece[skip:]
            skip = max(0, skip - len(piece))


def _mends_by_asking_again(error: GraphError) -> bool:
    """A cut, or a refusal of the temporary address: it carries no Graph code, and the next answer brings a new one."""
    expired = isinstance(error, GraphReconnect | GraphTellAdmin | GraphNotFound) and not error.code
    return isinstance(error, GraphRetry) or (expired and error.status in _LINK_EXPIRED)


async def _size(caller: GraphCaller, path: str) -> int:
    """How large it is when the answer's headers do not say it: by a range, else by reading it once."""
    with contextlib.suppress(GraphGiveUp):  # it may be a single byte
        async with caller.download(path, 1) as download:
            if download.total:
                return download.total
    size = 0
    async with caller.download(path) as download:
        async for piece in download.chunks:
            size += len(piece)
    if not size:
        raise EmptyAtMicrosoft("Microsoft has no content for it yet.", 404)
    return size
