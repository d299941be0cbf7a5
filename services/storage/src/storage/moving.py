"""Files that change their place: those that follow to the chosen one, and all of them in a migration.

A file is read where it is, goes into the library by the automaton, is verified by hash, and only then the row names the
new copy; the old one is deleted after that. So it can be read all the time, and a process that dies leaves the next
one the automaton's state. One job per organisation moves one file after another.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.connections import tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphRetry
from shared.graph.quickxor import BothHashes, QuickXor
from shared.jobs import Periodic
from shared.jobs.job import Job
from storage import deleting, locations, move_queries, queries
from storage.automaton import Folder, State, Upload
from storage.deliveries import Deliveries, bytes_of, folder_of, path_of, state_of
from storage.drives import read_item
from storage.parts import Parts
from storage.places import sentence
from storage.stores import Changed, NotThere, Source
from storage.uploads import tidy_later

TRIES = 5
"""So many times a file that is refused by itself, not by its place, is tried."""


class Stopped(Exception):
    """Somebody cancelled it, or another process moves this file."""


class Gone(Stopped):
    """Somebody deleted the file meanwhile."""


class NotTheFile(Exception):
    """What was read is not the file that was stored."""


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves the files of one organisation, in its job."""

    job: Job
    deliveries: Deliveries
    parts: Parts

    async def all_due(self) -> None:
        """One after another. Raises ``Periodic`` while some wait for later."""
        while True:
            async with self.job.unit_of_work() as work:
                place = await locations.chosen(work)
                tenant = await tenant_of(work.session, self.job.org_id)
                move = (await work.session.execute(move_queries.NEXT, {"org_id": self.job.org_id})).first()
            if move is None:
                break
            if move.why == "cancelled":
                await self._forget(move)
                continue
            if place is None or not tenant.connected or place.state != "works":
                raise Periodic("the place for files does not work", after_s=locations.WAIT_S)
            await self._try(move, place)
        async with self.job.unit_of_work() as work:
            left = (await work.session.execute(move_queries.LEFT, {"org_id": self.job.org_id})).one()
            if left.waiting == 0:
                await work.session.execute(move_queries.END, {"org_id": self.job.org_id, "state": "done"})
            wait_s = (await work.session.execute(move_queries.NEXT_S, {"org_id": self.job.org_id})).scalar()
        if wait_s is not None:
            raise Periodic("some files are tried again", after_s=max(wait_s, 1))

    async def _try(self, move: Any, place: Any) -> None:
        """Move it, or note why not; what the refusal says of the place is kept too."""
        try:
            await self._move(move, place)
        except Stopped:
            return
        except (GraphError, Changed, NotThere, NotTheFile) as error:
            state = locations.state_of(error) if isinstance(error, GraphError) else None
            waits = state is not None or isinstance(error, GraphRetry)
            after_s = max(error.after_s, 1) if isinstance(error, GraphRetry) else locations.WAIT_S
            hopeless = isinstance(error, NotTheFile) or move.tries + 1 >= TRIES
            said = {"says": _says(error), "failed": hopeless and not waits, "after_s": after_s}
            async with self.job.unit_of_work() as work:
                about = {"org_id": self.job.org_id, "file_id": move.file_id}
                await work.session.execute(move_queries.SAY, about | said)
                if state is not None and not isinstance(error, _AtSource):
                    await locations.keep_state(work, Folder(place.drive_id, place.folder_id), state)

    async def _move(self, move: Any, place: Any) -> None:
        org_id, target = self.job.org_id, Folder(place.drive_id, place.folder_id)
        async with self.job.unit_of_work() as work:
            about = {"org_id": org_id, "file_id": move.file_id}
            row = (await work.session.execute(queries.PARTS, {"org_id": org_id, "id": move.file_id})).one()
            if row.drive_id is not None and folder_of(row) == target:
                await work.session.execute(move_queries.FORGET, about)
                return
            if (move.drive_id, move.folder_id) != (target.drive_id, target.folder_id):  # another place since then
                aim = {"drive_id": target.drive_id, "folder_id": target.folder_id}
                move = (await work.session.execute(move_queries.AIM, about | aim)).one()
        trip = _Trip(self.deliveries, self.job.unit_of_work, move, row, target)
        upload = await trip.upload()
        try:
            item = await upload.deliver(self._source(row), trip.hashed, partial(self._note, trip))
        except Gone:
            await self._clean(upload, row, target)
            raise
        sha256 = await self._sha256_of(row, trip.hashed)
        if row.sha256 not in {None, sha256}:
            with suppress(GraphNotFound):
                await self._caller().delete(f"{target.items}/{item['id']}")
            raise NotTheFile
        await self._arrive(move, row, target, item, sha256)

    async def _sha256_of(self, row: Any, hashed: QuickXor) -> str:
        """As it was read on the way, or read once more where several processes had a part in it."""
        if isinstance(hashed, BothHashes) and hashed.size == row.size_bytes:
            return hashed.sha256()
        whole = BothHashes()
        async with aclosing(self._source(row)(0)) as pieces:
            async for piece in pieces:
                whole.update(piece)
        return whole.sha256()

    async def _clean(self, upload: Upload, row: Any, target: Folder) -> None:
        """What was sent of a file that is deleted: committed, it may have got its name already."""
        if upload.state.item_id is None:
            with suppress(GraphError):
                await upload.abandon()
            return
        async with self.job.unit_of_work() as work:
            await deleting.leave_copy(work, row.id, target, upload.state.item_id)

    async def _arrive(self, move: Any, row: Any, target: Folder, item: dict[str, Any], sha256: str) -> None:
        values = {"org_id": row.org_id, "file_id": row.id, "drive_id": target.drive_id, "folder_id": target.folder_id}
        values |= {"item_id": str(item["id"]), "item_name": str(item["name"]), "was": row.item_id, "sha256": sha256}
        async with self.job.unit_of_work() as work:
            await work.session.execute(move_queries.FORGET, {"org_id": row.org_id, "file_id": row.id})
            arrived = (await work.session.execute(move_queries.ARRIVED, values)).first()
            if arrived is None:  # deleted meanwhile
                await deleting.leave_copy(work, row.id, target, values["item_id"])
                return
            if move.why == "migration":
                await work.session.execute(move_queries.MOVED, {"org_id": row.org_id, "bytes": row.size_bytes})
            if row.item_id is not None:
                await deleting.leave_copy(work, row.id, folder_of(row), row.item_id)
            else:
                tidy_later(work, arrived)

    async def _forget(self, move: Any) -> None:
        """What was sent so far goes; the file stays where it is."""
        async with self.job.unit_of_work() as work:
            row = (await work.session.execute(queries.PARTS, {"org_id": move.org_id, "id": move.file_id})).one()
        await _trip_of(self.deliveries, self.job.unit_of_work, move, row).abandon()
        async with self.job.unit_of_work() as work:
            await work.session.execute(move_queries.FORGET, {"org_id": move.org_id, "file_id": move.file_id})

    async def _note(self, trip: "_Trip", hashed: QuickXor, position: int) -> None:
        """After each range; a worker that stops ends here, and so does a migration that was cancelled."""
        trip.hashed = hashed
        values = {"org_id": trip.row.org_id, "file_id": trip.row.id, "bytes": position}
        async with self.job.unit_of_work() as work:
            values |= {"hashed": json.dumps(hashed.state())}
            noted = (await work.session.execute(move_queries.NOTE, values)).first()
            if noted is None:
                raise Gone
            if noted.why == "cancelled":
                raise Stopped
            await work.save_checkpoint({"file_id": trip.row.id})

    def _caller(self) -> Any:
        return self.deliveries.graph.as_app(self.job.org_id, "backfill")

    def _source(self, row: Any) -> Source:
        """The file's bytes where it is now."""

        async def pieces(position: int) -> AsyncGenerator[bytes, None]:
            if row.item_id is None:
                stream = self.parts.read(row, position, row.size_bytes)
            else:
                size = row.size_bytes
                stream = read_item(self._caller(), folder_of(row), row.item_id, position, size, size)
            try:
                async with aclosing(stream) as coming:
                    async for piece in coming:
                        yield piece
            except GraphNotFound as error:
                raise NotThere(row.id) from error
            except GraphRetry:
                raise
            except GraphError as error:
                raise _AtSource(error.message, error.status, error.code, error.request_id) from error

        return pieces


