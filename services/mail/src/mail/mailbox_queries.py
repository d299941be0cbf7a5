"""SQL of what is followed in a mailbox: its rounds, its health, and past conversations that are still to be read."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from mail.work import SyncMailbox

_WHOSE = "org_id = :org_id AND user_id = :user_id"
_FOLDER = f"{_WHOSE} AND account = :account AND folder_id = :folder_id"
_OPEN = text(
    """INSERT INTO mailbox (org_id, user_id, account, sent_folder)
        VALUES (:org_id, :user_id, :account, :sent_folder)
        ON CONFLICT (org_id, user_id) DO UPDATE
            SET account = excluded.account, sent_folder = excluded.sent_folder, state = 'waiting', problem = NULL"""
)
_NEXT_ROUND = text(f"UPDATE mailbox SET rounds = rounds + 1 WHERE {_WHOSE} RETURNING rounds")
_NOTE = text(
    """INSERT INTO mailbox (org_id, user_id, state, problem)
        VALUES (:org_id, :user_id, :state, CAST(:problem AS jsonb))
        ON CONFLICT (org_id, user_id) DO UPDATE SET state = excluded.state, problem = excluded.problem,
            last_round_at = CASE WHEN :read THEN clock_timestamp() ELSE mailbox.last_round_at END"""
)
_TOLD = text(f"UPDATE mailbox SET subscription = :subscription WHERE {_WHOSE}")
_MAILBOX = text(f"SELECT * FROM mailbox WHERE {_WHOSE}")
_EVERYBODY = text("SELECT user_id FROM mailbox WHERE org_id = :org_id AND rounds > 0 ORDER BY user_id")
_FOLLOWED = text(
    f"""SELECT * FROM mailbox_folder WHERE {_WHOSE} AND account = :account AND kept_in_step ORDER BY folder_id"""
)
_BEGIN = text(
    f"""INSERT INTO mail_round (org_id, user_id, account, folder_id, number, whole, link, known_until)
        SELECT org_id, user_id, account, folder_id, :number, whole, CASE WHEN NOT whole THEN delta_link END, read_at
        FROM (SELECT *, delta_link IS NULL OR swept_at IS NULL
                  OR swept_at < clock_timestamp() - make_interval(secs => :sweep_s) AS whole
              FROM mailbox_folder WHERE {_FOLDER}) AS f
        ON CONFLICT DO NOTHING"""
)
_ROUNDS = text(
    """SELECT r.*, f.name FROM mail_round r JOIN mailbox_folder f USING (org_id, user_id, account, folder_id)
        WHERE r.org_id = :org_id AND r.user_id = :user_id AND r.account = :account AND f.kept_in_step
        ORDER BY r.began_at, r.folder_id"""
)
_GO_ON = text(
    f"""UPDATE mail_round SET number = :number, whole = :whole, link = :link, listed = :listed,
        skipped = CAST(:skipped AS jsonb) WHERE {_FOLDER}"""
)
_END = text(f"DELETE FROM mail_round WHERE {_FOLDER}")
_HEALTH = text(
    """INSERT INTO folder_health (org_id, user_id, account, folder_id, problem, skipped)
       VALUES (:org_id, :user_id, :account, :folder_id, CAST(:problem AS jsonb), CAST(:skipped AS jsonb))
       ON CONFLICT (org_id, user_id, account, folder_id) DO UPDATE
           SET problem = excluded.problem, skipped = CASE WHEN :whole THEN excluded.skipped ELSE
               (SELECT coalesce(jsonb_object_agg(name, n), '{}') FROM (SELECT name, sum(value::text::bigint) AS n FROM
                   (SELECT * FROM jsonb_each(folder_health.skipped)
                    UNION ALL SELECT * FROM jsonb_each(excluded.skipped))
                   AS added(name, value) GROUP BY name) AS sums) END"""
)
_PROBLEM = text(
    """INSERT INTO folder_health (org_id, user_id, account, folder_id, problem)
       VALUES (:org_id, :user_id, :account, :folder_id, CAST(:problem AS jsonb))
       ON CONFLICT (org_id, user_id, account, folder_id) DO UPDATE SET problem = excluded.problem"""
)
_SHOWN = text(
    """SELECT f.folder_id, f.name, f.kept_in_step, f.read_at, h.problem, coalesce(h.skipped, '{}') AS skipped,
              r.number IS NOT NULL AS reading,
              (SELECT count(*) FROM message m WHERE m.org_id = f.org_id AND m.user_id = f.user_id
                   AND m.account = f.account AND m.folder_id = f.folder_id) AS messages
       FROM mailbox_folder f LEFT JOIN folder_health h USING (org_id, user_id, account, folder_id)
       LEFT JOIN mail_round r USING (org_id, user_id, account, folder_id)
       WHERE f.org_id = :org_id AND f.user_id = :user_id AND f.account = :account ORDER BY f.name, f.folder_id"""
)
_NEXT_LOOK = text(
    f"""SELECT run_at FROM job WHERE org_id = :org_id AND kind = '{SyncMailbox.kind}' AND dedupe_key = :user_id
            AND state = 'waiting'"""
)
_WANT = text(
    """INSERT INTO mail_backfill (org_id, user_id, address) SELECT :org_id, :user_id, unnest(CAST(:addresses AS text[]))
       ON CONFLICT DO NOTHING"""
)
_WANTED = text(f"SELECT address, link, found FROM mail_backfill WHERE {_WHOSE} ORDER BY made_at, address LIMIT 1")
_LEFT = text(f"SELECT count(*) FROM mail_backfill WHERE {_WHOSE}")
_FOUND = text(f"UPDATE mail_backfill SET link = :link, found = :found WHERE {_WHOSE} AND address = :address")
_DONE = text(f"DELETE FROM mail_backfill WHERE {_WHOSE} AND (:address = '' OR address = :address)")
_KEEP_DAYS = text("SELECT keep_days FROM mail_retention WHERE org_id = :org_id")
_SET_KEEP_DAYS = text(
    """INSERT INTO mail_retention (org_id, keep_days) VALUES (:org_id, :keep_days)
       ON CONFLICT (org_id) DO UPDATE SET keep_days = excluded.keep_days"""
)
Whose = Mapping[str, str]


async def open_mailbox(session: AsyncSession, whose: Whose, sent_folder: str = "") -> None:
    """The person's mailbox is that of this account now."""
    await session.execute(_OPEN, {**whose, "sent_folder": sent_folder})


