"""SQL of import runs, of the books that plans are based on, and of the organisation's policy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts.tables import ImportRun
from shared.jobs import GiveUp
from shared.web.idempotency import RequestKeys

KEYS = RequestKeys("run_id")
SHARED = ""
"""The book of what is shared in the organisation, in the place of a person's id."""

_MAKE_BOOKS = text(
    """INSERT INTO book (org_id, user_id) SELECT :org_id, unnest(CAST(:users AS text[])) ON CONFLICT DO NOTHING"""
)
_BOOKS = "SELECT user_id, revision, version, run_id FROM book WHERE org_id = :org_id AND user_id = ANY(:users)"
_READ_BOOKS, _LOCK_BOOKS = text(_BOOKS), text(_BOOKS + " ORDER BY user_id FOR UPDATE")
# Several books are locked in the order of their names, so that two who write to several never wait for each other.
_IN_ORDER = """WITH held AS (SELECT org_id, user_id FROM book WHERE org_id = :org_id AND {which}
                              ORDER BY user_id FOR UPDATE)
               UPDATE book SET {what} FROM held WHERE (book.org_id, book.user_id) = (held.org_id, held.user_id)"""
_TURN = text(_IN_ORDER.format(which="user_id = ANY(:users)", what="revision = book.revision + 1"))
_HOLD_BOOKS = text("UPDATE book SET run_id = :run_id WHERE org_id = :org_id AND user_id = ANY(:users)")
_LET_GO = text(_IN_ORDER.format(which="run_id = :run_id", what="run_id = NULL"))
_NEXT_VERSION = text(
    "UPDATE book SET version = version + 1 WHERE org_id = :org_id AND user_id = :user_id RETURNING version"
)
_POLICY = text("SELECT removed_in_outlook FROM removal_policy WHERE org_id = :org_id")
_SET_POLICY = text(
    """INSERT INTO removal_policy (org_id, removed_in_outlook) VALUES (:org_id, :policy)
       ON CONFLICT (org_id) DO UPDATE SET removed_in_outlook = excluded.removed_in_outlook"""
)
_PROGRESS = text(
    "UPDATE import_run SET read_count = read_count + :read WHERE org_id = :org_id AND id = :id RETURNING status"
)
_WAITING = text(
    """SELECT id, status FROM import_run WHERE org_id = :org_id AND user_id = :user_id
           AND status IN ('reading', 'running', 'undoing') AND problem IS NOT NULL"""
)
_COUNTS = text(
    """SELECT count(*) AS contacts, count(*) FILTER (WHERE shared) AS shared,
              count(*) FILTER (WHERE archived_at IS NOT NULL) AS archived, count(DISTINCT user_id) AS people,
              (SELECT count(*) FROM import_run WHERE org_id = :org_id) AS imports
       FROM contact WHERE org_id = :org_id"""
)


class Book(NamedTuple):
    """``revision`` grows with each change of what is in it; ``run_id`` is the run that writes to it now."""

    user_id: str
    revision: int
    version: int
    run_id: str | None


def books_of(user_id: str, *, share: bool) -> list[str]:
    """The books that a run of this person writes to, in the order in which they are locked."""
    return [SHARED, user_id] if share else [user_id]


async def books(session: AsyncSession, org_id: str, users: Sequence[str], *, lock: bool = False) -> dict[str, Book]:
    """The books of ``users``. With ``lock`` nobody else begins or ends a run in them before this transaction ends."""
    values = {"org_id": org_id, "users": list(users)}
    await session.execute(_MAKE_BOOKS, values)
    rows = await session.execute(_LOCK_BOOKS if lock else _READ_BOOKS, values)
    return {row.user_id: Book(*row) for row in rows}


async def turn_page(session: AsyncSession, org_id: str, users: Sequence[str]) -> None:
    """What these books hold has changed: plans made of them before are out of date."""
    values = {"org_id": org_id, "users": sorted(set(users))}
    await session.execute(_MAKE_BOOKS, values)
    await session.execute(_TURN, values)


async def hold_books(session: AsyncSession, org_id: str, users: Sequence[str], run_id: str) -> None:
    await session.execute(_HOLD_BOOKS, {"org_id": org_id, "users": list(users), "run_id": run_id})


async def let_go(session: AsyncSession, org_id: str, run_id: str) -> None:
    """The run writes no more."""
    await session.execute(_LET_GO, {"org_id": org_id, "run_id": run_id})


async def next_version(session: AsyncSession, org_id: str, user_id: str) -> int:
    """The next version for an event about a person's contacts."""
    return int((await session.execute(_NEXT_VERSION, {"org_id": org_id, "user_id": user_id})).scalar_one())


async def policy(session: AsyncSession, org_id: str) -> str:
    """What becomes of contacts that were removed in Outlook: ``keep`` or ``archive``."""
    return str((await session.execute(_POLICY, {"org_id": org_id})).scalar() or "keep")


async def set_policy(session: AsyncSession, org_id: str, policy: str) -> None:
    await session.execute(_SET_POLICY, {"org_id": org_id, "policy": policy})


async def run_of(session: AsyncSession, org_id: str, run_id: str, *, lock: bool = False) -> ImportRun | None:
    query = select(ImportRun).where(ImportRun.org_id == org_id, ImportRun.id == run_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def locked_run(session: AsyncSession, org_id: str, run_id: str) -> ImportRun:
    """The same for a job, locked. Raises ``GiveUp`` when it is gone."""
    found = await run_of(session, org_id, run_id, lock=True)
    if found is None:
        raise GiveUp(f"The import {run_id} does not exist.")
    return found


async def runs_of(
    session: AsyncSession, org_id: str, user_id: str, *, before: str | None, limit: int
) -> list[ImportRun]:
    """A person's imports, newest first."""
    query = select(ImportRun).where(ImportRun.org_id == org_id, ImportRun.user_id == user_id)
    if before:
        query = query.where(ImportRun.id < before)
    return list((await session.exec(query.order_by(col(ImportRun.id).desc()).limit(limit))).all())


async def have_read(session: AsyncSession, org_id: str, run_id: str, read: int) -> str:
    """Count what was read; the run's status."""
    return str((await session.execute(_PROGRESS, {"org_id": org_id, "id": run_id, "read": read})).scalar_one())


async def waiting_runs(session: AsyncSession, org_id: str, user_id: str) -> list[Any]:
    """Runs of a person that something keeps from going on: id and status."""
    return list(await session.execute(_WAITING, {"org_id": org_id, "user_id": user_id}))


async def counts(session: AsyncSession, org_id: str) -> Any:
    """How many contacts, people and imports the organisation has."""
    return (await session.execute(_COUNTS, {"org_id": org_id})).one()


def in_columns(rows: Sequence[dict[str, Any]], *names: str) -> dict[str, list[Any]]:
    """For ``unnest``: a list for each column, which PostgreSQL reads far faster than one document of many rows."""
    return {name: [row[name] for row in rows] for name in names}
