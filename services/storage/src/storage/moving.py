"""Files that change their place: those that follow to the chosen one, and in a migration all of them, to it or back.

A file is read where it is, goes into the other place by a trip (``trips.py``), is verified by hash, and only then the
row names the new copy; the old one is deleted after that. So it can be read all the time, and a process that dies
leaves the next one the trip's state. One job per organisation moves one file after another.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.connections import tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphRetry
from shared.jobs import Periodic
from shared.jobs.job import Job
from shared.problems import Unavailable
from storage import deleting, locations, move_queries, queries
from storage.automaton import Folder
from storage.deliveries import Deliveries, folder_of
from storage.drives import hash_of_item, read_item
from storage.parts import Parts
from storage.places import sentence
from storage.stores import Changed, NotThere, Source
from storage.trips import Arrived, Gone, Stopped, Trip, trip_of
from storage.uploads import tidy_later

TRIES = 5
"""So many times a file that is refused by itself, not by its place, is tried."""


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
                works = place is not None and tenant.connected and place.state == "works"
                about = {"org_id": self.job.org_id, "connected": tenant.connected, "works": works}
                move = (await work.session.execute(move_queries.NEXT, about)).first()
            if move is None:
                break
            if move.why == "cancelled":
                await self._forget(move)
            else:
                await self._try(move, None if move.back else folder_of(place))
        async with self.job.unit_of_work() as work:
            left = (await work.session.execute(move_queries.LEFT, {"org_id": self.job.org_id})).one()
            if left.waiting == 0:
                await work.session.execute(move_queries.END, {"org_id": self.job.org_id, "state": "done"})
            wait_s = (await work.session.execute(move_queries.NEXT_S, {"org_id": self.job.org_id})).scalar()
        if wait_s is not None:  # one that is due waits for a place that does not work
            raise Periodic("some files are tried again", after_s=wait_s if wait_s > 0 else locations.WAIT_S)

    async def _try(self, move: Any, target: Folder | None) -> None:
        """Move it, or note why not; what the refusal says of the place is kept too."""
        try:
            await self._move(move, target)
        except Stopped:
            return
        except (GraphError, Changed, NotThere, NotTheFile, Unavailable) as error:
            state = locations.state_of(error) if isinstance(error, GraphError) else None
            waits = state is not None or isinstance(error, (GraphRetry, Unavailable))
            after_s = max(error.after_s, 1) if isinstance(error, GraphRetry) else locations.WAIT_S
            hopeless = isinstance(error, NotTheFile) or move.tries + 1 >= TRIES
            said = {"says": _says(error), "failed": hopeless and not waits, "after_s": after_s}
            async with self.job.unit_of_work() as work:
                about = {"org_id": self.job.org_id, "file_id": move.file_id}
                await work.session.execute(move_queries.SAY, about | said)
                if state is not None and target is not None:
                    await locations.keep_state(work, target, state)

    async def _move(self, move: Any, target: Folder | None) -> None:
        about = {"org_id": self.job.org_id, "file_id": move.file_id}
        async with self.job.unit_of_work() as work:
            row = (await work.session.execute(queries.PARTS, {"org_id": move.org_id, "id": move.file_id})).one()
            if _place_of(row) == target:
                await work.session.execute(move_queries.FORGET, about)
                return
        if _place_of(move) != target:  # another place since then
            move = await self._anew(self._trip(move, row), row, target)
        trip = self._trip(move, row)
        try:
            arrived = await trip.bring(self._source(row))
        except Gone:
            await trip.abandon()
            raise
        if (wrong := await self._wrong(row, arrived)) is not None:
            await self._anew(trip, row, target)
            raise wrong
        if not await self._arrive(move, row, arrived):
            await trip.abandon()

    async def _wrong(self, row: Any, arrived: Arrived) -> Exception | None:
        """What arrived has to be what was stored, and what stands there still: no change of somebody's is deleted."""
        if row.sha256 not in {None, arrived.sha256}:
            return NotTheFile()
        if row.item_id is None:
            return None
        with _at_source(row):
            now = await hash_of_item(self._caller(), folder_of(row), row.item_id)
        same = row.quick_xor in {None, arrived.quick_xor} and now in {None, arrived.quick_xor}
        return None if same else Changed(row.id)

    async def _anew(self, trip: Trip, row: Any, target: Folder | None) -> Any:
        """What was sent goes, and the file begins anew, to this place; the move's row. Raises ``Gone``."""
        await trip.abandon()
        values = {"org_id": row.org_id, "file_id": row.id}
        values |= {"drive_id": target and target.drive_id, "folder_id": target and target.folder_id}
        async with self.job.unit_of_work() as work:
            move = (await work.session.execute(move_queries.AIM, values)).first()
        if move is None:
            raise Gone
        return move

    async def _arrive(self, move: Any, row: Any, arrived: Arrived) -> bool:
        """False when somebody deleted the file meanwhile."""
        about = {"org_id": row.org_id, "file_id": row.id}
        values = about | arrived.columns | {"was": row.item_id, "sha256": arrived.sha256}
        async with self.job.unit_of_work() as work:
            await work.session.execute(move_queries.FORGET, about)
            now = (await work.session.execute(move_queries.ARRIVED, values)).first()
            if now is None:
                return False
            if move.why == "migration":
                await work.session.execute(move_queries.MOVED, {"org_id": row.org_id, "bytes": row.size_bytes})
            if row.item_id is not None:
                await deleting.leave_copy(work, row.id, folder_of(row), row.item_id)
            if None in {row.item_id, now.item_id}:
                tidy_later(work, now)
        return True

    async def _forget(self, move: Any) -> None:
        """What was sent so far goes; the file stays where it is."""
        async with self.job.unit_of_work() as work:
            row = (await work.session.execute(queries.PARTS, {"org_id": move.org_id, "id": move.file_id})).one()
        await self._trip(move, row).abandon()
        async with self.job.unit_of_work() as work:
            await work.session.execute(move_queries.FORGET, {"org_id": move.org_id, "file_id": move.file_id})

    def _trip(self, move: Any, row: Any) -> Trip:
        return trip_of(self.deliveries, self.parts, self._working, move, row)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[UnitOfWork]:
        """Each is a step after which a worker that stops ends."""
        async with self.job.unit_of_work() as work:
            yield work
            await work.save_checkpoint({})

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
            with _at_source(row):
                async with aclosing(stream) as coming:
                    async for piece in coming:
                        yield piece

        return pieces