class _AtSource(GraphGiveUp):
    """The old place refuses; it says nothing of the new one."""


Working = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


class _Trip:
    """One file's way: the automaton's state, sealed in the move's row, and how far the hash is."""

    def __init__(self, deliveries: Deliveries, working: Working, move: Any, row: Any, target: Folder) -> None:
        self._deliveries, self._working, self._move, self._target = deliveries, working, move, target
        self.row = row
        self._step = move.step
        self._place = f"file_move|{row.id}"
        self.hashed: QuickXor = QuickXor.of_state(move.hashed) if move.hashed else BothHashes()

    async def upload(self) -> Upload:
        state, row, path = State(), self.row, path_of(self.row)
        if self._move.upload is not None:
            async with self._working() as work:
                sealed = bytes(self._move.upload)
                state = state_of(await self._deliveries.envelope.open(work.session, row.org_id, self._place, sealed))
        caller = self._deliveries.graph.as_app(row.org_id, "backfill")
        return Upload(caller, self._target, row.id, path, row.size_bytes, state, self._save)

    async def abandon(self) -> None:
        """What was sent so far goes, as well as it can be; the sweep of the staging folder finds the rest."""
        with suppress(GraphError):
            await (await self.upload()).abandon()

    async def _save(self, _before: State, now: State) -> None:
        about = {"org_id": self.row.org_id, "file_id": self.row.id, "step": self._step}
        async with self._working() as work:
            envelope = self._deliveries.envelope
            sealed = await envelope.seal(work.session, self.row.org_id, self._place, bytes_of(now))
            if (await work.session.execute(move_queries.KEEP, about | {"upload": sealed})).first() is None:
                raise Stopped if (await work.session.execute(move_queries.MOVE, about)).first() else Gone
        self._step += 1


def _trip_of(deliveries: Deliveries, working: Working, move: Any, row: Any) -> _Trip:
    return _Trip(deliveries, working, move, row, Folder(move.drive_id, move.folder_id))


async def stop(deliveries: Deliveries, row: Any) -> None:
    """The file is being erased: what was sent of it to another place goes too."""
    working = partial(deliveries.db.unit_of_work, row.org_id)
    async with working() as work:
        move = (await work.session.execute(move_queries.MOVE, {"org_id": row.org_id, "file_id": row.id})).first()
    if move is not None and move.upload is not None:
        await _trip_of(deliveries, working, move, row).abandon()


def _says(error: Exception) -> str:
    if isinstance(error, GraphError):
        return sentence(error)
    if isinstance(error, NotThere):
        return "The file is not where it was any more. Restore it from the recycle bin of its site."
    if isinstance(error, Changed):
        return "Somebody changed this file in SharePoint. It stays where it is."
    return "What was read is not the file that was stored: its SHA-256 differs. It stays where it is."
