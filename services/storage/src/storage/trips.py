"""One file's way to another place. What has to be known to go on stands in the move's row, whichever process goes on.

There are two ways, one for each kind of place; ``moving.py``, which takes files along them, is the same for both.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import TextClause

from shared.ahead import ahead
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError
from shared.graph.quickxor import BothHashes, QuickXor
from storage import deleting, move_queries, parts, queries
from storage.automaton import State, Upload
from storage.deliveries import Deliveries, bytes_of, folder_of, path_of, state_of
from storage.parts import Parts, named_by
from storage.stores import Changed, Source

Working = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
PART = 10 * 1024 * 1024
"""So many bytes of a file are an object of Prospo's own storage; a process that dies in one begins it again."""


class Stopped(Exception):
    """Somebody cancelled it, or another process moves this file."""


class Gone(Stopped):
    """Somebody deleted the file meanwhile."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The whole file in its new place: ``columns`` of its row, and the hashes of what was read where it was."""

    columns: dict[str, Any]
    sha256: str
    quick_xor: str


class Trip(ABC):
    """``move`` and ``row`` are rows of ``file_move`` and ``stored_file``; each of ``working`` is a transaction."""

    def __init__(self, deliveries: Deliveries, stored: Parts, working: Working, move: Any, row: Any) -> None:
        self._deliveries, self._parts, self._working, self._move, self._row = deliveries, stored, working, move, row
        self._about = {"org_id": row.org_id, "file_id": row.id}
        self._step = move.step

    @abstractmethod
    async def bring(self, source: Source) -> Arrived:
        """Go on until the whole file is there. Raises ``Stopped``, and what a store or Graph refuses with."""

    @abstractmethod
    async def abandon(self) -> None:
        """What was sent so far goes, as well as it can be, and what arrived too: nothing names it."""

    async def _keep(self, statement: TextClause, **values: Any) -> str:
        """Only in place of what was read: two processes with one file do not undo each other. Returns why it moves."""
        async with self._working() as work:
            if "state" in values:
                values["upload"] = await self._deliveries.envelope.seal(
                    work.session, self._row.org_id, self._sealed, bytes_of(values.pop("state"))
                )
            kept = (await work.session.execute(statement, self._about | {"step": self._step} | values)).first()
            if kept is None:
                raise Stopped if (await work.session.execute(move_queries.MOVE, self._about)).first() else Gone
        self._step += 1
        return str(kept.why)

    async def _note(self, statement: TextClause, **values: Any) -> None:
        """Between one piece and the next, where a migration that was cancelled ends."""
        if await self._keep(statement, **values) == "cancelled":
            raise Stopped

    @property
    def _sealed(self) -> str:
        return f"file_move|{self._row.id}"


class ToLibrary(Trip):
    """By the automaton, whose state is sealed in the row, with how far the hash is."""

    _upload: Upload | None = None
    _hashed: QuickXor

    async def bring(self, source: Source) -> Arrived:
        self._hashed = QuickXor.of_state(self._move.hashed) if self._move.hashed else BothHashes()
        upload = await self._opened()
        item = await upload.deliver(source, self._hashed, self._sent)
        whole = self._hashed
        if (
            not isinstance(whole, BothHashes) or whole.size != self._row.size_bytes
        ):  # several processes had a part in it
            whole = await hashed(source(0))
        columns = {"drive_id": self._move.drive_id, "folder_id": self._move.folder_id, "parts": []}
        columns |= {"item_id": str(item["id"]), "item_name": str(item["name"]), "quick_xor": whole.digest()}
        return Arrived(columns, whole.sha256(), whole.digest())

    async def abandon(self) -> None:
        """What is committed may have got its name already."""
        upload = await self._opened()
        if upload.state.item_id is None:
            with suppress(GraphError):
                await upload.abandon()
            return
        async with self._working() as work:
            await deleting.leave_copy(work, self._row.id, folder_of(self._move), upload.state.item_id)

    async def _opened(self) -> Upload:
        if self._upload is None:
            state, row = State(), self._row
            if self._move.upload is not None:
                async with self._working() as work:
                    sealed, envelope = bytes(self._move.upload), self._deliveries.envelope
                    state = state_of(await envelope.open(work.session, row.org_id, self._sealed, sealed))
            caller, folder = self._deliveries.graph.as_app(row.org_id, "backfill"), folder_of(self._move)
            self._upload = Upload(caller, folder, row.id, path_of(row), row.size_bytes, state, self._save)
        return self._upload

    async def _sent(self, hashed: QuickXor, position: int) -> None:
        self._hashed = hashed
        await self._note(move_queries.NOTE, hashed=json.dumps(hashed.state()), bytes=position)

    async def _save(self, _before: State, now: State) -> None:
        await self._keep(move_queries.KEEP, state=now)


class ToProspo(Trip):
    """Part after part. Each is named in the row before it is written, so that nobody tidies it away meanwhile."""

    async def bring(self, source: Source) -> Arrived:
        row, position = self._row, self._move.moved_bytes
        names = [name for name in self._move.parts if parts.begins(name) < position]
        async with aclosing(ahead(source, PART)(position)) as coming:
            cut = _Cut(coming)
            while position < row.size_bytes:
                size = min(PART, row.size_bytes - position)
                names.append(parts.named(position))
                await self._note(move_queries.KEEP_PARTS, parts=names, bytes=position)
                await self._parts.write(row.org_id, row.id, names[-1], cut.take(size), size)
                position += size
        await self._note(move_queries.KEEP_PARTS, parts=names, bytes=position)
        here = SimpleNamespace(org_id=row.org_id, id=row.id, size_bytes=row.size_bytes, parts=names, completed_at=None)
        whole = await hashed(self._parts.read(here, 0, row.size_bytes))
        nowhere = dict.fromkeys(("drive_id", "folder_id", "item_id", "item_name", "quick_xor"))
        return Arrived(nowhere | {"parts": names}, whole.sha256(), whole.digest())

    async def abandon(self) -> None:
        row = self._row
        listed = await self._parts.listed(row.org_id, row.id)
        async with self._working() as work:
            now = (await work.session.execute(queries.PARTS, {"org_id": row.org_id, "id": row.id})).first()
        await self._parts.remove(listed, kept=named_by(now) if now else ())


class _Cut:
    """A stream of bytes that is taken so many at a time."""

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces, self._rest = pieces, b""

    async def take(self, wanted: int) -> AsyncGenerator[bytes, None]:
        """Raises ``Changed`` when there are no more."""
        while wanted:
            if not self._rest:
                self._rest = await anext(self._pieces, b"")
            if not self._rest:
                raise Changed("the end")
            piece, self._rest = self._rest[:wanted], self._rest[wanted:]
            wanted -= len(piece)
            yield piece


async def hashed(pieces: AsyncGenerator[bytes, None]) -> BothHashes:
    both = BothHashes()
    async with aclosing(pieces) as coming:
        async for piece in coming:
            both.update(piece)
    return both


def trip_of(deliveries: Deliveries, stored: Parts, working: Working, move: Any, row: Any) -> Trip:
    """To where the move's row aims."""
    way = ToProspo if move.drive_id is None else ToLibrary
    return way(deliveries, stored, working, move, row)
