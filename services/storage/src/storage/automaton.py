"""One file on its way into a SharePoint library, whatever happens on it, until exactly one whole file is there.

::

    reserved(attempt) ─► sending(session, born_at) ─► committed(item) ─► published
        ▲                     │ 404, 403, aged, not what was sent │ deleted meanwhile
        └─────────────────────┴──────────────────────────────────┘

An attempt has a name of its own in a staging folder, so no crash leaves a name that stays locked, and nobody sees half
a file. What has to be known later is saved before it is needed: the attempt before the session is asked for, the
session's address before the first byte, the item before it gets its name. Everything else SharePoint is asked for, by
whichever process comes next.

Who sends the bytes asks ``stand`` for the session, sends ranges to it as ``shared.graph.upload`` does, asks again after
anything unclear, and says with ``finish`` which hash they have; ``deliver`` does it all for who has the bytes. Refusals
that time or a person lifts (423, 429, 507, a grant that was withdrawn, a place that is gone) are raised as they are and
change nothing: the next call goes on.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from shared.ahead import ahead
from shared.graph import GraphCaller
from shared.graph.errors import (
    GraphConflict,
    GraphError,
    GraphGiveUp,
    GraphNotFound,
    GraphPastEnd,
    GraphRetry,
    GraphSessionGone,
    GraphTellAdmin,
)
from shared.graph.quickxor import QuickXor, hash_rest, hashing
from shared.graph.upload import CHUNK, UploadSession
from storage import names
from storage.stores import Source

STAGING = "_uploading"
OLDEST = timedelta(hours=20)
"""The token within an upload address ends after about a day, whatever its session says."""
DAMAGED = 3
"""So many times may what was sent arrive as something else, or be refused as a whole."""
MISSED = 3
"""So many times is a committed item looked for before it counts as deleted."""
ROUNDS = 4
"""So many rounds without a byte of progress end a delivery; a later one goes on."""
_CONFLICT, _SOURCE = "@microsoft.graph.conflictBehavior", "@microsoft.graph.sourceUrl"
_FIELDS = {"$select": "id,name,size,cTag,file,parentReference"}


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of one upload; the session is a secret."""

    attempt: int = 0
    session: UploadSession | None = None
    born_at: datetime | None = None
    item_id: str | None = None
    damaged: int = 0
    missed: int = 0
    """So many times was the committed item not found, as may happen right after it was made."""
    name: str | None = None
    """Name of the published file; None before."""

    @property
    def is_aged(self) -> bool:
        return self.born_at is not None and datetime.now(UTC) - self.born_at > OLDEST

    def anew(self, damaged: int | None = None) -> "State":
        return State(self.attempt, damaged=self.damaged if damaged is None else damaged)


@dataclass(frozen=True, slots=True)
class Folder:
    """A place in a library: a folder, which people may rename or move meanwhile, of a drive."""

    drive_id: str
    folder_id: str

    @property
    def items(self) -> str:
        return f"/drives/{quote(self.drive_id)}/items"

    def at(self, path: str) -> str:
        return f"{self.items}/{quote(self.folder_id)}:/{quote(path)}"


@dataclass(frozen=True, slots=True)
class Stand:
    """``position`` is the byte wanted next, of ``session``; all are there when it is the file's size."""

    position: int
    session: UploadSession | None


class Damaged(GraphRetry):
    """What arrived is not what was sent, or was refused; it was deleted, and the file begins anew."""


Noted = Callable[[QuickXor, int], Awaitable[None]]
"""Told after each range the hash, which may be further than what was sent, and where sending goes on."""
Save = Callable[[State, State], Awaitable[None]]
"""Keeps the second state in place of the first; raises when somebody else has kept another meanwhile."""