async def next_round(session: AsyncSession, whose: Whose) -> int:
    return int((await session.execute(_NEXT_ROUND, dict(whose))).scalar_one())


async def note(
    session: AsyncSession, whose: Whose, state: str, problem: Mapping[str, str] | None = None, *, read: bool = False
) -> None:
    """How the mailbox is, also one that was never opened; with ``read`` everything that was due was read now."""
    values = {**whose, "state": state, "problem": json.dumps(dict(problem)) if problem else None, "read": read}
    await session.execute(_NOTE, values)


async def told(session: AsyncSession, whose: Whose, subscription: str) -> None:
    """Whether Microsoft tells of changes: ``on``, ``refused`` or ``none``."""
    await session.execute(_TOLD, {**whose, "subscription": subscription})


async def mailbox(session: AsyncSession, org_id: str, user_id: str) -> Any:
    """None before the first mail was sent or read."""
    return (await session.execute(_MAILBOX, {"org_id": org_id, "user_id": user_id})).first()


async def everybody(session: AsyncSession, org_id: str) -> list[str]:
    """The people whose mailboxes were read."""
    return list((await session.execute(_EVERYBODY, {"org_id": org_id})).scalars())


async def followed(session: AsyncSession, whose: Whose) -> list[Any]:
    return list(await session.execute(_FOLLOWED, dict(whose)))


