"""Graph's notifications: the handshake, and each stored with its job before the 202, or refused with 503 at once.

A notification is only a hint: basic ones are not signed, so the ``clientState`` is compared in constant time and the
job reads the truth from Graph. Graph delivers at least once and unordered, and gives us three seconds.
"""

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import metrics
from shared.db import Database, UnitOfWork
from shared.problems import BadInput, Unavailable

DDL = [
    """CREATE TABLE IF NOT EXISTS graph_notification (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dedupe text UNIQUE NOT NULL, org_id text NOT NULL,
        user_id text NOT NULL, resource text NOT NULL, change_types text NOT NULL, body jsonb NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
]
PROCESS = "process_notification"
LIFECYCLE = "subscription_lifecycle"
MAX_NOTIFICATIONS = 1000
MAX_TOKEN = 2048
STATEMENT_MS = 1000
STORE_S = 1.5
"""Graph waits three seconds and drops what is answered late; 503 makes it send again."""

_BOUND = text(
    """SELECT set_config('lock_timeout', :ms, true), set_config('statement_timeout', :ms, true),
              set_config('app.scope', 'system', true)"""
)
_OF_STATE = text(
    """SELECT org_id, user_id, resource, change_types, client_state_hash FROM graph_subscription
       WHERE client_state_hash = :hash"""
)
_STORE = text(
    """INSERT INTO graph_notification (dedupe, org_id, user_id, resource, change_types, body)
       VALUES (:dedupe, :org_id, :user_id, :resource, :change_types, CAST(:body AS jsonb))
       ON CONFLICT (dedupe) DO UPDATE SET received_at = graph_notification.received_at RETURNING id"""
)
"""A repeat gives the same row, and its job again should the first have failed for good."""
_LOAD = text(
    """SELECT id, org_id, user_id, resource, change_types, body, received_at FROM graph_notification
       WHERE id = :id AND org_id = :org_id"""
)
_DISCARD = text("DELETE FROM graph_notification WHERE id = :id")
_storing: set["asyncio.Task[None]"] = set()


@dataclass(frozen=True, slots=True)
class Notification:
    """A stored notification; ``resource`` is what was subscribed to, ``body`` what Graph sent without clientState."""

    id: int
    org_id: str
    user_id: str
    resource: str
    change_types: str
    body: dict[str, Any]
    received_at: datetime

    @property
    def lifecycle_event(self) -> str | None:
        event = self.body.get("lifecycleEvent")
        return str(event) if event else None


async def load(session: AsyncSession, org_id: str, notification_id: int) -> Notification | None:
    """The stored notification; None when it was dealt with."""
    row = (await session.execute(_LOAD, {"id": notification_id, "org_id": org_id})).first()
    return Notification(*row) if row else None


async def discard(session: AsyncSession, notification_id: int) -> None:
    """It is dealt with: delete it in the transaction of its effect."""
    await session.execute(_DISCARD, {"id": notification_id})


def state_hash(client_state: str) -> str:
    return hashlib.sha256(client_state.encode("utf-8", "surrogatepass")).hexdigest()


def receiver() -> APIRouter:
    """``POST /webhooks/graph``: the handshake, and notifications stored with a job each before the 202."""
    router = APIRouter()

    @router.post("/webhooks/graph", include_in_schema=False)
    async def receive(request: Request, validationToken: str | None = None) -> Response:  # noqa: N803 - Graph's name
        if validationToken is not None:
            return _handshake(validationToken)
        notifications = _notifications(await request.body())
        await _store_soon(request.app.state.service.db, notifications)
        return Response(status_code=202)

    return router


def _handshake(token: str) -> Response:
    """The token as it is, as plain text so that no browser takes it for a page."""
    if len(token) > MAX_TOKEN:
        raise BadInput("token_too_long", f"A validation token has at most {MAX_TOKEN} characters.")
    return PlainTextResponse(token, headers={"X-Content-Type-Options": "nosniff"})


def _notifications(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)["value"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput("not_a_notification", "Send a JSON object with a list named value.") from error
    if not isinstance(found, list) or len(found) > MAX_NOTIFICATIONS:
        raise BadInput("not_a_notification", f"Send at most {MAX_NOTIFICATIONS} notifications in a list named value.")
    return [item for item in found if isinstance(item, dict)]


async def _store_soon(db: Database, notifications: list[dict[str, Any]]) -> None:
    """Stored, or ``Unavailable`` within ``STORE_S``. A late commit is harmless: the repeat is known by its key."""
    storing = asyncio.create_task(_store_all(db, notifications))
    _storing.add(storing)
    storing.add_done_callback(_ended)
    done, _ = await asyncio.wait([storing], timeout=STORE_S)
    if not done:
        storing.cancel()
    if not done or storing.cancelled() or isinstance(storing.exception(), DBAPIError | OSError):
        raise Unavailable("cannot_store", "The notification cannot be stored right now. Send it again.")
    storing.result()


def _ended(storing: "asyncio.Task[None]") -> None:
    _storing.discard(storing)
    if not storing.cancelled():
        storing.exception()


async def _store_all(db: Database, notifications: list[dict[str, Any]]) -> None:
    async with db.system_work() as work:
        await work.session.execute(_BOUND, {"ms": str(STATEMENT_MS)})
        for item in notifications:
            given = state_hash(str(item.pop("clientState", "")))
            row = (await work.session.execute(_OF_STATE, {"hash": given})).first()
            known = row is not None and hmac.compare_digest(row.client_state_hash, given)
            if known:
                await _store(work, row, item)
            # else not ours: answered like any other, so that a guesser learns nothing
            metrics.graph_notifications.add(1, {"outcome": "stored" if known else "unknown"})


async def _store(work: UnitOfWork, subscription: Any, item: dict[str, Any]) -> None:
    values = {
        "dedupe": _dedupe(item),
        "org_id": subscription.org_id,
        "user_id": subscription.user_id,
        "resource": subscription.resource,
        "change_types": subscription.change_types,
        "body": json.dumps(item).replace("\\u0000", ""),  # PostgreSQL's JSON holds no NUL
    }
    stored = (await work.session.execute(_STORE, values)).one()
    kind = LIFECYCLE if item.get("lifecycleEvent") else PROCESS
    payload = {"notification_id": stored.id}
    work.jobs.add(kind, payload, org_id=subscription.org_id, dedupe_key=str(stored.id))


def _dedupe(item: dict[str, Any]) -> str:
    """The same for repeats of one notification; never the same for two kinds of news about a subscription."""
    if item.get("id"):
        parts = ["id", item["id"]]
    elif item.get("lifecycleEvent"):
        parts = ["lifecycle", item["lifecycleEvent"]]
    else:
        data = item.get("resourceData")
        etag = data.get("@odata.etag", "") if isinstance(data, dict) else ""
        parts = ["change", item.get("resource"), item.get("changeType"), etag]
    return hashlib.sha256(json.dumps([item.get("subscriptionId"), *parts]).encode()).hexdigest()
