"""SQL that writes a person's messages and the conversations made of them. The transaction is that person's."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from mail.threads import Threads

_WHOSE = "org_id = :org_id AND user_id = :user_id"
_MAILBOX = f"{_WHOSE} AND account = :account"
_LOCK = text(f"SELECT rounds FROM mailbox WHERE {_WHOSE} FOR UPDATE")
_KNOWN = text(f"SELECT graph_id FROM message WHERE {_MAILBOX} AND graph_id = ANY(:ids)")
_SEEN = text(
    f"""UPDATE message SET folder_id = g.folder_id, round = :round, doubted = false
        FROM unnest(CAST(:ids AS text[]), CAST(:folders AS text[])) AS g(id, folder_id)
        WHERE {_MAILBOX} AND graph_id = g.id"""
)
_WITH_CONTACTS = text(
    """SELECT DISTINCT address FROM contact_address
       WHERE org_id = :org_id AND (user_id = :user_id OR shared) AND address = ANY(:addresses)"""
)
_BY_KEY = text(f"SELECT key, conversation_id FROM message_reference WHERE {_WHOSE} AND key = ANY(:keys)")
_BY_CONVERSATION = text(
    """SELECT DISTINCT m.graph_conversation_id AS id, c.id AS conversation_id, c.addresses
        FROM message m JOIN conversation c ON c.org_id = m.org_id AND c.id = m.conversation_id
        WHERE m.org_id = :org_id AND m.user_id = :user_id AND m.graph_conversation_id = ANY(:ids)"""
)
_MAKE = text(
    """INSERT INTO conversation (org_id, id, user_id)
       SELECT :org_id, id, :user_id FROM unnest(CAST(:ids AS text[])) AS id"""
)
# What is shared stays so only where all that comes together is shared.
_MERGE = [
    text(
        """WITH pairs AS (SELECT * FROM unnest(CAST(:lost AS text[]), CAST(:kept AS text[])) AS p(lost, kept))
            UPDATE conversation k SET shared = false WHERE k.org_id = :org_id AND k.user_id = :user_id
                AND EXISTS (SELECT FROM pairs p JOIN conversation l ON l.org_id = k.org_id AND l.id = p.lost
                            WHERE p.kept = k.id AND NOT l.shared)"""
    ),
    *(
        text(
            f"""UPDATE {table} m SET conversation_id = p.kept, shared = c.shared
                FROM unnest(CAST(:lost AS text[]), CAST(:kept AS text[])) AS p(lost, kept)
                JOIN conversation c ON c.org_id = :org_id AND c.id = p.kept
                WHERE m.org_id = :org_id AND m.user_id = :user_id AND m.conversation_id IN (p.lost, p.kept)"""
        )
        for table in ("message", "message_reference")
    ),
    text(f"DELETE FROM conversation WHERE {_WHOSE} AND id = ANY(:lost)"),
]
_ADD = text(
    """INSERT INTO message (org_id, id, user_id, shared, account, graph_id, folder_id, conversation_id,
            internet_message_id, graph_conversation_id, direction, subject, people, addresses, at, preview, body,
            attachments, why, round)
       SELECT :org_id, g.id, :user_id, c.shared, :account, g.graph_id, g.folder_id, g.conversation_id,
            g.internet_message_id, g.graph_conversation_id, g.direction, g.subject, CAST(g.people AS jsonb),
            string_to_array(g.addresses, E'\\n'), g.at, g.preview, g.body, CAST(g.attachments AS jsonb), g.why, :round
       FROM unnest(CAST(:id AS text[]), CAST(:graph_id AS text[]), CAST(:folder_id AS text[]),
            CAST(:conversation_id AS text[]), CAST(:internet_message_id AS text[]),
            CAST(:graph_conversation_id AS text[]), CAST(:direction AS text[]), CAST(:subject AS text[]),
            CAST(:people AS text[]), CAST(:addresses AS text[]), CAST(:at AS timestamptz[]),
            CAST(:preview AS bytea[]), CAST(:body AS bytea[]),
            CAST(:attachments AS text[]), CAST(:why AS text[])) AS g(id, graph_id, folder_id, conversation_id,
            internet_message_id, graph_conversation_id, direction, subject, people, addresses, at, preview, body,
            attachments, why) JOIN conversation c ON c.org_id = :org_id AND c.id = g.conversation_id
       ON CONFLICT (org_id, user_id, account, graph_id) DO UPDATE
           SET folder_id = excluded.folder_id, round = excluded.round, doubted = false
       RETURNING id"""
)
_ADDED = (
    "id", "graph_id", "folder_id", "conversation_id", "internet_message_id", "graph_conversation_id", "direction",
    "subject", "at", "preview", "body", "why",
)  # fmt: skip
_REFER = text(
    """INSERT INTO message_reference (org_id, user_id, key, conversation_id, shared)
       SELECT :org_id, :user_id, g.key, g.conversation_id, c.shared
       FROM unnest(CAST(:keys AS text[]), CAST(:conversations AS text[])) AS g(key, conversation_id)
       JOIN conversation c ON c.org_id = :org_id AND c.id = g.conversation_id
       ON CONFLICT (org_id, user_id, key) DO UPDATE
           SET conversation_id = excluded.conversation_id, shared = excluded.shared"""
)
_SUM_UP = text(
    """UPDATE conversation c SET version = c.version + 1, messages = a.messages, last_at = a.last_at,
            last_direction = a.last_direction, has_attachments = a.has_attachments, subject = a.subject,
            addresses = (SELECT coalesce(array_agg(DISTINCT one), '{}') FROM message m, unnest(m.addresses) AS one
                         WHERE m.org_id = :org_id AND m.conversation_id = c.id),
            participants = (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'address', p.address)
                                            ORDER BY p.first_at, p.address), '[]')
                FROM (SELECT DISTINCT ON (lower(p ->> 'address')) p ->> 'name' AS name, p ->> 'address' AS address,
                             min(m.at) OVER (PARTITION BY lower(p ->> 'address')) AS first_at
                      FROM message m, jsonb_array_elements(m.people) AS p
                      WHERE m.org_id = :org_id AND m.conversation_id = c.id AND p ->> 'kind' <> 'bcc'
                      ORDER BY lower(p ->> 'address'), p ->> 'name' DESC LIMIT 200) AS p)
       FROM (SELECT conversation_id, count(DISTINCT coalesce(internet_message_id, id)) AS messages, max(at) AS last_at,
                    (array_agg(direction ORDER BY at DESC, id DESC))[1] AS last_direction,
                    bool_or(EXISTS (SELECT FROM jsonb_array_elements(attachments) AS f
                                    WHERE NOT (f ->> 'inline')::boolean)) AS has_attachments,
                    (array_agg(subject ORDER BY at, id))[1] AS subject
             FROM message WHERE org_id = :org_id AND user_id = :user_id AND conversation_id = ANY(:ids)
             GROUP BY conversation_id) AS a
       WHERE c.org_id = :org_id AND c.user_id = :user_id AND c.id = a.conversation_id"""
)
_EMPTY = [
    text(
        f"""DELETE FROM {table} t WHERE t.org_id = :org_id AND t.user_id = :user_id AND t.{column} = ANY(:ids)
            AND NOT EXISTS (SELECT FROM message m WHERE m.org_id = :org_id AND m.conversation_id = t.{column})"""
    )
    for table, column in (("message_reference", "conversation_id"), ("conversation", "id"))
]
_LEFT = text(f"UPDATE message SET doubted = true WHERE {_MAILBOX} AND folder_id = :folder_id AND graph_id = ANY(:ids)")
_NOT_NAMED = text(f"UPDATE message SET doubted = true WHERE {_MAILBOX} AND folder_id = :folder_id AND round < :round")
_ELSEWHERE = text(f"UPDATE message SET doubted = true WHERE {_MAILBOX} AND NOT folder_id = ANY(:folders)")
_DOUBTED = text(f"SELECT graph_id FROM message WHERE {_MAILBOX} AND doubted ORDER BY graph_id LIMIT :limit")
_REMOVE = text(f"DELETE FROM message WHERE {_MAILBOX} AND graph_id = ANY(:ids) RETURNING conversation_id")
_STRANGERS = text(
    """DELETE FROM message m USING conversation c
       WHERE c.org_id = m.org_id AND c.id = m.conversation_id AND c.org_id = :org_id AND c.user_id = :user_id
           AND NOT EXISTS (SELECT FROM contact_address a WHERE a.org_id = c.org_id
                           AND (a.user_id = :user_id OR a.shared) AND a.address <> :own
                           AND a.address = ANY(c.addresses))
       RETURNING m.conversation_id"""
)
_OLD = text(f"DELETE FROM message WHERE {_WHOSE} AND at < :before RETURNING conversation_id")
Whose = Mapping[str, str]
"""``org_id``, ``user_id`` and ``account``."""


async def lock(session: AsyncSession, whose: Whose) -> int:
    """Nobody else writes the person's conversations before this transaction ends. How many rounds there were."""
    return int((await session.execute(_LOCK, dict(whose))).scalar() or 0)


