"""Files of the default store: each is an ordered list of immutable objects, its parts, which its row names.

So no byte is written twice, a part counts as soon as the row names it, and any process goes on behind the last one.
"""

import hashlib
import uuid
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Any

from storage.stores import Store


class Parts:
    """``row``, here and below, has of ``stored_file``: org_id, id, size_bytes, parts, in_parts and completed_at."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, org_id: str, file_id: str, start: int, end: int, body: AsyncIterator[bytes]) -> str:
        """Write the bytes from ``start`` to before ``end``. Returns the part's name; the row has yet to name it."""
        name = f"{start:020d}-{uuid.uuid4().hex}"

        async def once(_position: int) -> AsyncGenerator[bytes, None]:
            async for piece in body:
                yield piece

        await self._store.put(f"{org_id}/{file_id}/parts/{name}", once, end - start)
        return name

    async def read(self, row: Any, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Bytes ``start`` up to but without ``end`` of the file."""
        objects = objects_of(row)
        starts = [first for first, _ in objects]
        ends = [*starts[1:], row.size_bytes]
        at = bisect_right(starts, start) - 1
        while start < end:
            first, name = objects[at]
            until = min(end, ends[at])
            async with aclosing(self._store.get(name, start - first, until - first)) as pieces:
                async for piece in pieces:
                    yield piece
            start, at = until, at + 1

    async def sha256(self, row: Any) -> str:
        """Of the whole file's bytes."""
        return await sha256_of(self.read(row, 0, row.size_bytes))

    async def delete(self, org_id: str, file_id: str, name: str) -> None:
        await self._store.delete(f"{org_id}/{file_id}/parts/{name}")

    async def tidy(self, org_id: str, file_id: str, row: Any | None) -> None:
        """Delete what the file's row does not name, such as parts of writers that died; all when there is no row."""
        await self._delete_below(f"{org_id}/{file_id}", {name for _, name in objects_of(row)} if row else ())

    async def delete_organisation(self, org_id: str) -> int:
        """Every object of the organisation, whatever its name. Returns how many there were."""
        if not org_id:
            raise ValueError("Without a name this would be everybody's objects.")
        return await self._delete_below(org_id)

    async def _delete_below(self, folder: str, kept: Collection[str] = ()) -> int:
        count = 0
        async for entry in self._store.list(folder):
            if entry.name not in kept:
                await self._store.delete(entry.name)
                count += 1
        return count


def objects_of(row: Any) -> list[tuple[int, str]]:
    """First byte and name of each object of a file.

    A version before this one made a single object of all parts as it completed a file (``in_parts`` is false then).
    """
    folder = f"{row.org_id}/{row.id}"
    if row.completed_at is not None and not row.in_parts:
        return [(0, f"{folder}/content")]
    return [(int(name.partition("-")[0]), f"{folder}/parts/{name}") for name in row.parts]


async def sha256_of(pieces: AsyncGenerator[bytes, None]) -> str:
    """In hex."""
    digest = hashlib.sha256()
    async with aclosing(pieces) as coming:
        async for piece in coming:
            digest.update(piece)
    return digest.hexdigest()
