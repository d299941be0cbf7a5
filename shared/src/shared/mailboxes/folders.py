"""The folders that a service follows for a person: a cursor for each, and whether something changed since.

The service makes the table in a migration of its own (``TABLE``) and protects it. ``account`` is the Microsoft account
(``oid``) whose mailbox it is: after another account was connected, the former one's cursors are still right for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections import Connection
from shared.privacy.erasure import OF_PERSON, Holding

TABLE = """CREATE TABLE mailbox_folder (
    org_id text NOT NULL, user_id text NOT NULL, account text NOT NULL, folder_id text NOT NULL,
    name text NOT NULL DEFAULT '', delta_link text, read_at timestamptz, swept_at timestamptz,
    kept_in_step boolean NOT NULL DEFAULT false, dirty boolean NOT NULL DEFAULT false,
    PRIMARY KEY (org_id, user_id, account, folder_id))"""
HOLDING = Holding(
    "mailbox_folder",
    person=OF_PERSON,
    exported={"folder": "name", "read": "read_at", "kept in step": "kept_in_step"},
    withheld="account folder_id delta_link swept_at dirty",
)

_WHOSE = "org_id = :org_id AND user_id = :user_id AND account = :account"
_OF = text(f"SELECT * FROM mailbox_folder WHERE {_WHOSE} ORDER BY folder_id")
_READ = text(
    """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name, delta_link, read_at, swept_at)
       VALUES (:org_id, :user_id, :account, :folder_id, :name, :delta_link, clock_timestamp(),
               CASE WHEN :whole THEN clock_timestamp() END)
       ON CONFLICT (org_id, user_id, account, folder_id) DO UPDATE
           SET name = excluded.name, delta_link = excluded.delta_link, read_at = excluded.read_at,
               swept_at = coalesce(excluded.swept_at, mailbox_folder.swept_at)"""
)
_FORGET = text(f"UPDATE mailbox_folder SET delta_link = NULL WHERE {_WHOSE} AND folder_id = ANY(:folder_ids)")
_KEEP_IN_STEP = text(
    """UPDATE mailbox_folder SET kept_in_step = :on, dirty = dirty OR :on
       WHERE org_id = :org_id AND user_id = :user_id AND folder_id = :folder_id RETURNING *"""
)
_FOLLOW = text(
    """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name, kept_in_step, dirty)
       VALUES (:org_id, :user_id, :account, :folder_id, :name, true, true)
       ON CONFLICT (org_id, user_id, account, folder_id) DO UPDATE
           SET name = excluded.name, kept_in_step = true, dirty = true"""
)
_DIRTY = text(f"UPDATE mailbox_folder SET dirty = true WHERE {_WHOSE} AND kept_in_step")
_CLEAN = text(
    f"""UPDATE mailbox_folder SET dirty = false WHERE {_WHOSE} AND kept_in_step
        AND (dirty OR read_at < clock_timestamp() - make_interval(secs => :look_s)
             OR swept_at IS NULL OR swept_at < clock_timestamp() - make_interval(secs => :sweep_s))
        RETURNING folder_id, name"""
)


def whose(org_id: str, person: Connection) -> dict[str, str]:
    """Which mailbox: of whom, and of which of their accounts."""
    return {"org_id": org_id, "user_id": person.user_id, "account": person.account.oid or ""}


async def folders_of(session: AsyncSession, org_id: str, user_id: str, account: str) -> dict[str, Any]:
    """Folder id → its row."""
    rows = await session.execute(_OF, {"org_id": org_id, "user_id": user_id, "account": account})
    return {row.folder_id: row for row in rows}


async def have_read(session: AsyncSession, whose: Mapping[str, str], read: Sequence[Mapping[str, Any]]) -> None:
    """A round is over and what it told is kept: note the cursors, in the transaction that keeps the last of it.

    ``read`` has ``folder_id``, ``name``, ``delta_link`` and ``whole`` (the round named everything) of each folder.
    """
    for folder in sorted(read, key=lambda one: str(one["folder_id"])):
        await session.execute(_READ, {**whose, **folder})


async def read_anew(session: AsyncSession, whose: Mapping[str, str], folder_ids: Sequence[str]) -> None:
    """The next round of these folders names everything again."""
    await session.execute(_FORGET, {**whose, "folder_ids": list(folder_ids)})


async def keep_in_step(session: AsyncSession, org_id: str, user_id: str, folder_id: str, *, on: bool) -> Any:
    """Follow a folder by itself, or no longer. None when it was never read."""
    values = {"org_id": org_id, "user_id": user_id, "folder_id": folder_id, "on": on}
    return (await session.execute(_KEEP_IN_STEP, values)).first()


async def follow(session: AsyncSession, whose: Mapping[str, str], folder_id: str, name: str) -> None:
    """Follow a folder that was perhaps never read: the next round names everything in it."""
    await session.execute(_FOLLOW, {**whose, "folder_id": folder_id, "name": name})


async def mark_dirty(session: AsyncSession, whose: Mapping[str, str]) -> None:
    """Graph said that something changed; in which folder it does not say."""
    await session.execute(_DIRTY, dict(whose))


async def take_due(
    session: AsyncSession, whose: Mapping[str, str], *, look_s: float, sweep_s: float
) -> list[dict[str, str]]:
    """Folders followed by themselves that changed, were not read for ``look_s``, or not named whole for ``sweep_s``.

    They are clean now.
    """
    rows = await session.execute(_CLEAN, {**whose, "look_s": look_s, "sweep_s": sweep_s})
    return [{"id": row.folder_id, "name": row.name} for row in rows]
