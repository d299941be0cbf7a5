"""The staging folder of the chosen place: what is on its way into it, and what nobody goes on with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.graph import Graph
from shared.graph.errors import GraphNotFound
from shared.jobs.job import Job
from storage import people_queries
from storage.automaton import STAGING, Folder

_FIELDS = {"$select": "id,name,lastModifiedDateTime,file"}


async def sweep(job: Job, graph: Graph, place: Any, keep_s: float) -> int:
    """Delete files of ours that are older than ``keep_s`` and that no row stands for. Returns how many.

    A sender that gave up for good leaves a ``.part`` behind; so does a process that died between SharePoint's answer
    and ours. What other people put there is left alone. Raises ``GraphError``.
    """
    caller, folder = graph.as_app(job.org_id, "backfill"), Folder(place.drive_id, place.folder_id)
    before = datetime.now(UTC) - timedelta(seconds=keep_s)
    try:
        pages = caller.pages(f"{folder.at(STAGING)}:/children", _FIELDS, page_size=200)
        found = {str(item["id"]): str(item["name"]) async for item in pages if _is_old(item, before)}
    except GraphNotFound:  # nothing was ever on its way
        return 0
    names = {item_id: name.partition(".")[0] for item_id, name in found.items()}
    async with job.unit_of_work() as work:
        values = {"org_id": job.org_id, "ids": list(names.values())}
        kept = set((await work.session.execute(people_queries.UNDER_WAY, values)).scalars())
    gone = [item_id for item_id, file_id in names.items() if file_id not in kept]
    for item_id in gone:
        try:
            await caller.delete(f"{folder.items}/{item_id}")
        except GraphNotFound:
            continue
    return len(gone)


def _is_old(item: dict[str, Any], before: datetime) -> bool:
    changed = datetime.fromisoformat(str(item["lastModifiedDateTime"]))
    name = str(item["name"])
    ours = name.endswith(".part") or name.startswith("prospo-check-")
    return "file" in item and ours and changed < before
