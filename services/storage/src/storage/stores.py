"""Where bytes are kept: one port, two stores: an object store (``objects.py``), a drive of SharePoint (``drives.py``).

A name is a path below the store's root, without a leading slash. What stands under a name is never replaced: a writer
finds it free or is refused, so no reader can see another's bytes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

Source = Callable[[int], AsyncGenerator[bytes, None]]
"""Gives the bytes from a position on; a store that lost some asks again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a name; ``version`` is another one as soon as the bytes are."""

    name: str
    size: int
    version: str


class NotThere(Exception):
    """Nothing stands under this name."""


class Taken(Exception):
    """Something stands under this name already; nothing was written."""


class Changed(Exception):
    """What stands there is not of the version that was asked for."""


class Store(Protocol):
    """Beside the three above, each method raises what its store refuses with: ``GraphError``, ``Unavailable``."""

    async def put(self, name: str, source: Source, size: int) -> Entry:
        """Write ``size`` bytes as they come, whole or not at all. Raises ``Taken``, and what ``source`` raises."""

    def get(self, name: str, start: int, end: int, *, version: str | None = None) -> AsyncGenerator[bytes, None]:
        """Bytes ``start`` up to but without ``end``. Raises ``NotThere``, ``Changed``."""

    def list(self, prefix: str) -> AsyncIterator[Entry]:
        """Whatever stands below a folder, at any depth and in any order; nothing where there is no such folder."""

    async def delete(self, name: str, *, version: str | None = None) -> None:
        """What is not there is deleted. Raises ``Changed``."""