async def begin(session: AsyncSession, whose: Whose, folders: Sequence[str], sweep_s: float) -> None:
    """A round over each of these folders, from where the last one ended, or over all of it when it is time."""
    for folder_id in folders:
        number = await next_round(session, whose)
        await session.execute(_BEGIN, {**whose, "folder_id": folder_id, "number": number, "sweep_s": sweep_s})


async def rounds(session: AsyncSession, whose: Whose) -> list[Any]:
    """The rounds that are not over."""
    return list(await session.execute(_ROUNDS, dict(whose)))


async def go_on(session: AsyncSession, whose: Whose, round_: Mapping[str, Any]) -> None:
    """A page is kept; the round goes on at ``link`` when its worker dies."""
    values = {name: round_[name] for name in ("folder_id", "number", "whole", "link", "listed")}
    await session.execute(_GO_ON, {**whose, **values, "skipped": json.dumps(round_["skipped"])})


async def end(
    session: AsyncSession, whose: Whose, round_: Mapping[str, Any], problem: Mapping[str, str] | None
) -> None:
    """The round is over. What it skipped replaces the counts when it named everything, else it is added."""
    about = {"folder_id": round_["folder_id"], "whole": round_["whole"], "skipped": json.dumps(round_["skipped"])}
    await session.execute(_END, {**whose, **about})
    await session.execute(_HEALTH, {**whose, **about, "problem": json.dumps(dict(problem)) if problem else None})


async def has_problem(session: AsyncSession, whose: Whose, folder_id: str, problem: Mapping[str, str]) -> None:
    values = {**whose, "folder_id": folder_id, "problem": json.dumps(dict(problem))}
    await session.execute(_END, values)
    await session.execute(_PROBLEM, values)


async def shown(session: AsyncSession, whose: Whose) -> list[Any]:
    """Every folder that was ever followed, with its health."""
    return list(await session.execute(_SHOWN, dict(whose)))


async def next_look(session: AsyncSession, org_id: str, user_id: str) -> datetime | None:
    found: datetime | None = (await session.execute(_NEXT_LOOK, {"org_id": org_id, "user_id": user_id})).scalar()
    return found


async def want_past(session: AsyncSession, org_id: str, user_id: str, addresses: Sequence[str]) -> None:
    """Past mail with these addresses is still to be read."""
    await session.execute(_WANT, {"org_id": org_id, "user_id": user_id, "addresses": sorted(addresses)})


async def past_wanted(session: AsyncSession, whose: Whose) -> Any:
    """The address whose past mail is read next, with ``link`` and ``found`` of a search that broke off; or None."""
    return (await session.execute(_WANTED, dict(whose))).first()


async def past_left(session: AsyncSession, org_id: str, user_id: str) -> int:
    return int((await session.execute(_LEFT, {"org_id": org_id, "user_id": user_id})).scalar_one())


async def past_found(session: AsyncSession, whose: Whose, address: str, link: str | None, found: int) -> None:
    """The search goes on at ``link``; without one it is over."""
    if link is None:
        await past_read(session, whose, address)
    else:
        await session.execute(_FOUND, {**whose, "address": address, "link": link, "found": found})


async def past_read(session: AsyncSession, whose: Whose, address: str = "") -> None:
    """Past mail with this address, or with all, was read or is read otherwise."""
    await session.execute(_DONE, {**whose, "address": address})


async def keep_days(session: AsyncSession, org_id: str) -> int | None:
    """Days for which the organisation keeps mail; None for ever."""
    found: int | None = (await session.execute(_KEEP_DAYS, {"org_id": org_id})).scalar()
    return found


async def forgotten_before(session: AsyncSession, org_id: str) -> datetime | None:
    """Mail from before this moment is not kept; None when the organisation keeps all."""
    days = await keep_days(session, org_id)
    return None if days is None else datetime.now(UTC) - timedelta(days=days)


async def set_keep_days(session: AsyncSession, org_id: str, days: int | None) -> None:
    await session.execute(_SET_KEEP_DAYS, {"org_id": org_id, "keep_days": days})
