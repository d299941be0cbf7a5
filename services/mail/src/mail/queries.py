"""SQL of outgoing mails and of their history."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from mail.tables import OutgoingMail
from shared.graph.errors import GraphError
from shared.jobs import GiveUp
from shared.web.idempotency import RequestKeys

KEYS = RequestKeys("mail_id")
_OF = "WHERE org_id = :org_id AND id = :id"
_BEGIN = text(
    f"""UPDATE outgoing_mail SET status = 'sending', attempts = attempts + 1, attempted_at = clock_timestamp(),
        problem = NULL {_OF} RETURNING attempts"""
)
_AGES = text(
    f"""SELECT extract(epoch FROM clock_timestamp() - queued_at)::float AS waited_s,
               extract(epoch FROM clock_timestamp() - attempted_at)::float AS attempted_s
        FROM outgoing_mail {_OF}"""
)
_ACCEPTED = text(
    f"""UPDATE outgoing_mail SET status = :status, accepted_at = coalesce(accepted_at, clock_timestamp()),
        seen_at = CASE WHEN :seen THEN coalesce(seen_at, clock_timestamp()) END, problem = NULL,
        draft_id = coalesce(:message_id, draft_id), conversation_id = coalesce(:conversation_id, conversation_id)
        {_OF}"""
)
_NEXT_VERSION = text(
    """INSERT INTO mailbox (org_id, user_id, version) VALUES (:org_id, :user_id, 1)
       ON CONFLICT (org_id, user_id) DO UPDATE SET version = mailbox.version + 1 RETURNING version"""
)
_NOTE = text(
    """INSERT INTO mail_step (org_id, mail_id, user_id, what, status, code, request_id)
       VALUES (:org_id, :mail_id, :user_id, :what, :status, :code, :request_id)"""
)
_STEPS = text(
    """SELECT at, what, status, code, request_id FROM mail_step WHERE org_id = :org_id AND mail_id = :mail_id
       ORDER BY id LIMIT 200"""
)
_WAITING = text(
    """SELECT id, account FROM outgoing_mail WHERE org_id = :org_id AND user_id = :user_id
           AND (status IN ('queued', 'sending', 'unknown')
                OR (status = 'accepted' AND accepted_at > clock_timestamp() - interval '2 days'))
       ORDER BY id"""
)


async def mail(session: AsyncSession, org_id: str, mail_id: str, *, lock: bool = False) -> OutgoingMail | None:
    """One mail; with ``lock`` nobody else changes it before this transaction ends."""
    query = select(OutgoingMail).where(OutgoingMail.org_id == org_id, OutgoingMail.id == mail_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def locked(session: AsyncSession, org_id: str, mail_id: str) -> OutgoingMail:
    """The same for a job, locked. Raises ``GiveUp`` when it is gone."""
    found = await mail(session, org_id, mail_id, lock=True)
    if found is None:
        raise GiveUp(f"The mail {mail_id} does not exist.")
    return found


async def mails_of(
    session: AsyncSession, org_id: str, user_id: str, *, before: str | None, limit: int
) -> Sequence[OutgoingMail]:
    """The person's mails, newest first; ``before`` is the id the last page ended with."""
    query = select(OutgoingMail).where(OutgoingMail.org_id == org_id, OutgoingMail.user_id == user_id)
    if before:
        query = query.where(OutgoingMail.id < before)
    return (await session.exec(query.order_by(col(OutgoingMail.id).desc()).limit(limit))).all()


async def ages(session: AsyncSession, row: OutgoingMail) -> tuple[float, float]:
    """Seconds since it was queued, and since Microsoft was last asked to send it, on the database's clock."""
    found = (await session.execute(_AGES, _key(row))).one()
    return float(found.waited_s), float(found.attempted_s or 0)


async def begin(session: AsyncSession, row: OutgoingMail) -> None:
    """Microsoft is about to be asked to send it."""
    row.attempts = (await session.execute(_BEGIN, _key(row))).scalar_one()


async def accept(
    session: AsyncSession, row: OutgoingMail, *, seen: bool, message_id: str | None, conversation_id: str | None
) -> None:
    status = "seen_in_sent" if seen else "accepted"
    values = {"status": status, "seen": seen, "message_id": message_id, "conversation_id": conversation_id}
    await session.execute(_ACCEPTED, _key(row) | values)


async def next_version(session: AsyncSession, org_id: str, user_id: str) -> int:
    """The next version for an event about a person's mail."""
    return int((await session.execute(_NEXT_VERSION, {"org_id": org_id, "user_id": user_id})).scalar_one())


async def note(
    session: AsyncSession, row: OutgoingMail, what: str, *, status: int = 0, code: str = "", request_id: str = ""
) -> None:
    """A step of the mail's history; ``request_id`` is Microsoft's."""
    values = {"org_id": row.org_id, "mail_id": row.id, "user_id": row.user_id, "what": what}
    await session.execute(_NOTE, values | {"status": status, "code": code[:100], "request_id": request_id[:100]})


async def note_refusal(session: AsyncSession, row: OutgoingMail, what: str, error: GraphError) -> None:
    """Add a step with Microsoft's refusal to the mail's history."""
    await note(session, row, what, status=error.status, code=error.code, request_id=error.request_id)


async def steps(session: AsyncSession, row: OutgoingMail) -> list[dict[str, Any]]:
    """Its history, in order."""
    found = await session.execute(_STEPS, {"org_id": row.org_id, "mail_id": row.id})
    return [dict(one) for one in found.mappings()]


async def waiting(session: AsyncSession, org_id: str, user_id: str) -> list[Any]:
    """Id and account of a person's mails with which something is still to be done at Microsoft."""
    return list(await session.execute(_WAITING, {"org_id": org_id, "user_id": user_id}))


def _key(row: OutgoingMail) -> dict[str, str]:
    return {"org_id": row.org_id, "id": row.id}
