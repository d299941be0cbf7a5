"""Microsoft's words for an address book. Nobody else sees Graph's paths."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.graph import BatchRequest, GraphCaller
from shared.graph.errors import GraphNotFound

FOLDERS = "/me/contactFolders"
DEPTH = 32
"""Deeper folders are not looked for; Outlook itself stops far earlier."""
DEFAULT = "contacts"
"""The well-known name of the default folder, which some lists of folders leave out."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A contact folder; ``path`` has the names from the top, ``depth`` is 0 for a top one. Graph tells no count."""

    id: str
    name: str
    path: str
    depth: int


async def folders(caller: GraphCaller, most: int) -> tuple[list[Folder], bool]:
    """Every contact folder at any depth, parents before children, and whether more than ``most`` were left out.

    Only ``childFolders`` of each folder tells what is inside it.
    """
    default = await caller.get(f"{FOLDERS}/{DEFAULT}")
    found = {str(default["id"]): Folder(str(default["id"]), _name(default), _name(default), 0)}
    order: list[Folder] = [found[str(default["id"])]]
    async for folder in _walk(caller, FOLDERS, "", 0, found):
        if len(order) >= most:
            return order, True
        order.append(folder)
    below = [one async for one in _walk(caller, _children(order[0].id), order[0].path, 1, found)]
    return [order[0], *below, *order[1:]][:most], len(order) + len(below) > most


async def _walk(
    caller: GraphCaller, path: str, above: str, depth: int, found: dict[str, Folder]
) -> AsyncIterator[Folder]:
    try:
        listed = [item async for item in caller.pages(path, page_size=100)]
    except GraphNotFound:  # deleted while we looked
        return
    for item in listed:
        if str(item.get("id")) in found:
            continue
        whole = f"{above} / {_name(item)}" if above else _name(item)
        folder = found[str(item["id"])] = Folder(str(item["id"]), _name(item), whole, depth)
        yield folder
        if depth < DEPTH:
            async for below in _walk(caller, _children(folder.id), whole, depth + 1, found):
                yield below


def _children(folder_id: str) -> str:
    return f"{FOLDERS}/{quote(folder_id, safe='')}/childFolders"


def _name(item: dict[str, Any]) -> str:
    name = str(item.get("displayName") or "").replace("\0", "").encode("utf-8", "replace").decode()
    return name[:255] or "(no name)"


def contacts_in(folder_id: str) -> str:
    """Where the contacts of a folder are listed."""
    return f"{FOLDERS}/{quote(folder_id, safe='')}/contacts"


def contact(contact_id: str) -> str:
    return f"/me/contacts/{quote(contact_id, safe='')}"


async def touch(caller: GraphCaller) -> None:
    """Ask for the id of one folder: permitted or refused, no contact is read."""
    await caller.get(FOLDERS, {"$top": "1", "$select": "id"})


async def name_of(caller: GraphCaller, folder_id: str) -> str:
    """Raises ``GraphNotFound`` when the folder is not there."""
    return _name(await caller.get(f"{FOLDERS}/{quote(folder_id, safe='')}"))


async def counts(caller: GraphCaller, listed: list[Folder]) -> dict[str, int]:
    """Folder id → contacts in it, where Graph says how many."""
    asked = [BatchRequest("GET", f"{contacts_in(one.id)}?$count=true&$top=1&$select=id") for one in listed]
    answers = await caller.batch(asked)
    said = [answer.body.get("@odata.count") if isinstance(answer.body, dict) else None for answer in answers]
    return {one.id: count for one, count in zip(listed, said, strict=True) if isinstance(count, int)}


async def photo(caller: GraphCaller, contact_id: str) -> tuple[str, bytes] | None:
    """Media type and bytes of a contact's photo; None when there is none."""
    try:
        about = await caller.get(f"{contact(contact_id)}/photo")
        async with caller.download(f"{contact(contact_id)}/photo/$value") as download:
            content = b"".join([chunk async for chunk in download.chunks])
    except GraphNotFound:
        return None
    return str(about.get("@odata.mediaContentType") or ""), content
