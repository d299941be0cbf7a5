"""Reading files of a SharePoint library, also that of a Teams channel, through Graph as the application."""

from collections.abc import AsyncGenerator
from urllib.parse import quote

from shared.graph import GraphCaller
from shared.graph.errors import GraphRetry
from storage.automaton import Folder
from storage.stores import Changed

_IDLE = 3
"""So many times in a row is a download that brings no byte begun again."""


async def read_item(
    caller: GraphCaller,
    folder: Folder,
    item_id: str,
    start: int,
    end: int,
    size: int,
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
                if download.total not in {None, size}:
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
