"""One round over a folder of a mailbox: what is in it or has left it since the last one.

Three facts make this more than a delta query.

* ``@removed`` means that an item left *this folder*. One that was moved is reported removed here and appears elsewhere,
  or nowhere when it came back in between. So nothing is deleted by it: ``still_there`` asks for each item by its id,
  and only a 404 is a deletion.
* A mailbox without free space answers a delta query with 403 ``ErrorQuotaExceeded`` while plain listing works. The
  round then lists the folder, as a full one without a cursor, and says so (``listed``).
* Graph forgets delta states (410, ``syncStateNotFound``). The round then begins anew and is full: whatever it does not
  name has left the folder.

Items have immutable ids, which stay the same when an item moves to another folder (``shared.graph`` asks for them).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.graph import BatchRequest, GraphCaller
from shared.graph.batch import SIZE
from shared.graph.errors import GraphDeltaGone, GraphNotFound, GraphRetry, GraphTellAdmin

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FolderPage:
    """One page of a round.

    ``items`` are in the folder now, ``left`` are ids of what is not. With ``full`` the round names everything, and with
    ``first`` it begins here: forget what an earlier page named. ``cursor`` is where the next round begins, on the last
    page only, and None after a listing.
    """

    items: list[Item]
    left: list[str]
    full: bool
    first: bool
    listed: bool = False
    swept: bool = False
    """The ids in the folder were compared as well (``named_by``)."""
    cursor: str | None = None
    next_link: str | None = None
    """The ``cursor`` with which ``changes`` resumes a round; its caller remembers whether the round was full."""


async def changes(
    caller: GraphCaller,
    path: str,
    params: dict[str, str] | None = None,
    *,
    cursor: str | None = None,
    page_size: int | None = None,
) -> AsyncIterator[FolderPage]:
    """A round over the folder whose items Graph lists at ``path``, such as ``/me/contactFolders/x/contacts``.

    ``cursor`` is that of an earlier round, ``params`` such as ``$select`` are bound by the first. Raises
    ``GraphNotFound`` when the folder is not there any more.
    """
    try:
        async for page in _delta(caller, path, params, cursor, page_size):
            yield page
    except GraphDeltaGone:  # the state that Graph sent us to is lost as well
        async for page in _delta(caller, path, params, None, page_size):
            yield page
    except GraphTellAdmin as refusal:
        if not is_full(refusal):
            raise
        first = True
        async for items in caller.lists(path, params, page_size=page_size):
            yield FolderPage(items, [], full=True, first=first, listed=True)
            first = False


def is_full(refusal: GraphTellAdmin) -> bool:
    """Whether Graph refuses a delta query because the mailbox has no free space."""
    return "errorquotaexceeded" in {refusal.code.lower(), refusal.inner_code.lower()}


async def _delta(
    caller: GraphCaller, path: str, params: dict[str, str] | None, cursor: str | None, page_size: int | None
) -> AsyncIterator[FolderPage]:
    async for page in caller.delta(f"{path}/delta", params, link=cursor, page_size=page_size):
        left = [str(item["id"]) for item in page.items if "@removed" in item and item.get("id")]
        items = [item for item in page.items if "@removed" not in item]
        yield FolderPage(items, left, page.full, page.first, cursor=page.delta_link, next_link=page.next_link)


async def named_by(caller: GraphCaller, path: str, *, page_size: int | None = None) -> AsyncIterator[list[str]]:
    """The ids of everything in a folder, page by page, for a sweep: what a delta query never told is found so."""
    async for items in caller.lists(path, {"$select": "id"}, page_size=page_size):
        yield [str(item["id"]) for item in items if item.get("id")]


async def still_there(
    caller: GraphCaller, ids: Sequence[str], path_of: Callable[[str], str]
) -> AsyncIterator[tuple[str, Item | None]]:
    """Each item as it is now, wherever it is, or None when it was deleted: Graph answered 404 to its id.

    Raises ``GraphError`` for any other refusal, so that a passing one is never taken for a deletion.
    """
    for at in range(0, len(ids), SIZE):
        some = ids[at : at + SIZE]
        answers = await caller.batch([BatchRequest("GET", path_of(one)) for one in some])
        for one, answer in zip(some, answers, strict=True):
            if answer.error is None and isinstance(answer.body, dict):
                yield one, answer.body
            elif isinstance(answer.error, GraphNotFound):
                yield one, None
            else:
                raise answer.error or GraphRetry("Graph answered an item without content.")
