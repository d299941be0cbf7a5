"""SQL of conversations as they are shown: a person's own, and those that colleagues share."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

_SEEN = "c.org_id = :org_id AND (c.user_id = :user_id OR c.shared)"
# When a thread is in several mailboxes, a person sees their own conversation, else the oldest that is shared.
_SAME_ELSEWHERE = """EXISTS (SELECT FROM message_reference t
        JOIN message_reference o ON o.org_id = t.org_id AND o.key = t.key
        WHERE t.org_id = c.org_id AND t.conversation_id = c.id AND c.user_id <> :user_id AND o.conversation_id <> c.id
            AND (o.user_id = :user_id OR (o.shared AND o.conversation_id < c.id)))"""
_LIST = f"""SELECT c.* FROM conversation c WHERE {_SEEN} AND NOT {_SAME_ELSEWHERE}
    {{more}} ORDER BY c.last_at DESC, c.id DESC LIMIT :limit"""
_OF_ADDRESSES = "AND c.addresses && CAST(:addresses AS text[])"
_WITH_WORD = "AND (c.subject ILIKE :word{0} OR c.participants::text ILIKE :word{0})"
_AFTER = "AND (c.last_at, c.id) < (CAST(CAST(:at AS text) AS timestamptz), :id)"
_ONE = f"SELECT c.* FROM conversation c WHERE {_SEEN} AND c.id = :id"
_READ, _LOCK = text(_ONE), text(f"{_ONE} AND c.user_id = :user_id FOR UPDATE")
_JOINED = text(
    """SELECT DISTINCT o.conversation_id FROM message_reference t
       JOIN message_reference o ON o.org_id = t.org_id AND o.key = t.key
       WHERE t.org_id = :org_id AND t.conversation_id = :id AND (o.user_id = :user_id OR o.shared)
           AND o.user_id <> t.user_id"""
)
# A mail that went through several mailboxes, or twice through one, is shown once: the person's own, and as it was sent.
_MESSAGES = text(
    """SELECT m.*, o.id AS mail_id FROM (
           SELECT DISTINCT ON (coalesce(internet_message_id, id)) id, user_id, direction, people, subject, at, preview,
                  body IS NOT NULL AS has_body, attachments, internet_message_id, conversation_id, graph_id
           FROM message WHERE org_id = :org_id AND conversation_id = ANY(:ids)
           ORDER BY coalesce(internet_message_id, id), user_id = :user_id DESC, direction = 'sent' DESC, id) AS m
       LEFT JOIN LATERAL (SELECT id FROM outgoing_mail WHERE org_id = :org_id AND user_id = :user_id
           AND m.user_id = :user_id AND internet_message_id = m.internet_message_id ORDER BY id LIMIT 1) AS o ON true
       WHERE (m.at, m.id) > (CAST(CAST(:at AS text) AS timestamptz), :id) ORDER BY m.at, m.id LIMIT :limit"""
)
_MESSAGE = text("SELECT * FROM message WHERE org_id = :org_id AND id = :id AND (user_id = :user_id OR shared)")
_SHARE = [
    text("UPDATE conversation SET shared = :on, version = version + 1 WHERE org_id = :org_id AND id = :id"),
    text("UPDATE message SET shared = :on WHERE org_id = :org_id AND conversation_id = :id"),
    text("UPDATE message_reference SET shared = :on WHERE org_id = :org_id AND conversation_id = :id"),
]
FIRST = ["-infinity", ""]


async def conversations(
    session: AsyncSession,
    org_id: str,
    user_id: str,
    *,
    addresses: Sequence[str] | None,
    words: str,
    after: list[str] | None,
    limit: int,
) -> list[Any]:
    """What a person sees, the newest first; with ``addresses`` only those in which one of them takes part."""
    values: dict[str, Any] = {"org_id": org_id, "user_id": user_id, "limit": limit}
    more = []
    if addresses is not None:
        more.append(_OF_ADDRESSES)
        values["addresses"] = list(addresses)
    for number, word in enumerate(words.split()[:10]):
        more.append(_WITH_WORD.format(number))
        values[f"word{number}"] = f"%{_escaped(word)}%"
    if after is not None:
        more.append(_AFTER)
        values |= {"at": after[0], "id": after[1]}
    return list(await session.execute(text(_LIST.format(more=" ".join(more))), values))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def conversation(session: AsyncSession, org_id: str, user_id: str, id_: str, *, lock: bool = False) -> Any:
    """A conversation that the person may see; with ``lock`` only their own, locked. None when there is none."""
    values = {"org_id": org_id, "user_id": user_id, "id": id_}
    return (await session.execute(_LOCK if lock else _READ, values)).first()


async def messages(
    session: AsyncSession, org_id: str, user_id: str, id_: str, *, after: list[str], limit: int
) -> list[Any]:
    """The messages of a conversation and of the same thread in mailboxes that share it, oldest first."""
    values = {"org_id": org_id, "user_id": user_id}
    joined = (await session.execute(_JOINED, {**values, "id": id_})).scalars()
    more = {"ids": [id_, *joined], "at": after[0], "id": after[1], "limit": limit}
    return list(await session.execute(_MESSAGES, values | more))


async def message(session: AsyncSession, org_id: str, user_id: str, id_: str) -> Any:
    """A message that the person may see; None when there is none."""
    return (await session.execute(_MESSAGE, {"org_id": org_id, "user_id": user_id, "id": id_})).first()


async def share(session: AsyncSession, org_id: str, id_: str, *, on: bool) -> None:
    """Show a conversation of the transaction's person to the organisation, or no longer."""
    for statement in _SHARE:
        await session.execute(statement, {"org_id": org_id, "id": id_, "on": on})
