"""All SQL of the tenant-connector."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections.state import connected_people
from shared.events import Features, UserLeft
from tenant_connector.tables import LeavingRow, TenantRow

_MAKE_TENANT = text(
    """INSERT INTO tenant (org_id, status, features, version)
       VALUES (:org_id, 'not_connected', CAST(:features AS jsonb), 0) ON CONFLICT DO NOTHING"""
)
_ADD_ATTEMPT = text(
    """INSERT INTO consent_attempt (org_id, state_hash, user_id, link_hash, browser_key_hash, expires_at)
       VALUES (:org_id, :state_hash, :user_id, :link_hash, :browser_key_hash,
           clock_timestamp() + make_interval(secs => :life_s))"""
)
# A leg that was done already is there again for the browser that did it, and for nobody else.
_TRAVELLER = "user_id = :user_id AND link_hash IS NOT DISTINCT FROM CAST(:link_hash AS text)"
_TAKE = f"""UPDATE consent_attempt
    SET taken_until = CASE WHEN finished THEN NULL ELSE clock_timestamp() + make_interval(secs => :lease_s) END
    WHERE org_id = :org_id AND {{leg}} AND coalesce(taken_until < clock_timestamp(), true)
        AND (NOT {{done}} OR ({_TRAVELLER} AND browser_key_hash = :browser_key_hash))
    RETURNING state_hash, user_id, link_hash, browser_key_hash, claimed_tid, sealed_flow, finished, taken_until,
        expires_at > clock_timestamp() AS alive,
        extract(epoch FROM clock_timestamp() - consented_at)::float AS consented_s"""
_TAKE_FIRST_LEG = text(_TAKE.format(leg="state_hash = :state_hash AND NOT finished", done="next_hash IS NOT NULL"))
_TAKE_SECOND_LEG = text(_TAKE.format(leg="next_hash = :state_hash", done="finished"))
_UNDER_WAY = text(
    """SELECT 1 FROM consent_attempt
       WHERE org_id = :org_id AND :state_hash IN (state_hash, next_hash) AND taken_until > clock_timestamp()"""
)
_GIVE_BACK_ATTEMPT = text(
    """UPDATE consent_attempt SET taken_until = NULL
       WHERE org_id = :org_id AND state_hash = :state_hash AND taken_until = :taken_until"""
)
_SEND_ON_ATTEMPT = text(
    """UPDATE consent_attempt
       SET next_hash = :next_hash, claimed_tid = :claimed_tid, sealed_flow = :sealed_flow, taken_until = NULL,
           consented_at = coalesce(consented_at, clock_timestamp())
       WHERE org_id = :org_id AND state_hash = :state_hash RETURNING 1"""
)
_FINISH_ATTEMPT = text(
    """UPDATE consent_attempt SET finished = true, sealed_flow = NULL, taken_until = NULL
       WHERE org_id = :org_id AND state_hash = :state_hash AND NOT finished RETURNING 1"""
)
_END_ATTEMPT = text("DELETE FROM consent_attempt WHERE org_id = :org_id AND state_hash = :state_hash RETURNING 1")
# Kept a day beyond their end, so that a late return is told that it is late; the newest twenty of each traveller.
_DROP_OLD_ATTEMPTS = text(
    f"""DELETE FROM consent_attempt WHERE org_id = :org_id AND (
           expires_at < clock_timestamp() - interval '1 day'
           OR {_TRAVELLER}
              AND state_hash NOT IN (SELECT state_hash FROM consent_attempt WHERE org_id = :org_id AND {_TRAVELLER}
                                     ORDER BY expires_at DESC LIMIT 19))"""
)
_DROP_ATTEMPTS = text("DELETE FROM consent_attempt WHERE org_id = :org_id")
_DROP_LINK_ATTEMPTS = text("DELETE FROM consent_attempt WHERE org_id = :org_id AND link_hash IS NOT NULL")
_PUT_LINK = text(
    """INSERT INTO consent_link (org_id, token_hash, user_id, user_name, org_name, tid, tenant_name, expires_at)
       VALUES (:org_id, :token_hash, :user_id, :user_name, :org_name, :tid, :tenant_name,
           clock_timestamp() + make_interval(secs => :life_s))
       ON CONFLICT (org_id) DO UPDATE SET token_hash = excluded.token_hash, user_id = excluded.user_id,
           user_name = excluded.user_name, org_name = excluded.org_name, tid = excluded.tid,
           tenant_name = excluded.tenant_name, expires_at = excluded.expires_at, used_at = NULL
       RETURNING expires_at"""
)
# A used one is there for the trip that used it, whose last page may be loaded again.
_LINK = text(
    """SELECT token_hash, user_id, user_name, org_name, tid, tenant_name, expires_at FROM consent_link
       WHERE org_id = :org_id AND expires_at > clock_timestamp() AND (used_at IS NULL OR EXISTS (
           SELECT FROM consent_attempt a WHERE a.org_id = :org_id AND a.link_hash = token_hash
               AND a.next_hash = :next_hash AND a.finished))"""
)
_USE_LINK = text(
    """UPDATE consent_link SET used_at = clock_timestamp()
       WHERE org_id = :org_id AND token_hash = :token_hash AND used_at IS NULL AND expires_at > clock_timestamp()
       RETURNING 1"""
)
_NOTE_LEAVERS = text("INSERT INTO leaving_person (org_id, user_id) SELECT :org_id, unnest(CAST(:people AS text[]))")
_FORGET_LEAVERS = text("DELETE FROM leaving_person WHERE org_id = :org_id")
_KEEP_LEFT = text(
    """INSERT INTO leaving_person (org_id, user_id, version, told)
       VALUES (:org_id, :user_id, :version, CAST(:told AS jsonb))
       ON CONFLICT (org_id, user_id) DO UPDATE SET version = excluded.version, told = excluded.told
       WHERE leaving_person.version < excluded.version RETURNING 1"""
)
_STILL_LEAVING = text("SELECT EXISTS (SELECT FROM leaving_person WHERE org_id = :org_id AND told IS NULL)")
_DROP_LINK = text("DELETE FROM consent_link WHERE org_id = :org_id RETURNING 1")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A consent attempt as it was taken; ``alive`` is whether its time had not run out.

    ``link_hash`` is of the link it belongs to; without one it is the person's. ``claimed_tid`` and ``sealed_flow`` are
    of the second leg, which began ``consented_s`` ago. A ``finished`` one has claimed its tenant, and nobody holds it.
    """

    state_hash: str
    user_id: str
    link_hash: str | None
    browser_key_hash: str
    alive: bool
    finished: bool
    taken_until: datetime | None
    consented_s: float | None
    claimed_tid: str | None
    sealed_flow: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A link that may still be used, for the tenant ``tid`` that its maker named ``tenant_name``."""

    token_hash: str
    user_id: str
    user_name: str
    org_name: str
    tid: str
    tenant_name: str
    expires_at: datetime


async def tenant(session: AsyncSession, org_id: str) -> TenantRow | None:
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id))).first()


async def tenant_for_change(session: AsyncSession, org_id: str) -> TenantRow:
    """The organisation's row, made when there is none; nobody else changes it before this transaction ends."""
    await session.execute(_MAKE_TENANT, {"org_id": org_id, "features": json.dumps(Features().model_dump())})
    return (await session.exec(select(TenantRow).where(TenantRow.org_id == org_id).with_for_update())).one()


