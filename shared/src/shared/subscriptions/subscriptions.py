"""Graph subscriptions: find or create, verify, renew, remove. The receiver is in ``notifications``.

The row is written before Graph is asked, so neither the handshake nor a first notification meets an unknown
subscription. Each has its own ``clientState``, kept as a hash: it is only ever compared. One worker at a time acts on a
subscription: it claims the row for a while, in a transaction of its own, because Graph's handshake comes back to us
during the create call and no transaction may be open then. Each asks for as long as its resource may live, and keeps
what Graph granted.
"""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Result, text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import metrics
from shared.connections.obstacles import ACCOUNT_NOT_CONNECTED, TENANT_NOT_CONNECTED
from shared.database.row_security import protecting
from shared.database.unit_of_work import Database
from shared.graph import GraphCaller
from shared.graph.errors import GraphGiveUp, GraphNotFound, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.settings import ServiceSettings
from shared.subscriptions.certificates import Certificates
from shared.subscriptions.lifetimes import life_in, life_of, renew_before
from shared.subscriptions.notifications import DDL as _NOTIFICATION_DDL
from shared.subscriptions.notifications import Notification, state_hash
from shared.subscriptions.rich import CertificateRing

DDL = [
    """CREATE TABLE IF NOT EXISTS graph_subscription (
        org_id text NOT NULL, user_id text NOT NULL, resource text NOT NULL, client_state_hash text,
        change_types text NOT NULL DEFAULT 'created', subscription_id text UNIQUE, expires_at timestamptz,
        claim text, claimed_until timestamptz, PRIMARY KEY (org_id, user_id, resource))""",
    "CREATE INDEX IF NOT EXISTS graph_subscription_state ON graph_subscription (client_state_hash)",
    "ALTER TABLE graph_subscription ADD COLUMN IF NOT EXISTS certificate_id text",
    "ALTER TABLE graph_subscription ADD COLUMN IF NOT EXISTS refused_until timestamptz",
    protecting("graph_subscription"),
    *_NOTIFICATION_DDL,
]
CLAIM_S = 90
CLAIM_POLL_S = 0.1
REFUSED_S = 900.0
"""How long a subscription that Graph refused is not asked for again: each try costs two calls."""

CONNECTION_ENDED = {ACCOUNT_NOT_CONNECTED.code, TENANT_NOT_CONNECTED.code}
"""How user-auth refuses a token of a connection that has ended."""

_OF_BETA = "/meetingcallevents"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HERE = "org_id = :org_id AND user_id = :user_id AND resource = :resource"
_CLAIM = text(
    """INSERT INTO graph_subscription (org_id, user_id, resource, claim, claimed_until)
       VALUES (:org_id, :user_id, :resource, :claim, clock_timestamp() + make_interval(secs => :life_s))
       ON CONFLICT (org_id, user_id, resource) DO UPDATE
           SET claim = excluded.claim, claimed_until = excluded.claimed_until
           WHERE graph_subscription.claimed_until IS NULL OR graph_subscription.claimed_until <= clock_timestamp()
       RETURNING subscription_id, change_types, certificate_id, client_state_hash IS NOT NULL AS tried,
                 coalesce(expires_at > clock_timestamp() + make_interval(secs => :renew_s), false) AS fresh"""
)
_RELEASE = text(f"UPDATE graph_subscription SET claimed_until = NULL WHERE {_HERE} AND claim = :claim")
_PREPARE = text(
    f"""UPDATE graph_subscription SET client_state_hash = :hash, change_types = :change_types,
        certificate_id = :certificate_id, subscription_id = NULL, expires_at = NULL
        WHERE {_HERE} AND claim = :claim"""
)
_KEEP = text(
    f"""UPDATE graph_subscription SET subscription_id = :id, expires_at = CAST(:expires_at AS timestamptz),
        certificate_id = :certificate_id, refused_until = NULL WHERE {_HERE} AND claim = :claim RETURNING resource"""
)
_DELETE = text(f"DELETE FROM graph_subscription WHERE {_HERE} AND claim = :claim")
_FORGET = text(
    """DELETE FROM graph_subscription WHERE org_id = :org_id
           AND (CAST(:user_id AS text) IS NULL OR user_id = :user_id) RETURNING subscription_id"""
)
_STATES = text(
    """SELECT count(*) FILTER (WHERE expires_at >= clock_timestamp() + interval '30 minutes') AS lasting,
              count(*) FILTER (WHERE expires_at >= clock_timestamp()
                                 AND expires_at < clock_timestamp() + interval '30 minutes') AS ending,
              count(*) FILTER (WHERE expires_at IS NULL OR expires_at < clock_timestamp()) AS none
       FROM graph_subscription"""
)
_KNOWN = text(
    """SELECT resource, coalesce(refused_until > clock_timestamp(), false) AS refused,
              subscription_id IS NOT NULL AS taken, extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_s
       FROM graph_subscription WHERE org_id = :org_id AND user_id = :user_id ORDER BY resource"""
)
_REFUSED = text(
    f"UPDATE graph_subscription SET refused_until = clock_timestamp() + make_interval(secs => :life_s) WHERE {_HERE}"
)


