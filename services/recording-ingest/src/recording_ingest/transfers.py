"""Bytes from Graph to storage, or straight into SharePoint: constant memory, nothing on disk, resumable at the range.

While storage or SharePoint takes and confirms one range the next is read and hashed (``ahead``).

Whatever goes wrong on the storage side is mended in one way: ask storage again for the session of the same file. It
says how much it has, whether the file is whole, and gives a new address.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from recording_ingest.graph import EmptyAtMicrosoft
from recording_ingest.uploads import (
    RangeRefused,
    SessionGone,
    StorageClient,
    StorageRetry,
    Trouble,
    UploadSession,
    Wanted,
)
from shared import metrics
from shared.ahead import ahead
from shared.graph import Download, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.graph.quickxor import BothHashes, QuickXor, hash_rest, hashing
from shared.graph.upload import Source, Supply
from shared.jobs import Again

Save = Callable[[dict[str, Any]], Awaitable[None]]
"""Keeps a checkpoint. What it raises ends the transfer there."""
AHEAD = 16 * 1024 * 1024
"""More is not kept in memory, however large storage's ranges are."""
STUCK = 3
"""Rounds without a byte of progress before the job is left for later."""
_WAIT_AT_MOST_S = 5.0
_LINK_EXPIRED = {401, 403, 404, 410}


@dataclass(frozen=True, slots=True)
class Stored:
    file_id: str
    size_bytes: int
    place: str


async def move(
    save: Save, checkpoint: dict[str, Any], caller: GraphCaller, path: str, storage: StorageClient, wanted: Wanted
) -> Stored:
    """Store what ``path`` at Graph holds, from wherever an earlier try got to.

    ``checkpoint``: size and bytes done; of an upload into SharePoint also its attempt, and the hash as far as it is.
    """
    hashed = Hashed.of_checkpoint(checkpoint)
    async with AsyncExitStack() as opened:
        begun, size, trouble = None, checkpoint.get("size"), None
        if size is None:  # the answer that tells it is read on, not asked for twice
            begun = await opened.enter_async_context(caller.download(path))
            size = begun.total or await _size(caller, path)
        session = await storage.open(wanted, size)
        await save({"size": size, "done": session.received} | hashed.kept())
        stuck = 0
        while not session.completed:
            trouble = None
            try:
                if session.attempt is None:
                    await _send_rest(save, caller, path, storage, session, size, begun)
                else:
                    source = _source(caller, path, size, begun)
                    await _into_library(save, source, storage, session, size, hashed, wanted.org_id)
            except (StorageRetry, SessionGone) as error:
                if stuck >= STUCK:
                    raise StorageRetry(f"storage does not take the file; later again. {error}") from error
            except RangeRefused as error:
                if session.attempt is None or stuck >= STUCK:
                    raise
                trouble = Trouble(session.attempt, error.status)
            except _Changed as change:
                await save({})
                raise Again(str(change), after_s=1, counts=False) from change
            begun = None
            await opened.aclose()
            before, session = session.received, await storage.open(wanted, size, trouble)
            stuck = 0 if session.received > before else stuck + 1
            if stuck > STUCK and not session.completed:
                raise StorageRetry("storage does not go on; later again.")
    return Stored(session.file_id, size, session.place)


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
    source = ahead(_source(caller, path, size, begun), min(session.chunk_max, AHEAD))
    async with aclosing(source(position)) as coming:
        supply = Supply(coming)
        while position < size:
            count = min(session.chunk_max, size - position)
            follows = position + count
            position = await storage.put(session, position, count, size, supply.take(count))
            metrics.ingested_bytes.add(count)
            await save({"size": size, "done": position})
            if position != follows:
                return


@dataclass(slots=True)
class Hashed:
    """How far the bytes of an upload into SharePoint are hashed; another attempt begins anew."""

    attempt: int | None = None
    so_far: QuickXor = field(default_factory=BothHashes)

    @classmethod
    def of_checkpoint(cls, kept: dict[str, Any]) -> "Hashed":
        return cls(kept["attempt"], QuickXor.of_state(kept["hash"])) if "hash" in kept else cls()

    def kept(self) -> dict[str, Any]:
        return {} if self.attempt is None else {"attempt": self.attempt, "hash": self.so_far.state()}

    def at(self, attempt: int | None) -> QuickXor:
        if self.attempt != attempt:
            self.attempt, self.so_far = attempt, BothHashes()
        return self.so_far


async def _into_library(
    save: Save,
    source: Source,
    storage: StorageClient,
    session: UploadSession,
    size: int,
    hashed: Hashed,
    org_id: str,
) -> None:
    """Send what is missing straight into SharePoint, and have storage verify and publish it."""
    so_far, item_id, done = hashed.at(session.attempt), None, session.received

    async def saved(position: int) -> None:
        nonlocal done
        metrics.ingested_bytes.add(max(0, position - done))
        done = position
        await save({"size": size, "done": position} | hashed.kept())

    if session.received < size:
        coming = ahead(hashing(source, so_far), min(session.chunk_max, AHEAD))
        item_id = await storage.send(session, size, coming, saved)
    await hash_rest(source, so_far, size)
    sha256 = so_far.sha256() if isinstance(so_far, BothHashes) else None
    await storage.verify(session, org_id, so_far.digest(), item_id, sha256)


def _source(caller: GraphCaller, path: str, size: int, begun: Download | None) -> Source:
    """The recording's bytes from a position on. ``begun`` is used once, where it begins at byte 0."""
    left = [begun]

    async def pieces(position: int) -> AsyncGenerator[bytes, None]:
        first = left.pop() if left and position == 0 else None
        async with aclosing(steady(caller, path, position, size, first)) as coming:
            async for piece in coming:
                yield piece

    return pieces


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
