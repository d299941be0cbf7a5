"""The object store: parts while a file arrives, one object once it is whole. In memory are two chunks of it at most."""

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from storage.settings import Settings

_CHUNK = 2 * 1024 * 1024


class Objects:
    """Files by organisation and id; parts by names of their own, so that none is ever written twice."""

    def __init__(self, settings: Settings) -> None:
        self._store: ObjectStore
        if settings.object_store_url:
            self._store = from_url(settings.object_store_url)
        else:
            settings.object_store_dir.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(settings.object_store_dir)

    async def put_part(self, org_id: str, file_id: str, start: int, body: AsyncIterator[bytes]) -> str:
        """Write one part. Returns its name; a part counts only once the file's row names it."""
        name = f"{start:020d}-{uuid.uuid4().hex}"
        await obstore.put_async(self._store, _part(org_id, file_id, name), body)
        return name

    async def compose(self, org_id: str, file_id: str, parts: list[str]) -> int:
        """Stream the parts into the whole file; the same result however often it is done. Returns its size."""
        await obstore.put_async(self._store, _whole(org_id, file_id), self._parts(org_id, file_id, parts))
        whole = await obstore.head_async(self._store, _whole(org_id, file_id))
        return int(whole["size"])

    async def delete_parts(self, org_id: str, file_id: str, *, but: Collection[str] = ()) -> None:
        """Delete the parts there are, also those of writers that died; ``but`` stay."""
        kept = {_part(org_id, file_id, name) for name in but}
        async for found in obstore.list(self._store, f"{org_id}/{file_id}/parts"):
            for path in {item["path"] for item in found} - kept:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, path)

    async def delete_part(self, org_id: str, file_id: str, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, _part(org_id, file_id, name))

    async def delete_file(self, org_id: str, file_id: str) -> None:
        """The whole file and all parts there are. What is not there is deleted."""
        await self._delete_below(f"{org_id}/{file_id}")

    async def delete_organisation(self, org_id: str) -> int:
        """Every object of the organisation, whatever its name. Returns how many there were."""
        if not org_id:
            raise ValueError("Without a name this would be everybody's objects.")
        return await self._delete_below(org_id)

    async def _delete_below(self, prefix: str) -> int:
        count = 0
        async for found in obstore.list(self._store, prefix):
            for item in found:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, item["path"])
                    count += 1
        return count

    async def sha256(self, org_id: str, file_id: str) -> str | None:
        """Of a whole file's bytes; None when it is not whole."""
        digest, path = hashlib.sha256(), _whole(org_id, file_id)
        try:
            async with aclosing(self._ranges(path, 0, await self._size(path))) as chunks:
                async for chunk in chunks:
                    digest.update(chunk)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    async def read(self, org_id: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` up to but without ``end`` of a whole file."""
        async with aclosing(self._ranges(_whole(org_id, file_id), start, end)) as chunks:
            async for chunk in chunks:
                yield bytes(chunk)

    async def _parts(self, org_id: str, file_id: str, parts: list[str]) -> AsyncIterator[obstore.Bytes]:
        for name in parts:
            path = _part(org_id, file_id, name)
            async with aclosing(self._ranges(path, 0, await self._size(path))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _size(self, path: str) -> int:
        return int((await obstore.head_async(self._store, path))["size"])

    async def _ranges(self, path: str, start: int, end: int) -> AsyncGenerator[obstore.Bytes, None]:
        """Bytes ``start`` to before ``end``, a range at a time; the next one is read while the caller has this one.

        obstore's stream of a local file reads it in small pieces, which takes several times as long.
        """
        coming = self._range(path, start, end)
        try:
            while start < end:
                chunk = await coming
                start += len(chunk)
                coming = self._range(path, start, end)
                yield chunk
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _range(self, path: str, start: int, end: int) -> "asyncio.Task[obstore.Bytes]":
        return asyncio.create_task(self._read(path, start, min(start + _CHUNK, end)))

    async def _read(self, path: str, start: int, end: int) -> obstore.Bytes:
        if start >= end:
            return obstore.Bytes()
        return await obstore.get_range_async(self._store, path, start=start, end=end)


def _whole(org_id: str, file_id: str) -> str:
    return f"{org_id}/{file_id}/content"


def _part(org_id: str, file_id: str, name: str) -> str:
    return f"{org_id}/{file_id}/parts/{name}"
