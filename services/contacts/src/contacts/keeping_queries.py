"""SQL of what is kept in step."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts.row_queries import of_run
from contacts.tables import ImportRun

_WHOSE = "org_id = :org_id AND user_id = :user_id AND account = :account"
_KEPT = text(f"SELECT folder_id FROM mailbox_folder WHERE {_WHOSE} AND kept_in_step ORDER BY folder_id")
_UNDER_WAY = text(
    f"""SELECT 1 FROM import_run WHERE {_WHOSE} AND by_itself
        AND (status IN ('reading', 'running') OR (status = 'planned' AND asks IS NOT NULL)) LIMIT 1"""
)
_IN_FOLDER = text(
    f"""SELECT id FROM source_record WHERE {_WHOSE} AND folder_id = :folder_id AND removed_at IS NULL
        AND dropped_at IS NULL"""
)
_STRANGE = text(
    """SELECT key FROM unnest(CAST(:keys AS text[])) AS key
       WHERE key NOT IN (SELECT s.id FROM source_record s WHERE s.org_id = :org_id AND s.user_id = :user_id
                         AND s.account = :account)
           AND key NOT IN (SELECT r.source_id FROM import_row r WHERE r.org_id = :org_id AND r.run_id = :run_id)"""
)
_FORGET_RUN = [
    text("DELETE FROM import_row WHERE org_id = :org_id AND run_id = :run_id"),
    text("DELETE FROM import_run WHERE org_id = :org_id AND id = :run_id"),
]


async def kept(session: AsyncSession, whose: Mapping[str, str]) -> list[str]:
    """The ids of the folders that are kept in step."""
    return list((await session.execute(_KEPT, dict(whose))).scalars())


async def under_way(session: AsyncSession, whose: Mapping[str, str]) -> bool:
    """Whether a run by itself goes on, or waits for an answer of the person."""
    return (await session.execute(_UNDER_WAY, dict(whose))).first() is not None


async def in_folder(session: AsyncSession, run: ImportRun, folder_id: str) -> set[str]:
    """The sources that were in the folder when it was last read."""
    return set((await session.execute(_IN_FOLDER, {**of_run(run), "folder_id": folder_id})).scalars())


async def strange(session: AsyncSession, run: ImportRun, keys: Sequence[str]) -> list[str]:
    """The ``keys`` that no import has seen."""
    return list((await session.execute(_STRANGE, {**of_run(run), "keys": list(keys)})).scalars())


async def forget_run(session: AsyncSession, run: ImportRun) -> None:
    """A run by itself that found nothing leaves nothing behind."""
    for statement in _FORGET_RUN:
        await session.execute(statement, {"org_id": run.org_id, "run_id": run.id})