class Upload:
    """The file ``file_id`` of ``size`` bytes, to be known as ``path`` below the folder.

    A name that somebody else has is left to them: the file gets another beside it.
    """

    def __init__(
        self,
        caller: GraphCaller,
        folder: Folder,
        file_id: str,
        path: str,
        size: int,
        state: State,
        save: Save,
        *,
        chunk: int = CHUNK,
    ) -> None:
        self._caller = caller
        self._folder = folder
        self._file_id = file_id
        self._path = [names.safe(name) for name in path.split("/")]
        self._chunk = chunk
        self._size = size
        self.state = state
        self._save = save

    async def stand(self) -> Stand:
        """Where to go on. Raises ``GraphError`` when it cannot now."""
        while not self.state.item_id:
            if self.state.session is None or self.state.is_aged:
                await self._begin()
                if self.state.session is not None:
                    return Stand(0, self.state.session)
            elif (position := await self._position_now(self.state.session)) is not None:
                return Stand(position, self.state.session)
        return Stand(self._size, None)

    async def deliver(
        self, source: Source, hashed: QuickXor | None = None, noted: Noted | None = None
    ) -> dict[str, Any]:
        """All of the above for who has the bytes: send what is missing, finish, and return Graph's item.

        ``hashed`` is as far as an earlier process came with this attempt, as ``noted`` was told it. Raises
        ``GraphError`` when it cannot now; the next call goes on.
        """
        hashed, attempt, furthest, idle = hashed or QuickXor(), self.state.attempt, -1, 0
        while True:
            stand = await self.stand()
            if self.state.attempt != attempt:
                hashed, attempt, furthest = type(hashed)(), self.state.attempt, -1
            idle = 0 if stand.position > furthest else idle + 1
            furthest = max(furthest, stand.position)
            try:
                if stand.session is not None:
                    await self.arrived(await self._send(stand, source, hashed, noted))
                await hash_rest(source, hashed, self._size)
                return await self.finish(hashed.digest())
            except (GraphConflict, GraphSessionGone, GraphPastEnd, Damaged):
                if idle >= ROUNDS:
                    raise
            except GraphGiveUp as error:
                if stand.session is None or error.status != 400:
                    raise
                await self.refused(stand.session)

    async def _send(self, stand: Stand, source: Source, hashed: QuickXor, noted: Noted | None) -> dict[str, Any]:
        async def saved(position: int) -> None:
            if noted is not None:
                await noted(hashed, position)

        session = stand.session or UploadSession("")
        upload = self._caller.upload(session, self._size)
        coming = ahead(hashing(source, hashed), session.chunk)
        return await upload.send(coming, start=stand.position, saved=saved)

    async def arrived(self, item: dict[str, Any]) -> None:
        """What the last range was answered, which spares looking for the item; ``{}`` when it is not known."""
        if "id" in item and not self.state.item_id:
            await self._keep(replace(self.state, session=None, item_id=str(item["id"])))

    async def refused(self, session: UploadSession) -> None:
        """SharePoint does not take a range that it wants (400), such as an odd rest of one of which it lost a part.

        The file begins anew. Raises ``GraphGiveUp`` when that happened too often.
        """
        await self._cancel(session)
        if isinstance(error := await self._anew("SharePoint does not take the range that it asks for."), GraphGiveUp):
            raise error

    async def finish(self, digest: str) -> dict[str, Any]:
        """Verify, publish, and return Graph's item. ``digest`` is the quickXorHash of what was sent.

        Raises ``Damaged``: send all of it again. ``GraphRetry`` also while not all bytes have arrived.
        """
        stand = await self.stand()
        if stand.session is not None:
            raise GraphRetry(f"SharePoint has {stand.position} of {self._size} bytes.", after_s=1)
        item = await self._item()
        if self.state.name is None:
            if not _is_whole(item, self._size, digest):
                with contextlib.suppress(GraphNotFound):
                    await self._caller.delete(f"{self._folder.items}/{self.state.item_id}")
                raise await self._anew("What arrived in SharePoint is not what was sent.")
            item = await self._publish(item)
        return item

    async def abandon(self) -> None:
        """Forget what was sent. What is published stays."""
        if self.state.name is None:
            if self.state.session is not None:
                await self._cancel(self.state.session)
            await self._forget(self.state.attempt)

    async def _begin(self) -> None:
        """A new session under a name that none had; the former attempt's bytes go."""
        before = self.state
        await self._keep(State(before.attempt + 1, damaged=before.damaged))
        if before.session is not None:
            await self._cancel(before.session)
        try:
            if self._size == 0:  # it has no ranges, so no session
                item = await self._caller.put(f"{self._staged()}:/content?{_CONFLICT}=fail", content=b"")
                await self._keep(replace(self.state, item_id=str(item["id"])))
            else:
                about = {_CONFLICT: "fail", "fileSize": self._size}
                session = await self._caller.upload_session(f"{self._staged()}:/createUploadSession", {"item": about})
                session = replace(session, chunk=self._chunk)
                await self._keep(replace(self.state, session=session, born_at=datetime.now(UTC)))
        except GraphConflict as error:
            raise GraphRetry("The name of this attempt is taken. The next one has another.", after_s=1) from error
        except GraphNotFound as error:
            await self._find_place()
            raise GraphRetry("SharePoint did not find the place at once.", after_s=1) from error

    async def _find_place(self) -> None:
        """Not every library makes the folders of an upload by itself."""
        try:
            await self._made(self._folder.folder_id, [STAGING])
        except GraphNotFound as error:
            message = "The folder for files does not exist in SharePoint any more. Choose another one."
            raise GraphTellAdmin(message, error.status, "place_gone", error.request_id) from error

    async def _position_now(self, session: UploadSession) -> int | None:
        """A question that is answered with a conflict is asked again; it is no end."""
        try:
            return await self._position(session)
        except GraphConflict as error:
            raise GraphRetry("SharePoint does not say where the upload stands.", after_s=1) from error

    async def _position(self, session: UploadSession) -> int | None:
        """The first byte that is missing; None when the session has ended, one way or the other."""
        try:
            standing = await self._caller.upload(session, self._size).standing()
        except GraphSessionGone:
            standing = None
        if standing is not None and standing.position < self._size:
            return standing.position
        if standing is not None and not standing.done:
            await self._commit(session)
            if self.state.session is None:  # what was sent is refused as a whole
                return None
        found = await self._staged_item()
        if found is not None and found["size"] == self._size:
            await self._keep(replace(self.state, session=None, item_id=str(found["id"])))
        else:
            await self._keep(self.state.anew())
        return None

    async def _commit(self, session: UploadSession) -> None:
        """All bytes are there and no item is made of them yet: it is made, without sending them again."""
        body = {"name": f"{self._file_id}.{self.state.attempt}.part", _CONFLICT: "fail", _SOURCE: session.url}
        try:
            await self._caller.put(self._staged(), body)
        except (GraphConflict, GraphNotFound, GraphPastEnd):
            return
        except GraphGiveUp as error:
            if error.status != 400:
                raise
            await self.refused(session)

    async def _item(self) -> dict[str, Any]:
        """The committed one. When it is not there any more, the file begins anew."""
        try:
            return await self._caller.get(f"{self._folder.items}/{self.state.item_id}", _FIELDS)
        except GraphNotFound as error:
            count = self.state.missed + 1
            await self._keep(self.state.anew() if count >= MISSED else replace(self.state, missed=count))
            raise GraphRetry("SharePoint does not find the file that it took.", after_s=2.0 * count) from error

    async def _anew(self, why: str) -> GraphError:
        count = self.state.damaged + 1
        await self._keep(self.state.anew(count))
        if count >= DAMAGED:
            return GraphGiveUp(why, code="damaged")
        return Damaged(f"{why} It is sent again.", after_s=1)

    async def _publish(self, item: dict[str, Any]) -> dict[str, Any]:
        """Move it to where it belongs, at once whole; a name that somebody else has is not taken from them."""
        parent = await self._parent()
        *_, name = self._path
        taken = GraphConflict("No name is left.")
        for wanted in (name, *(names.beside(name, mark) for mark in (self._file_id[:8], self._file_id))):
            if _stands(item, parent, wanted):
                break
            change = {"name": wanted, "parentReference": {"id": parent}, _CONFLICT: "fail"}
            try:
                item = await self._caller.patch(f"{self._folder.items}/{item['id']}", change)
                break
            except GraphConflict as error:
                taken = error
            except GraphNotFound as error:
                raise GraphRetry("SharePoint does not find the file that it took.", after_s=1) from error
        else:
            raise taken
        await self._forget(self.state.attempt - 1)
        await self._keep(replace(self.state, name=str(item["name"])))
        return item

    async def _parent(self) -> str:
        """The folder of the file, made where it is missing."""
        parent = self._folder.folder_id
        if self._path[1:]:
            with contextlib.suppress(GraphNotFound):
                whole = self._folder.at("/".join(self._path[:-1]))
                return str((await self._caller.get(whole, {"$select": "id"}))["id"])
        for depth in range(1, len(self._path)):
            parent = await self._made(parent, self._path[:depth])
        return parent

    async def _made(self, parent: str, path: list[str]) -> str:
        try:
            found = await self._caller.get(self._folder.at("/".join(path)), {"$select": "id"})
        except GraphNotFound:
            body = {"name": path[-1], "folder": {}, _CONFLICT: "fail"}
            try:
                found = await self._caller.post(f"{self._folder.items}/{parent}/children", body)
            except GraphConflict:  # another file made it at the same moment
                found = await self._caller.get(self._folder.at("/".join(path)), {"$select": "id"})
        return str(found["id"])

    async def _staged_item(self) -> dict[str, Any] | None:
        try:
            return await self._caller.get(self._staged(), _FIELDS)
        except GraphNotFound:
            return None

    def _staged(self, attempt: int | None = None) -> str:
        return self._folder.at(f"{STAGING}/{self._file_id}.{attempt or self.state.attempt}.part")

    async def _forget(self, last: int) -> None:
        """What attempts up to ``last`` may have left behind, such as one whose last answer was lost."""
        for attempt in range(1, last + 1):
            with contextlib.suppress(GraphNotFound):
                await self._caller.delete(self._staged(attempt))

    async def _cancel(self, session: UploadSession) -> None:
        """Nothing depends on it: an address that is not heard of any more ends by itself."""
        with contextlib.suppress(GraphError):
            await self._caller.upload(session, self._size).cancel()

    async def _keep(self, state: State) -> None:
        await self._save(self.state, state)
        self.state = state


def _is_whole(item: dict[str, Any], size: int, digest: str) -> bool:
    hashes = (item.get("file") or {}).get("hashes") or {}
    return bool(item["size"] == size and hashes.get("quickXorHash") == digest)


def _stands(item: dict[str, Any], parent: str, name: str) -> bool:
    """Whether an earlier try, whose answer was lost, has put it there."""
    return item.get("name") == name and (item.get("parentReference") or {}).get("id") == parent
