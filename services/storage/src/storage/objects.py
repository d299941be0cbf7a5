"""The default store: a local folder, or S3, Azure Blob or GCS by URL. In memory are two chunks of an object at most."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.problems import Unavailable
from storage.settings import Settings
from storage.stores import Changed, Entry, NotThere, Source, Taken

log = structlog.get_logger(__name__)
_CHUNK = 2 * 1024 * 1024
AT_ONCE = 1024 * 1024
"""An object up to this size is written with the condition that its name is free."""
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""Codes of S3 and GCS, and of Azure. obstore tells a bucket that is not there as an object that is not there."""


class Objects:
    """A ``Store``. The name of a large object is looked up before it is written, which says nothing of another writer
    at the same moment: whoever writes large objects gives them names that nobody else has.
    """

    def __init__(self, settings: Settings) -> None:
        self._store: ObjectStore
        if settings.object_store_url:
            self._store = from_url(settings.object_store_url)
        else:
            settings.object_store_dir.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(settings.object_store_dir)

    async def put(self, name: str, source: Source, size: int) -> Entry:
        with _told():
            return await self._put(name, source, size)

    async def _put(self, name: str, source: Source, size: int) -> Entry:
        async with aclosing(source(0)) as body:
            if size <= AT_ONCE:
                content = b"".join([piece async for piece in body])
                try:
                    put = await obstore.put_async(self._store, name, content, mode="create")
                except AlreadyExistsError as error:
                    raise Taken(name) from error
            else:
                if await self._head(name) is not None:
                    raise Taken(name)
                put = await obstore.put_async(self._store, name, body)
        return Entry(name, size, put["e_tag"] or "")

    async def get(self, name: str, start: int, end: int, *, version: str | None = None) -> AsyncGenerator[bytes, None]:
        if version is not None:
            await self._check(name, version)
        try:
            with _told():
                async with aclosing(self._ranges(name, start, end)) as chunks:
                    async for chunk in chunks:
                        yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotThere(name) from error

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        with _told():
            async for found in obstore.list(self._store, prefix):
                for item in found:
                    yield Entry(item["path"], int(item["size"]), item["e_tag"] or "")

    async def delete(self, name: str, *, version: str | None = None) -> None:
        if version is not None:
            with contextlib.suppress(NotThere):
                await self._check(name, version)
        with contextlib.suppress(FileNotFoundError), _told():
            await obstore.delete_async(self._store, name)

    async def _check(self, name: str, version: str) -> None:
        """Enough before the bytes are read or deleted: what stands under a name is never replaced."""
        found = await self._head(name)
        if found is None:
            raise NotThere(name)
        if found.version != version:
            raise Changed(name)

    async def _head(self, name: str) -> Entry | None:
        try:
            with _told():
                found = await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return None
        return Entry(name, int(found["size"]), found["e_tag"] or "")

    async def _ranges(self, name: str, start: int, end: int) -> AsyncGenerator[obstore.Bytes, None]:
        """A range at a time; the next one is read while the caller has this one.

        obstore's stream of a local file reads it in small pieces, which takes several times as long.
        """
        coming = self._range(name, start, end)
        try:
            while start < end:
                chunk = await coming
                start += len(chunk)
                coming = self._range(name, start, end)
                yield chunk
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _range(self, name: str, start: int, end: int) -> "asyncio.Task[obstore.Bytes]":
        return asyncio.create_task(self._read(name, start, min(start + _CHUNK, end)))

    async def _read(self, name: str, start: int, end: int) -> obstore.Bytes:
        if start >= end:
            return obstore.Bytes()
        return await obstore.get_range_async(self._store, name, start=start, end=end)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A store that denies, is full or is not there: nothing is stored, and whoever asked comes again.

    An object that is not there stays a ``FileNotFoundError``.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and not any(code in str(error) for code in _NO_BUCKET):
            raise
        said = str(error).partition("?")[0]  # an address may go on with a signature
        log.warning("storage.store_refuses", error=type(error).__name__, says=said[:500])
        raise Unavailable(
            "store_refuses",
            "Prospo's own storage does not take or give files just now. Try again in a minute; the log tells an "
            "operator why.",
            retry_after_s=60,
        ) from error