@dataclass(frozen=True, slots=True)
class _Held:
    """A subscription this worker alone acts on, until it lets go or ``CLAIM_S`` have passed."""

    place: dict[str, str]
    subscription_id: str | None
    change_types: str
    certificate_id: str | None
    tried: bool
    """Whether Graph was asked for it before; the answer may be lost."""
    fresh: bool

    @property
    def resource(self) -> str:
        return self.place["resource"]


class Subscriptions:
    """The subscriptions of one service. ``certificates`` are for those that bring resource data."""

    def __init__(self, db: Database, settings: ServiceSettings, service: str, certificates: Certificates) -> None:
        self._db = db
        self._certificates = certificates
        self._settings = settings
        self.service = service
        base = (settings.notification_base_url or settings.public_url).rstrip("/")
        self.url = f"{base}/{service}/webhooks/graph"

    async def ensure(
        self,
        caller: GraphCaller,
        resource: str,
        change_types: str = "created",
        *,
        renew: bool = False,
        rich: bool | None = None,
    ) -> datetime:
        """Make sure that Graph tells us of ``resource`` for hours to come; asks Graph whether it still knows of it.

        Returns until when it does, as Graph said. ``renew`` does so however long it lasts already. ``rich`` asks for
        resource data, or for none; None leaves that as it is.
        """
        until, _ = await self._ensure(caller, resource, change_types, renew=renew, rich=rich)
        return until

    async def _ensure(
        self, caller: GraphCaller, resource: str, change_types: str, *, renew: bool, rich: bool | None
    ) -> tuple[datetime, bool]:
        """When it expires, and whether it had to be made: then changes may have been missed."""
        async with self._claimed(caller, resource) as held:
            wanted = held.certificate_id is not None if rich is None else rich
            if held.subscription_id and not _is_as_wanted(held, change_types, rich=wanted):
                await _end(caller, held.subscription_id)  # neither can be changed later
            elif held.subscription_id:
                with contextlib.suppress(GraphNotFound):  # Graph dropped it; it is made anew
                    return await self._alive(caller, held, held.subscription_id, renew=renew), False
            ring = await self._certificates.ring(caller.org_id) if wanted else None
            return await self._create(caller, held, change_types, ring), True

    async def remove(self, caller: GraphCaller, resource: str) -> None:
        """End it at Graph, as far as the account still lets us, and forget it. What is not there is removed.

        When the connection has ended it is kept: whoever ends that removes it (``leaving``).
        """
        async with self._claimed(caller, resource) as held:
            try:
                if held.subscription_id:
                    await caller.delete(f"/subscriptions/{held.subscription_id}")
            except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
                if error.code in CONNECTION_ENDED:
                    return
            await self._run(caller.org_id, _DELETE, held.place)

    async def end(self, caller: GraphCaller, resource: str) -> None:
        """End it at Graph and forget it, as one whose connection ended. Raises ``GraphError`` while it is still there.

        One that was being made is looked for, as its id may have been lost.
        """
        async with self._claimed(caller, resource) as held:
            if held.subscription_id:
                await _end(caller, held.subscription_id)
            else:
                await self._remove_lost(caller, resource)
            await self._run(caller.org_id, _DELETE, held.place)

    async def heed(self, caller: GraphCaller, notification: Notification) -> bool:
        """Do what a lifecycle event asks for. Returns whether changes may have been missed and must be looked for."""
        event, resource = notification.lifecycle_event, notification.resource
        if event == "missed":
            return True
        renew = event == "reauthorizationRequired"
        _, made = await self._ensure(caller, resource, notification.change_types, renew=renew, rich=None)
        return made or not renew

    async def resources_of(self, org_id: str, user_id: str) -> dict[str, bool]:
        """Resources subscribed to for a person → whether Graph refused it in the last 15 minutes.

        The application's own when ``user_id`` is empty.
        """
        rows = await self._run(org_id, _KNOWN, {"org_id": org_id, "user_id": user_id})
        return {row.resource: row.refused for row in rows}

    async def note_refusal(self, caller: GraphCaller, resource: str) -> None:
        place = {"org_id": caller.org_id, "user_id": caller.user_id or "", "resource": resource}
        await self._run(caller.org_id, _REFUSED, place | {"life_s": REFUSED_S})

    async def lasting(self, org_id: str, user_id: str, for_s: float) -> set[str]:
        """Resources whose subscription lasts ``for_s`` seconds or more, as the database has it; Graph is not asked."""
        rows = await self._run(org_id, _KNOWN, {"org_id": org_id, "user_id": user_id})
        return {row.resource for row in rows if row.taken and row.left_s > for_s}

    async def opened(self, notification: Notification) -> dict[str, Any]:
        """The resource data that a notification brings. Raises ``Unopenable``."""
        return (await self._certificates.ring(notification.org_id)).open(notification.encrypted_content or {})

    @asynccontextmanager
    async def _claimed(self, caller: GraphCaller, resource: str) -> AsyncIterator[_Held]:
        place = {"org_id": caller.org_id, "user_id": caller.user_id or "", "resource": resource}
        place["claim"] = secrets.token_hex(8)
        values = place | {"life_s": CLAIM_S, "renew_s": renew_before(resource).total_seconds()}
        while (row := (await self._run(caller.org_id, _CLAIM, values)).first()) is None:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(CLAIM_POLL_S)  # another worker has it; one that died loses its claim
        try:
            yield _Held(place, row.subscription_id, row.change_types, row.certificate_id, row.tried, row.fresh)
        finally:
            with contextlib.suppress(DBAPIError, OSError):  # the claim then runs out by itself
                await self._run(caller.org_id, _RELEASE, place)

    async def _run(self, org_id: str, statement: Any, values: dict[str, Any]) -> Result[Any]:
        async with self._db.unit_of_work(org_id) as work:
            return await work.session.execute(statement, values)

    def _path(self, resource: str, subscription_id: str = "") -> str:
        """Graph's beta alone takes subscriptions to call events (Microsoft's page, and reports of 400 from v1.0)."""
        path = f"/subscriptions/{subscription_id}".rstrip("/")
        if not resource.lower().endswith(_OF_BETA):
            return path
        return self._settings.graph_base_url.removesuffix("/v1.0") + "/beta" + path

    async def _alive(self, caller: GraphCaller, held: _Held, subscription_id: str, *, renew: bool) -> datetime:
        """Verified or renewed. Raises ``GraphNotFound`` when Graph no longer has it, or has it for another address."""
        path, certificate_id, more = self._path(held.resource, subscription_id), held.certificate_id, {}
        ring = await self._certificates.ring(caller.org_id) if certificate_id is not None else None
        if ring is not None and certificate_id != ring.current:
            certificate_id, more = ring.current, ring.wanted()
        if renew or more or not held.fresh:
            found = await _asked(caller.patch, path, more, held.resource)
        else:
            found = await caller.get(path)
        if found.get("notificationUrl", self.url) != self.url:
            await caller.delete(path)
            raise GraphNotFound("The subscription tells another address.")
        return await self._keep(caller, held, found, certificate_id)

    async def _create(
        self, caller: GraphCaller, held: _Held, change_types: str, ring: CertificateRing | None
    ) -> datetime:
        client_state, certificate_id = secrets.token_urlsafe(32), ring.current if ring else None
        values = held.place | {"hash": state_hash(client_state), "change_types": change_types}
        await self._run(caller.org_id, _PREPARE, values | {"certificate_id": certificate_id})
        if caller.user_id is not None or held.tried:  # the application's list is long, and has all of its meetings
            await self._remove_lost(caller, held.resource)
        path = self._path(held.resource)
        wanted = {
            "changeType": change_types,
            "notificationUrl": self.url,
            "lifecycleNotificationUrl": self.url,
            "resource": held.resource,
            "clientState": client_state,
            **({"includeResourceData": True, **ring.wanted()} if ring else {}),
        }
        try:
            made = await _asked(caller.post, path, wanted, held.resource)
        except GraphGiveUp as refusal:
            if refusal.status != 409:
                raise
            await self._make_room(caller, held.resource, refusal)
            made = await _asked(caller.post, path, wanted, held.resource)
        return await self._keep(caller, held, made, certificate_id)

    async def _remove_lost(self, caller: GraphCaller, resource: str) -> None:
        """An earlier try may have created one whose id was never kept."""
        for found in [item async for item in caller.pages("/subscriptions")]:
            if _same(found.get("resource"), resource) and found.get("notificationUrl") == self.url:
                await _end(caller, found["id"])

    async def _make_room(self, caller: GraphCaller, resource: str, refusal: GraphGiveUp) -> None:
        """Graph has one for the same account and resource, at an address we left; its client state is lost to us."""
        ids = set(_ID.findall(refusal.message))
        ids |= {item["id"] async for item in caller.pages("/subscriptions") if _same(item.get("resource"), resource)}
        for subscription_id in ids:
            await _end(caller, subscription_id)

    async def _keep(
        self, caller: GraphCaller, held: _Held, made: dict[str, Any], certificate_id: str | None
    ) -> datetime:
        """Note what Graph answered. Whoever lost the claim meanwhile takes its own subscription back."""
        until = datetime.fromisoformat(made["expirationDateTime"])
        values = held.place | {"id": made["id"], "expires_at": until, "certificate_id": certificate_id}
        if (await self._run(caller.org_id, _KEEP, values)).first() is None:
            await _end(caller, made["id"])
            raise GraphRetry("Another worker took the subscription over.", after_s=1)
        return until


