"""Graph subscriptions: find or create, renew, and the receiver that stores before it answers 202.

The row is written before Graph is asked, so neither the handshake nor a first notification meets an unknown
subscription. Each has its own ``clientState``, kept as a hash: it is only ever compared.
"""

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.db import Database
from shared.graph.client import GraphCaller
from shared.graph.errors import GraphNotFound
from shared.problems import BadInput, Unavailable
from shared.settings import ServiceSettings

DDL = [
    """CREATE TABLE IF NOT EXISTS graph_subscription (
        org_id text NOT NULL, user_id text NOT NULL, resource text NOT NULL, client_state_hash text NOT NULL,
        subscription_id text UNIQUE, expires_at timestamptz, PRIMARY KEY (org_id, user_id, resource))""",
    "CREATE INDEX IF NOT EXISTS graph_subscription_state ON graph_subscription (client_state_hash)",
    """CREATE TABLE IF NOT EXISTS graph_notification (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dedupe text UNIQUE NOT NULL, org_id text NOT NULL,
        user_id text NOT NULL, resource text NOT NULL, body jsonb NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
]
LIFE = timedelta(hours=20)
RENEW_BEFORE = timedelta(hours=4)
PROCESS = "process_notification"
MAX_NOTIFICATIONS = 1000

_PREPARE = text(
    """INSERT INTO graph_subscription (org_id, user_id, resource, client_state_hash)
       VALUES (:org_id, :user_id, :resource, :hash)
       ON CONFLICT (org_id, user_id, resource) DO UPDATE SET client_state_hash = excluded.client_state_hash"""
)
_FIND = text(
    """SELECT subscription_id, expires_at FROM graph_subscription
       WHERE org_id = :org_id AND user_id = :user_id AND resource = :resource"""
)
_KEEP = text(
    """UPDATE graph_subscription SET subscription_id = :id, expires_at = CAST(:expires_at AS timestamptz)
       WHERE org_id = :org_id AND user_id = :user_id AND resource = :resource"""
)
_OF_STATE = text(
    "SELECT org_id, user_id, resource, client_state_hash FROM graph_subscription WHERE client_state_hash = :hash"
)
_STORE = text(
    """INSERT INTO graph_notification (dedupe, org_id, user_id, resource, body)
       VALUES (:dedupe, :org_id, :user_id, :resource, CAST(:body AS jsonb))
       ON CONFLICT (dedupe) DO NOTHING RETURNING id"""
)


class Subscriptions:
    """The subscriptions of one service."""

    def __init__(self, db: Database, settings: ServiceSettings, service: str) -> None:
        self._db = db
        base = (settings.notification_base_url or settings.public_url).rstrip("/")
        self.url = f"{base}/{service}/webhooks/graph"

    async def ensure(self, caller: GraphCaller, resource: str, change_types: str = "created") -> datetime:
        """Make sure that Graph tells us of ``resource`` for at least four more hours. Returns until when it does."""
        place = {"org_id": caller.org_id, "user_id": caller.user_id or "", "resource": resource}
        async with self._db.unit_of_work(caller.org_id) as work:
            known = (await work.session.execute(_FIND, place)).first()
        if known and known.subscription_id:
            if known.expires_at > datetime.now(UTC) + RENEW_BEFORE:
                return datetime.fromisoformat(known.expires_at.isoformat())
            try:
                return await self._renew(caller, place, known.subscription_id)
            except GraphNotFound:
                pass  # Graph dropped it; it is made anew
        return await self._create(caller, place, change_types)

    async def _renew(self, caller: GraphCaller, place: dict[str, str], subscription_id: str) -> datetime:
        until = datetime.now(UTC) + LIFE
        await caller.patch(f"/subscriptions/{subscription_id}", {"expirationDateTime": _graph_time(until)})
        await self._keep(place, subscription_id, until)
        return until

    async def _create(self, caller: GraphCaller, place: dict[str, str], change_types: str) -> datetime:
        client_state = secrets.token_urlsafe(32)
        async with self._db.unit_of_work(caller.org_id) as work:
            await work.session.execute(_PREPARE, place | {"hash": _hash(client_state)})
        await self._remove_lost(caller, place["resource"])
        until = datetime.now(UTC) + LIFE
        wanted = {
            "changeType": change_types,
            "notificationUrl": self.url,
            "lifecycleNotificationUrl": self.url,
            "resource": place["resource"],
            "expirationDateTime": _graph_time(until),
            "clientState": client_state,
        }
        made = await caller.post("/subscriptions", wanted)
        await self._keep(place, made["id"], until)
        return until

    async def _remove_lost(self, caller: GraphCaller, resource: str) -> None:
        """An earlier try may have created one whose id was never kept."""
        async for found in caller.pages("/subscriptions"):
            if found.get("resource") == resource and found.get("notificationUrl") == self.url:
                await caller.delete(f"/subscriptions/{found['id']}")

    async def _keep(self, place: dict[str, str], subscription_id: str, until: datetime) -> None:
        async with self._db.unit_of_work(place["org_id"]) as work:
            await work.session.execute(_KEEP, place | {"id": subscription_id, "expires_at": until})


def receiver() -> APIRouter:
    """``POST /webhooks/graph``: the handshake, and notifications stored with a job each before the 202."""
    router = APIRouter()

    @router.post("/webhooks/graph", include_in_schema=False)
    async def receive(request: Request, validationToken: str | None = None) -> Response:  # noqa: N803 - Graph's name
        if validationToken is not None:
            return PlainTextResponse(validationToken)
        notifications = _notifications(await request.body())
        try:
            await _store_all(request.app.state.service.db, notifications)
        except (DBAPIError, OSError) as error:
            raise Unavailable("cannot_store", "The notification cannot be stored right now. Send it again.") from error
        return Response(status_code=202)

    return router


def _notifications(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)["value"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("not_a_notification", "Send a JSON object with a list named value.") from error
    if not isinstance(found, list) or len(found) > MAX_NOTIFICATIONS:
        raise BadInput("not_a_notification", f"Send at most {MAX_NOTIFICATIONS} notifications in a list named value.")
    return [item for item in found if isinstance(item, dict)]


async def _store_all(db: Database, notifications: list[dict[str, Any]]) -> None:
    async with db.system_work() as work:
        for item in notifications:
            given = _hash(str(item.pop("clientState", "")))
            row = (await work.session.execute(_OF_STATE, {"hash": given})).first()
            if row is None or not hmac.compare_digest(row.client_state_hash, given):
                continue  # not ours: answered like any other, so that a guesser learns nothing
            data = item.get("resourceData") or {}
            dedupe = f"{item.get('subscriptionId')}|{data.get('id') or item.get('resource')}|{item.get('changeType')}"
            values = {"dedupe": dedupe, "org_id": row.org_id, "user_id": row.user_id, "resource": row.resource}
            stored = (await work.session.execute(_STORE, values | {"body": json.dumps(item)})).first()
            if stored is not None:
                work.jobs.add(PROCESS, {"notification_id": stored.id}, org_id=row.org_id, dedupe_key=str(stored.id))


def _hash(client_state: str) -> str:
    return hashlib.sha256(client_state.encode()).hexdigest()


def _graph_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