async def known(session: AsyncSession, whose: Whose, ids: Sequence[str]) -> set[str]:
    """Which of these messages are kept."""
    return set((await session.execute(_KNOWN, {**whose, "ids": list(ids)})).scalars())


async def seen(session: AsyncSession, whose: Whose, in_folder: Mapping[str, str], round_number: int) -> None:
    """Messages are in these folders (id → folder) in this round."""
    values = {**whose, "ids": list(in_folder), "folders": list(in_folder.values()), "round": round_number}
    await session.execute(_SEEN, values)


async def with_contacts(session: AsyncSession, whose: Whose, addresses: Sequence[str]) -> set[str]:
    """Which of these are addresses of contacts that the person sees: their own, and shared ones."""
    return set((await session.execute(_WITH_CONTACTS, {**whose, "addresses": list(addresses)})).scalars())


async def threads(session: AsyncSession, whose: Whose, keys: Sequence[str], conversations: Sequence[str]) -> Threads:
    """The known threads of these message ids and of these conversations at Microsoft."""
    found = Threads({row.key: row.conversation_id for row in await session.execute(_BY_KEY, {**whose, "keys": keys})})
    for row in await session.execute(_BY_CONVERSATION, {**whose, "ids": list(conversations)}):
        found.by_conversation.setdefault(row.id, {})[row.conversation_id] = set(row.addresses)
    return found