@contextmanager
def _at_source(row: Any) -> Iterator[None]:
    """What the old place refuses says nothing of the new one."""
    try:
        yield
    except GraphNotFound as error:
        raise NotThere(row.id) from error
    except GraphRetry:
        raise
    except GraphError as error:
        refused = GraphGiveUp(error.message, error.status, error.code, error.request_id)
        refused.inner_code = error.inner_code
        raise refused from error


def _place_of(row: Any) -> Folder | None:
    """Where a file or a move is; None is Prospo's own storage."""
    return None if row.drive_id is None else folder_of(row)


async def stop(deliveries: Deliveries, parts: Parts, row: Any) -> None:
    """The file is being erased: what was sent of it to another place goes too."""
    working = partial(deliveries.db.unit_of_work, row.org_id)
    async with working() as work:
        move = (await work.session.execute(move_queries.MOVE, {"org_id": row.org_id, "file_id": row.id})).first()
    if move is not None and move.upload is not None:
        await trip_of(deliveries, parts, working, move, row).abandon()


def _says(error: Exception) -> str:
    if isinstance(error, GraphError):
        return sentence(error)
    if isinstance(error, Unavailable):
        return error.detail
    if isinstance(error, NotThere):
        return "The file is not where it was any more. Restore it from the recycle bin of its site."
    if isinstance(error, Changed):
        return "Somebody changed this file in SharePoint. It stays where it is."
    return "What was read is not the file that was stored: its SHA-256 differs. It stays where it is."