async def gauge_subscriptions(db: Database) -> None:
    """Set the gauge of subscriptions by state, over all organisations."""
    async with db.system_work() as work:
        counts = (await work.session.execute(_STATES)).one()
    for state in ("lasting", "ending", "none"):
        metrics.graph_subscriptions.set(getattr(counts, state), {"state": state})


async def forget_subscriptions(session: AsyncSession, org_id: str, user_id: str | None) -> list[str]:
    """Forget the subscriptions of a person, or with None of a tenant, whose tokens are gone. Graph is not asked.

    Later notifications are ignored. Returns the ids that Graph may still have. A create in flight deletes its own.
    """
    rows = await session.execute(_FORGET, {"org_id": org_id, "user_id": user_id})
    return sorted(found for found in rows.scalars() if found)


async def subscribed(session: AsyncSession, org_id: str, user_id: str) -> list[str]:
    """The resources of a person that Graph has taken a subscription to, as far as we know."""
    rows = await session.execute(_KNOWN, {"org_id": org_id, "user_id": user_id})
    return [row.resource for row in rows if row.taken]


def _is_as_wanted(held: _Held, change_types: str, *, rich: bool) -> bool:
    kinds = {part.strip() for part in held.change_types.split(",")}
    return kinds == {part.strip() for part in change_types.split(",")} and (held.certificate_id is not None) == rich


async def _asked(
    ask: Callable[[str, Any], Awaitable[dict[str, Any]]], path: str, body: dict[str, Any], resource: str
) -> dict[str, Any]:
    """Graph's answer to a subscription for as long as it may live; once more when Graph names a shorter maximum."""
    life = life_of(resource)
    try:
        return await ask(path, {**body, "expirationDateTime": _graph_time(datetime.now(UTC) + life)})
    except GraphGiveUp as refusal:
        shorter = life_in(refusal.message)
        if refusal.status != 400 or shorter is None or shorter >= life:
            raise
        return await ask(path, {**body, "expirationDateTime": _graph_time(datetime.now(UTC) + shorter)})


async def _end(caller: GraphCaller, subscription_id: str) -> None:
    with contextlib.suppress(GraphNotFound):
        await caller.delete(f"/subscriptions/{subscription_id}")


def _same(given: str | None, resource: str) -> bool:
    return (given or "").lstrip("/").lower() == resource.lstrip("/").lower()


def _graph_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
