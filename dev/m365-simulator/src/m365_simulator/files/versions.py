"""Versions of files, as libraries keep them: what a file was before somebody replaced or changed it, newest first.

Each takes room in the drive. The first is ``1.0``, or ``0.1`` while the file is a draft or checked out. A version is
made when content is replaced and when ``fileSystemInfo`` is set later, as users of sync clients report; that a rename
makes one is a switch (``files_rules rename_versions``). A library that keeps no versions shows the current one only.
"""

from fastapi.responses import Response

from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import answer, listed

from . import drives
from .tree import Tree
from .visits import Visit, place

KIND = "graph.driveItemVersion"
LIST = Allows(top=200, page=200)


def _all(tree: Tree, row: Row) -> list[Row]:
    """The current one first. A folder has none."""
    if row["content"] is None:
        return []
    now = {"size": row["size"], "modified": row["modified"], "by": row["by"]}
    return [_shown(tree, row, number, one) for number, one in enumerate([*row.get("former", []), now], 1)][::-1]


def _shown(tree: Tree, row: Row, number: int, one: Row) -> Row:
    published = tree.publication(row, number)
    found: Row = {"id": published["versionId"], "size": one["size"], "lastModifiedDateTime": one["modified"]}
    return found | {"publication": published} | ({"lastModifiedBy": one["by"]} if one["by"] else {})


@place("GET", "versions")
async def versions(visit: Visit) -> Response:
    shown = _all(visit.tree, visit.item())
    context = f"drives('{visit.tree.drive['id']}')/items('{visit.item()['id']}')/versions"
    return listed(visit.caller, context, shown, kind=KIND, query=visit.caller.query(KIND, LIST))


@place("GET", "versions/{key}")
async def version(visit: Visit) -> Response:
    found = next((one for one in _all(visit.tree, visit.item()) if one["id"] == visit.address.key), None)
    if found is None:
        raise drives.missing()
    shown = visit.caller.query(KIND, Allows()).shape(found)
    return answer(visit.caller.simulator, "versions/$entity", shown, kind=KIND)
