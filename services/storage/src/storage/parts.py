"""Files of the default store: each is an ordered list of immutable objects, its parts, which its row names.

So no byte is written twice, a part counts as soon as the row names it, and any process goes on behind the last one.
"""

import hashlib
import uuid
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import aclosing
from typing import Any

from storage.objects import Objects


class Parts:
    """``row``, here and below, has of ``stored_file``: org_id, id, size_bytes, parts, in_parts and completed_at."""

    def __init__(self, store: Objects) -> None:
        self._store = store

    async def add(self, org_id: str, file_id: str, start: int, end: int, body: AsyncIterator[bytes]) -> str:
        """Write the bytes from ``start`` to before ``end``. Returns the part's name; the row has yet to name it."""
        name = named(start)
        await self.write(org_id, file_id, name, body, end - start)
        return name

    async def write(self, org_id: str, file_id: str, name: str, body: AsyncIterator[bytes], size: int) -> None:
        """The part of this name, whole or not at all."""
        await self._store.put(_path(org_id, file_id, name), body, size)

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
        """SHA-256 of the whole file, as 64 hexadecimal digits."""
        return await sha256_of(self.read(row, 0, row.size_bytes))

    async def delete(self, org_id: str, file_id: str, name: str) -> None:
        await self._store.delete(_path(org_id, file_id, name))

    async def listed(self, org_id: str, file_id: str) -> list[str]:
        """The objects that there are of a file. Whoever deletes some lists them before asking what rows name: a part
        that is named first and written then is never taken for one that nobody names."""
        return [name async for name in self._store.list(f"{org_id}/{file_id}")]

    async def remove(self, objects: Iterable[str], kept: Collection[str] = ()) -> None:
        """Delete those that are not ``kept``."""
        for name in objects:
            if name not in kept:
                await self._store.delete(name)

    async def delete_organisation(self, org_id: str) -> int:
        """Every object of the organisation, whatever its name. Returns how many there were."""
        if not org_id:
            raise ValueError("Without a name this would be everybody's objects.")
        count = 0
        async for name in self._store.list(org_id):
            await self._store.delete(name)
            count += 1
        return count


def objects_of(row: Any) -> list[tuple[int, str]]:
    """First byte and name of each object of a file.

    A version before this one made a single object of all parts as it completed a file (``in_parts`` is false then).
    """
    folder = f"{row.org_id}/{row.id}"
    if row.completed_at is not None and not row.in_parts:
        return [(0, f"{folder}/content")]
    return [(begins(name), _path(row.org_id, row.id, name)) for name in row.parts]


def named_by(row: Any) -> set[str]:
    """The objects of a file."""
    return {name for _, name in objects_of(row)}


def named_by_move(move: Any) -> set[str]:
    """The parts of a file that is being moved here."""
    return {_path(move.org_id, move.file_id, name) for name in move.parts}


def named(start: int) -> str:
    """A name for the part that begins at this byte, which nobody else has."""
    return f"{start:020d}-{uuid.uuid4().hex}"


def begins(name: str) -> int:
    return int(name.partition("-")[0])


def _path(org_id: str, file_id: str, name: str) -> str:
    return f"{org_id}/{file_id}/parts/{name}"


async def sha256_of(pieces: AsyncGenerator[bytes, None]) -> str:
    """In hex."""
    digest = hashlib.sha256()
    async with aclosing(pieces) as coming:
        async for piece in coming:
            digest.update(piece)
    return digest.hexdigest()