async def add(
    session: AsyncSession, whose: Whose, rows: list[dict[str, Any]], threads: Threads, round_number: int
) -> set[str]:
    """Keep messages in the conversations that were found for them. The ids of those that were not there before."""
    lost = {one: threads.now(one) for one in threads.merged}
    made = [one for one in threads.made if one not in lost]
    await session.execute(_MAKE, {**whose, "ids": made})
    if lost:
        for statement in _MERGE:
            await session.execute(statement, {**whose, "lost": list(lost), "kept": list(lost.values())})
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in _ADDED}
    columns |= {name: [json.dumps(row[name]) for row in rows] for name in ("people", "attachments")}
    columns["addresses"] = ["\n".join(row["addresses"]) for row in rows]
    added = set((await session.execute(_ADD, {**whose, **columns, "round": round_number})).scalars())
    refer = {key: threads.now(row["conversation_id"]) for row in rows for key in row["keys"]}
    await session.execute(_REFER, {**whose, "keys": list(refer), "conversations": list(refer.values())})
    await sum_up(session, whose, {row["conversation_id"] for row in rows} | set(lost.values()))
    return added & {row["id"] for row in rows}


async def sum_up(session: AsyncSession, whose: Whose, conversations: set[str]) -> None:
    """Bring the summaries of these conversations to the messages that they have now; delete those without any."""
    if conversations:
        values = {**whose, "ids": sorted(conversations)}
        await session.execute(_SUM_UP, values)
        for statement in _EMPTY:
            await session.execute(statement, values)


async def left(session: AsyncSession, whose: Whose, folder_id: str, ids: Sequence[str]) -> None:
    """These left the folder; whether they were deleted is asked by their ids."""
    await session.execute(_LEFT, {**whose, "folder_id": folder_id, "ids": list(ids)})


async def not_named(session: AsyncSession, whose: Whose, folder_id: str, round_number: int) -> None:
    """The same for whatever a round that named everything did not name."""
    await session.execute(_NOT_NAMED, {**whose, "folder_id": folder_id, "round": round_number})


async def elsewhere(session: AsyncSession, whose: Whose, folders: Sequence[str]) -> None:
    """The same for what lies in folders that nobody follows: no round tells of it."""
    await session.execute(_ELSEWHERE, {**whose, "folders": list(folders)})


async def doubted(session: AsyncSession, whose: Whose, limit: int) -> list[str]:
    return list((await session.execute(_DOUBTED, {**whose, "limit": limit})).scalars())


async def remove(session: AsyncSession, whose: Whose, ids: Sequence[str]) -> None:
    """These were deleted at Microsoft."""
    gone = await session.execute(_REMOVE, {**whose, "ids": list(ids)})
    await sum_up(session, whose, set(gone.scalars()))


async def remove_strangers(session: AsyncSession, whose: Whose, own: str) -> None:
    """Conversations in which nobody is a contact any more. ``own`` is the owner's address."""
    gone = await session.execute(_STRANGERS, {**whose, "own": own})
    await sum_up(session, whose, set(gone.scalars()))


async def remove_old(session: AsyncSession, whose: Whose, before: datetime) -> None:
    """Messages from before the time for which the organisation keeps mail."""
    gone = await session.execute(_OLD, {**whose, "before": before})
    await sum_up(session, whose, set(gone.scalars()))
