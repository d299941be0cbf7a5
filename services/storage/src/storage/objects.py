"""The object store: parts while a file arrives, one object once it is whole. Nothing is held in memory but a chunk."""

from collections.abc import AsyncIterator

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from storage.settings import Settings

_CHUNK = 1024 * 1024


class Objects:
    """Files by organisation and id; parts by the offset they start at."""

    def __init__(self, settings: Settings) -> None:
        self._store: ObjectStore
        if settings.object_store_url:
            self._store = from_url(settings.object_store_url)
        else:
            settings.object_store_dir.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(settings.object_store_dir)

    async def put_part(self, org_id: str, file_id: str, start: int, body: AsyncIterator[bytes]) -> None:
        """Write one part; writing it again replaces it."""
        await obstore.put_async(self._store, _part(org_id, file_id, start), body)

    async def compose(self, org_id: str, file_id: str, starts: list[int]) -> None:
        """Stream the parts into the whole file; the same result however often it is done."""
        await obstore.put_async(self._store, _whole(org_id, file_id), self._parts(org_id, file_id, starts))

    async def delete_parts(self, org_id: str, file_id: str, starts: list[int]) -> None:
        for start in starts:
            await obstore.delete_async(self._store, _part(org_id, file_id, start))

    async def read(self, org_id: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` up to but without ``end`` of a whole file."""
        if start >= end:
            return
        got = await obstore.get_async(self._store, _whole(org_id, file_id), options={"range": (start, end)})
        async for chunk in got.stream(_CHUNK):
            yield bytes(chunk)

    async def _parts(self, org_id: str, file_id: str, starts: list[int]) -> AsyncIterator[bytes]:
        for start in starts:
            got = await obstore.get_async(self._store, _part(org_id, file_id, start))
            async for chunk in got.stream(_CHUNK):
                yield bytes(chunk)


def _whole(org_id: str, file_id: str) -> str:
    return f"{org_id}/{file_id}/content"


def _part(org_id: str, file_id: str, start: int) -> str:
    return f"{org_id}/{file_id}/parts/{start:020d}"
