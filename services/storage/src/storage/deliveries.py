"""Files on their way into SharePoint: the automaton's state in the file's row, its session sealed."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.connections.obstacles import TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.database.unit_of_work import Database
from shared.events import FileStored
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphFull, GraphGiveUp, GraphNotFound, GraphRetry
from shared.graph.upload import UploadSession
from shared.problems import BadInput, Conflict, NotFound, ProspoError, Unavailable
from shared.secrets import Envelope
from storage import locations, queries
from storage.automaton import Folder, Stand, State, Upload
from storage.drives import read_item
from storage.places import is_infected, sentence
from storage.stores import Changed
from storage.work import HashFile


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What deliveries need of the service."""

    db: Database
    envelope: Envelope
    graph: Graph

    async def stand(self, row: Any, *, refused: int | None = None) -> tuple[Stand, int]:
        """Where the sender goes on, and in which attempt. ``refused``: SharePoint took no range in that attempt (400).

        Raises ``Unavailable`` while it cannot go on.
        """
        delivery = await self._upload(row)
        try:
            if refused is not None and refused == delivery.state.attempt and delivery.state.session is not None:
                await delivery.refused(delivery.state.session)
            return await delivery.stand(), delivery.state.attempt
        except GraphError as error:
            raise await self._refusal(row, error) from error

    async def finish(self, row: Any, digest: str, item_id: str | None, sha256: str | None) -> None:
        """Verify, publish and announce; safe to do again after a crash at any point.

        ``sha256`` is what its sender hashed; without it a job reads the file once more for it.
        ``item_id`` is what the last range was answered with. Raises ``Unavailable`` when bytes are missing or were
        damaged: ask where it stands.
        """
        if row.completed_at is not None:
            return
        delivery = await self._upload(row)
        try:
            if item_id is not None:
                await delivery.arrived({"id": item_id})
            item = await delivery.finish(digest)
        except GraphRetry as error:
            if error.status:  # Microsoft's, such as of a file that somebody has open
                raise await self._refusal(row, error) from error
            raise Unavailable("not_whole", error.message, retry_after_s=error.after_s) from error
        except GraphError as error:
            raise await self._refusal(row, error) from error
        await self._complete(row, item, digest, sha256)

    async def _refusal(self, row: Any, error: GraphError) -> ProspoError:
        if type(error) is GraphGiveUp:  # the place is well, and this file is not for it
            return BadInput(error.code or "not_stored", error.message)
        return await locations.refused(self.db, row.org_id, folder_of(row), error)

    async def _complete(self, row: Any, item: dict[str, Any], digest: str, sha256: str | None) -> None:
        values = {"org_id": row.org_id, "id": row.id, "item_id": item["id"], "item_name": item["name"]}
        values |= {"sha256": sha256, "quick_xor": digest}
        async with self.db.unit_of_work(row.org_id) as work:
            if (await work.session.execute(queries.DELIVERED, values)).first():
                work.outbox.add(
                    FileStored(
                        org_id=row.org_id,
                        aggregate_version=1,
                        file_id=row.id,
                        path=row.path,
                        size_bytes=row.size_bytes,
                        content_type=row.content_type,
                        sha256=sha256,
                    )
                )
                if sha256 is None:
                    work.queue(HashFile(file_id=row.id))
                await locations.keep_state(work, folder_of(row), "works")
                return
            known = (await work.session.execute(queries.THERE, {"org_id": row.org_id, "id": row.id})).first()
        if known is None:  # erased while its last range came
            await self._caller(row.org_id).delete(f"{folder_of(row).items}/{item['id']}")
            raise NotFound("upload_not_found", "This file was erased meanwhile.")

    async def abandon(self, row: Any) -> None:
        """What was sent to a place that the file does not go to any more; what cannot be reached is left there."""
        delivery = await self._upload(row)
        try:
            await delivery.abandon()
        except GraphError:
            return

    async def delete(self, row: Any) -> None:
        """The file's copy in SharePoint, whole or not. Raises ``GraphError`` when it cannot be reached."""
        item_id = row.item_id or (await self._upload(row)).state.item_id
        if item_id is None:
            await self.abandon(row)
            return
        with suppress(GraphNotFound):
            await self._caller(row.org_id).delete(f"{folder_of(row).items}/{item_id}")

    def _caller(self, org_id: str) -> GraphCaller:
        return self.graph.as_app(org_id)

    async def _upload(self, row: Any) -> Upload:
        state = State()
        if row.upload is not None:
            async with self.db.unit_of_work(row.org_id) as work:
                opened = await self.envelope.open(work.session, row.org_id, _seal_place(row), bytes(row.upload))
            state = state_of(opened)
        keeper = _Keeper(self, row)
        caller = self._caller(row.org_id)
        return Upload(caller, folder_of(row), row.id, path_of(row), row.size_bytes, state, keeper.save)


