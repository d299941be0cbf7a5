"""Deleting files: the row and the event in one transaction, what it stood for by jobs, and what remains is listed."""

from typing import Any

from shared.database.unit_of_work import Database, UnitOfWork
from shared.events import FileDeleted
from shared.events.storage import FileDeletedBecause
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphNotFound
from shared.jobs import Again
from shared.problems import Conflict
from storage import people_queries
from storage.automaton import Folder
from storage.places import sentence
from storage.uploads import tidy_later
from storage.work import DeleteCopy

RETRY_S = 3600


async def policy_of(work: UnitOfWork) -> Any | None:
    """What the organisation decided; None before it decided anything."""
    return (await work.session.execute(people_queries.POLICY, {"org_id": work.org_id})).first()


async def refuse_on_hold(work: UnitOfWork) -> None:
    """Raises ``Conflict`` while the organisation keeps everything."""
    policy = await policy_of(work)
    if policy is not None and policy.hold:
        raise Conflict(
            "on_hold",
            f"Your organisation has kept all files since {policy.hold_since:%Y-%m-%d} for legal reasons, so nothing is "
            "deleted. An Org Admin can end the hold.",
        )


async def remove(work: UnitOfWork, row: Any, because: FileDeletedBecause) -> None:
    """The file is gone for everybody when this commits; its bytes and its copy in SharePoint go soon after."""
    await work.session.execute(people_queries.DELETE, {"org_id": row.org_id, "id": row.id})
    tidy_later(work, row)
    if row.item_id is not None:
        await leave_copy(work, row.id, Folder(row.drive_id, row.folder_id), row.item_id)
    if row.completed_at is not None:
        work.outbox.add(FileDeleted(org_id=row.org_id, aggregate_version=2, file_id=row.id, because=because))


async def leave_copy(work: UnitOfWork, file_id: str, folder: Folder, item_id: str) -> None:
    """A copy in SharePoint that nobody needs any more; it is listed until SharePoint has deleted it."""
    values = {"org_id": work.org_id, "id": f"{file_id}:{item_id}", "drive_id": folder.drive_id}
    await work.session.execute(people_queries.LEAVE_COPY, values | {"folder_id": folder.folder_id, "item_id": item_id})
    work.queue(DeleteCopy(copy_id=values["id"]))


async def delete_copy(db: Database, graph: Graph, org_id: str, copy_id: str) -> None:
    """Ask SharePoint once. Raises ``Again`` while it does not; the list says why."""
    about = {"org_id": org_id, "id": copy_id}
    async with db.unit_of_work(org_id) as work:
        copy = (await work.session.execute(people_queries.LEFT_COPY, about)).first()
    if copy is None:
        return
    try:
        await graph.as_app(org_id, "backfill").delete(f"{Folder(copy.drive_id, copy.folder_id).items}/{copy.item_id}")
    except GraphNotFound:
        pass
    except GraphError as error:
        async with db.unit_of_work(org_id) as work:
            await work.session.execute(people_queries.SAY_OF_COPY, about | {"says": sentence(error)})
        raise Again("SharePoint does not delete the copy", after_s=RETRY_S, counts=False) from error
    async with db.unit_of_work(org_id) as work:
        await work.session.execute(people_queries.COPY_IS_GONE, about)
