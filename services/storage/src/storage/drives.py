"""The other store: a folder of a SharePoint library, also that of a Teams channel, through Graph as the application."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from shared.graph import GraphCaller
from shared.graph.caller import CONTENT_BYTES
from shared.graph.errors import GraphChanged, GraphConflict, GraphNotFound, GraphRetry
from storage.automaton import Folder, State, Upload
from storage.stores import Changed, Entry, NotThere, Source, Taken

_FAIL = "@microsoft.graph.conflictBehavior=fail"
_FIELDS = {"$select": "id,name,size,cTag,file,folder,parentReference"}
_IDLE = 3
"""So many times in a row is a download that brings no byte begun again."""


class Drive:
    """A ``Store``. Names are SharePoint's own, so it refuses those that it does not take."""

    def __init__(self, caller: GraphCaller, folder: Folder) -> None:
        self._caller = caller
        self._folder = folder
        self._items = folder.items

    async def put(self, name: str, source: Source, size: int) -> Entry:
        """A small file in one request; a larger one by the automaton, from the beginning should this process die."""
        try:
            if size <= CONTENT_BYTES:
                async with aclosing(source(0)) as body:
                    content = b"".join([piece async for piece in body])
                item = await self._caller.put(f"{self._folder.at(name)}:/content?{_FAIL}", content=content)
            else:
                item = await self._delivered(name, source, size)
        except GraphConflict as error:
            raise Taken(name) from error
        return _entry(item, name)

    async def _delivered(self, name: str, source: Source, size: int) -> dict[str, Any]:
        async def nowhere(_before: State, _now: State) -> None:
            return None

        upload = Upload(self._caller, self._folder, uuid.uuid4().hex, name, size, State(), nowhere, exact=True)
        try:
            return await upload.deliver(source)
        except BaseException:
            await upload.abandon()
            raise

    async def get(self, name: str, start: int, end: int, *, version: str | None = None) -> AsyncGenerator[bytes, None]:
        item = await self._item(name)
        if version not in (None, item["cTag"]):
            raise Changed(name)
        async with aclosing(read_item(self._caller, self._folder, str(item["id"]), start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        try:
            folder = await self._item(prefix)
        except NotThere:
            return
        waiting = [(prefix, folder)]
        while waiting:
            path, folder = waiting.pop()
            async for item in self._caller.pages(f"{self._items}/{folder['id']}/children", _FIELDS, page_size=200):
                name = f"{path}/{item['name']}"
                if "folder" in item:
                    waiting.append((name, item))
                else:
                    yield _entry(item, name)

    async def delete(self, name: str, *, version: str | None = None) -> None:
        try:
            item = await self._item(name)
            await self._caller.delete(f"{self._items}/{item['id']}", etag=version)
        except (NotThere, GraphNotFound):
            return
        except GraphChanged as error:
            raise Changed(name) from error

    async def _item(self, name: str) -> dict[str, Any]:
        try:
            return await self._caller.get(self._folder.at(name), _FIELDS)
        except GraphNotFound as error:
            raise NotThere(name) from error


async def read_item(
    caller: GraphCaller,
    folder: Folder,
    item_id: str,
    start: int,
    end: int,
    size: int | None = None,
    quick_xor: str | None = None,
) -> AsyncGenerator[bytes, None]:
    """Bytes ``start`` up to but without ``end``. Raises ``Changed`` when it is not of ``size`` bytes any more.

    Who begins at byte 0 is not given another file of that size either: its quickXorHash is asked for first.
    """
    if start == 0 and quick_xor not in {None, await hash_of_item(caller, folder, item_id)}:
        raise Changed(item_id)
    idle = 0
    while start < end:
        before = start
        try:
            async with caller.download(f"{folder.items}/{quote(item_id)}/content", start) as download:
                if size is not None and download.total not in {None, size}:
                    raise Changed(item_id)
                skip = start if download.status == 200 else 0
                async for piece in download.chunks:
                    wanted = piece[skip : skip + end - start]
                    skip = max(0, skip - len(piece))
                    start += len(wanted)
                    if wanted:
                        yield wanted
                    if start >= end:
                        return
        except GraphRetry:
            idle = 0 if start > before else idle + 1
            if idle > _IDLE:
                raise


async def hash_of_item(caller: GraphCaller, folder: Folder, item_id: str) -> str | None:
    """The quickXorHash of a file as it is now; None where SharePoint does not say it."""
    item = await caller.get(f"{folder.items}/{quote(item_id)}", {"$select": "id,size,file"})
    found: str | None = ((item.get("file") or {}).get("hashes") or {}).get("quickXorHash")
    return found


def _entry(item: dict[str, Any], name: str) -> Entry:
    return Entry(name, int(item["size"]), str(item["cTag"]))