async def add_attempt(
    session: AsyncSession,
    org_id: str,
    *,
    state_hash: str,
    user_id: str,
    link_hash: str | None,
    browser_key_hash: str,
    life_s: int,
) -> None:
    values = {"org_id": org_id, "user_id": user_id, "link_hash": link_hash}
    await session.execute(_DROP_OLD_ATTEMPTS, values)
    values |= {"state_hash": state_hash, "browser_key_hash": browser_key_hash}
    await session.execute(_ADD_ATTEMPT, values | {"life_s": life_s})


async def take_attempt(
    session: AsyncSession,
    org_id: str,
    state_hash: str,
    *,
    second_leg: bool,
    user_id: str,
    link_hash: str | None,
    browser_key_hash: str,
    lease_s: float,
) -> Attempt | None:
    """The attempt at one of its legs, for who takes it first; None for everybody else until it is given back.

    A leg that was done before is given to the same person and browser only: its answer was lost on the way.
    """
    values = {"org_id": org_id, "state_hash": state_hash, "user_id": user_id, "link_hash": link_hash}
    statement = _TAKE_SECOND_LEG if second_leg else _TAKE_FIRST_LEG
    values |= {"browser_key_hash": browser_key_hash}
    row = (await session.execute(statement, {**values, "lease_s": lease_s})).first()
    return Attempt(**row._mapping) if row else None  # noqa: SLF001 - SQLAlchemy's public name for it


async def is_under_way(session: AsyncSession, org_id: str, state_hash: str) -> bool:
    """Whether somebody holds the attempt right now."""
    return (await session.execute(_UNDER_WAY, {"org_id": org_id, "state_hash": state_hash})).first() is not None


