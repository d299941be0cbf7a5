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
from storage.stores import NotThere, Taken

log = structlog.get_logger(__name__)
_CHUNK = 2 * 1024 * 1024
AT_ONCE = 1024 * 1024
"""An object up to this size is written with the condition that its name is free."""
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""Codes of S3 and GCS, and of Azure. obstore tells a bucket that is not there as an object that is not there."""


class Objects:
    """The default store. A name is a path without a leading slash, and what stands under it is never replaced.

    The name of a large object is looked up before it is written, which says nothing of another writer at the same
    moment: whoever writes large objects gives them names that nobody else has.
    """

    def __init__(self, settings: Settings) -> None:
        self._store: ObjectStore
        if settings.object_store_url:
            self._store = from_url(settings.object_store_url)
        else:
            settings.object_store_dir.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(settings.object_store_dir)

    async def put(self, name: str, body: AsyncIterator[bytes], size: int) -> None:
        """Write ``size`` bytes as they come, whole or not at all. Raises ``Taken``, and what ``body`` raises."""
        with _told():
            if size > AT_ONCE:
                if await self._is_there(name):
                    raise Taken(name)
                await obstore.put_async(self._store, name, body)
                return
            content = b"".join([piece async for piece in body])
            try:
                await obstore.put_async(self._store, name, content, mode="create")
            except AlreadyExistsError as error:
                raise Taken(name) from error

    async def get(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Bytes ``start`` up to but without ``end``. Raises ``NotThere``."""
        try:
            with _told():
                async with aclosing(self._ranges(name, start, end)) as chunks:
                    async for chunk in chunks:
                        yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotThere(name) from error

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Names of what stands below a folder, at any depth and in any order; none where there is no such folder."""
        with _told():
            async for found in obstore.list(self._store, prefix):
                for item in found:
                    yield item["path"]

    async def delete(self, name: str) -> None:
        """What is not there is deleted."""
        with contextlib.suppress(FileNotFoundError), _told():
            await obstore.delete_async(self._store, name)

    async def _is_there(self, name: str) -> bool:
        try:
            with _told():
                await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return False
        return True

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