class _Keeper:
    """Saves the state only in place of the one that was read: two processes with one file do not undo each other."""

    def __init__(self, deliveries: Deliveries, row: Any) -> None:
        self._deliveries = deliveries
        self._row = row
        self._step = row.upload_step

    async def save(self, _before: State, now: State) -> None:
        row, envelope = self._row, self._deliveries.envelope
        async with self._deliveries.db.unit_of_work(row.org_id) as work:
            sealed = await envelope.seal(work.session, row.org_id, _seal_place(row), bytes_of(now))
            values = {"org_id": row.org_id, "id": row.id, "upload": sealed, "step": self._step}
            kept = (await work.session.execute(queries.KEEP_UPLOAD, values)).first()
        if kept is None:
            raise Unavailable("upload_elsewhere", "Another process goes on with this file. Ask again where it stands.")
        self._step += 1


def path_of(row: Any) -> str:
    """Below the chosen folder, by month, so that libraries stay listable; the name is one that people know."""
    return f"{row.created_at:%Y/%m}/{row.file_name or row.path.rpartition('/')[2]}"


def folder_of(row: Any) -> Folder:
    return Folder(row.drive_id, row.folder_id)


def _seal_place(row: Any) -> str:
    return f"stored_file|{row.id}"


def bytes_of(state: State) -> bytes:
    said = {
        "attempt": state.attempt,
        "session": state.session and state.session.secret(),
        "born_at": state.born_at and state.born_at.isoformat(),
        "item_id": state.item_id,
        "damaged": state.damaged,
        "missed": state.missed,
        "name": state.name,
    }
    return json.dumps(said).encode()


def state_of(kept: bytes) -> State:
    said = json.loads(kept)
    said["session"] = said["session"] and UploadSession.of_secret(said["session"])
    said["born_at"] = said["born_at"] and datetime.fromisoformat(said["born_at"])
    return State(**said)


def must_turn(row: Any, place: Mapping[str, str | None]) -> bool:
    """Whether an unfinished file goes elsewhere than it was going to; what Prospo's own storage has begun it ends."""
    aimed = {"drive_id": row.drive_id, "folder_id": row.folder_id}
    return row.completed_at is None and aimed != place and (row.drive_id is not None or row.received_bytes == 0)


async def full(db: Database, row: Any) -> Unavailable:
    """The sender met a library without room."""
    return await locations.refused(db, row.org_id, folder_of(row), GraphFull("The library has no room left.", 507))


async def from_sharepoint(graph: Graph, row: Any, start: int, end: int) -> AsyncGenerator[bytes, None]:
    """Bytes of a file that is in SharePoint, once SharePoint has begun to give them.

    Raises ``NotFound``, ``Conflict`` or ``Unavailable`` when it does not.
    """
    caller, folder = graph.as_app(row.org_id, "interactive"), folder_of(row)
    pieces = read_item(caller, folder, row.item_id, start, end, row.size_bytes, row.quick_xor)
    try:
        first = await anext(pieces, b"")
    except GraphRetry as error:
        raise Unavailable("sharepoint_busy", sentence(error), retry_after_s=error.after_s) from error
    except GraphNotFound as error:
        raise NotFound(
            "file_gone", "This file is not in SharePoint any more. Restore it from the recycle bin of the site there."
        ) from error
    except Changed as error:
        raise Conflict("file_changed", "Somebody changed this file in SharePoint. Open it there.") from error
    except GraphError as error:
        if is_infected(error):
            raise Conflict("file_infected", sentence(error)) from error
        if error.code == TENANT_NOT_CONNECTED.code:
            detail = f"This file is in SharePoint, as {row.item_name}. {error.message}"
            raise conflict(TENANT_NOT_CONNECTED, detail=detail) from error
        raise Conflict("sharepoint_refuses", f"SharePoint does not give the file. {sentence(error)}") from error

    async def whole() -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return whole()