async def give_back_attempt(session: AsyncSession, org_id: str, state_hash: str, taken_until: datetime | None) -> None:
    """Free the attempt again, unless somebody else has it by now or it went on."""
    values = {"org_id": org_id, "state_hash": state_hash, "taken_until": taken_until}
    await session.execute(_GIVE_BACK_ATTEMPT, values)


async def send_on_attempt(
    session: AsyncSession, org_id: str, state_hash: str, *, next_hash: str, claimed_tid: str, sealed_flow: bytes
) -> bool:
    """Move the attempt from the first leg to the second; False when it was dropped meanwhile."""
    values = {"org_id": org_id, "state_hash": state_hash, "next_hash": next_hash, "claimed_tid": claimed_tid}
    return (await session.execute(_SEND_ON_ATTEMPT, values | {"sealed_flow": sealed_flow})).first() is not None


async def finish_attempt(session: AsyncSession, org_id: str, state_hash: str) -> bool:
    """The tenant is claimed; False when the attempt was dropped meanwhile."""
    return (await session.execute(_FINISH_ATTEMPT, {"org_id": org_id, "state_hash": state_hash})).first() is not None


async def end_attempt(session: AsyncSession, org_id: str, state_hash: str) -> bool:
    """False when the attempt was dropped meanwhile."""
    return (await session.execute(_END_ATTEMPT, {"org_id": org_id, "state_hash": state_hash})).first() is not None


async def drop_attempts(session: AsyncSession, org_id: str) -> None:
    await session.execute(_DROP_ATTEMPTS, {"org_id": org_id})


async def put_link(
    session: AsyncSession,
    org_id: str,
    *,
    token_hash: str,
    user_id: str,
    user_name: str,
    org_name: str,
    tid: str,
    tenant_name: str,
    life_s: int,
) -> datetime:
    """In place of an older one and whatever was under way with it. Returns when it ends."""
    await session.execute(_DROP_LINK_ATTEMPTS, {"org_id": org_id})
    values = {"org_id": org_id, "token_hash": token_hash, "user_id": user_id, "user_name": user_name}
    values |= {"org_name": org_name, "tid": tid, "tenant_name": tenant_name}
    found = await session.execute(_PUT_LINK, values | {"life_s": life_s})
    ends: datetime = found.scalar_one()
    return ends


async def link(session: AsyncSession, org_id: str, next_hash: str = "") -> Link | None:
    """The link that may be used, or that was by the trip with this state of its second leg."""
    row = (await session.execute(_LINK, {"org_id": org_id, "next_hash": next_hash})).first()
    return Link(*row) if row else None


async def use_link(session: AsyncSession, org_id: str, token_hash: str) -> bool:
    """Once: False when it was used, replaced, revoked or has expired."""
    return (await session.execute(_USE_LINK, {"org_id": org_id, "token_hash": token_hash})).first() is not None


async def drop_link(session: AsyncSession, org_id: str) -> bool:
    """Delete the link and all attempts with it. Returns whether there was one."""
    await session.execute(_DROP_LINK_ATTEMPTS, {"org_id": org_id})
    return (await session.execute(_DROP_LINK, {"org_id": org_id})).first() is not None


async def note_leavers(session: AsyncSession, org_id: str) -> None:
    """Everybody who is connected now has something at Microsoft to be removed; an earlier end counts no more."""
    await forget_leavers(session, org_id)
    people = await connected_people(session, org_id)
    await session.execute(_NOTE_LEAVERS, {"org_id": org_id, "people": people})


async def forget_leavers(session: AsyncSession, org_id: str) -> None:
    await session.execute(_FORGET_LEAVERS, {"org_id": org_id})


async def keep_left(session: AsyncSession, event: UserLeft) -> bool:
    """Keep what was left of a person. Returns whether it changed something."""
    told = event.model_dump_json(include={"removed", "left", "silent"})
    values = {"org_id": event.org_id, "user_id": event.user_id, "version": event.aggregate_version, "told": told}
    return (await session.execute(_KEEP_LEFT, values)).first() is not None


async def still_leaving(session: AsyncSession, org_id: str) -> bool:
    return bool((await session.execute(_STILL_LEAVING, {"org_id": org_id})).scalar_one())


async def leavers(session: AsyncSession, org_id: str) -> list[LeavingRow]:
    return list((await session.exec(select(LeavingRow).where(LeavingRow.org_id == org_id))).all())


async def now(session: AsyncSession) -> datetime:
    """The database's clock, the one all pods share."""
    moment: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return moment
