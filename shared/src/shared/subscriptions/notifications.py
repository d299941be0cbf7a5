"""Graph's notifications: the handshake, and each stored with its job before the 202, or refused with 503 at once.

A notification is only a hint: basic ones are not signed, so the ``clientState`` is compared in constant time and the
job reads the truth from Graph. A batch with resource data is believed only when its validation tokens are good; the
data is stored as it came, encrypted, and opened by the job. Graph delivers at least once and unordered, and gives us
three seconds.
"""

import asyncio
import hashlib
import hmac
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import metrics
from shared.database import queue
from shared.database.queue import ON_CONFLICT, traceparent
from shared.database.row_security import protecting
from shared.database.unit_of_work import REQUEST_ID, Database
from shared.database.work import PRIORITIES, Work
from shared.problems import BadInput, Unavailable
from shared.subscriptions.rich import NotGenuine, ValidationTokens

log = structlog.get_logger(__name__)
DDL = [
    """CREATE TABLE IF NOT EXISTS graph_notification (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dedupe text UNIQUE NOT NULL, org_id text NOT NULL,
        user_id text NOT NULL, resource text NOT NULL, change_types text NOT NULL, body jsonb NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    protecting("graph_notification"),
]
MAX_NOTIFICATIONS = 1000
MAX_TOKEN = 2048
STATEMENT_MS = 1000
STORE_S = 1.5
"""When nothing could be stored for so long, the answer is 503, which makes Graph send again; it waits three seconds."""
AT_A_TIME = 4
"""Batches stored side by side; further ones wait their turn, so that a burst does not take the pool from others."""

_BOUND = text("SELECT set_config('lock_timeout', :ms, true), set_config('statement_timeout', :ms, true)")
_OF_STATES = text(
    """SELECT org_id, user_id, resource, change_types, client_state_hash FROM graph_subscription
       WHERE client_state_hash = ANY(:hashes)"""
)
# A repeat gives the same row, and its job again should the first have failed for good.
_STORE = text(
    f"""WITH given AS (SELECT * FROM unnest(CAST(:dedupe AS text[]), CAST(:org_id AS text[]), CAST(:user_id AS text[]),
                          CAST(:resource AS text[]), CAST(:change_types AS text[]), CAST(:body AS text[]),
                          CAST(:kind AS text[])) AS g(dedupe, org_id, user_id, resource, change_types, body, kind)),
            stored AS (INSERT INTO graph_notification (dedupe, org_id, user_id, resource, change_types, body)
                SELECT dedupe, org_id, user_id, resource, change_types, CAST(body AS jsonb) FROM given ORDER BY dedupe
                ON CONFLICT (dedupe) DO UPDATE SET received_at = graph_notification.received_at
                RETURNING id, org_id, dedupe)
       INSERT INTO job (org_id, kind, payload, dedupe_key, priority, traceparent, cause)
       SELECT stored.org_id, given.kind, jsonb_build_object('notification_id', stored.id), stored.id::text, :priority,
              :traceparent, CAST(:cause AS jsonb)
       FROM stored JOIN given USING (dedupe) ORDER BY stored.id
       {ON_CONFLICT}"""
)
_LOAD = text(
    """SELECT id, org_id, user_id, resource, change_types, body, received_at FROM graph_notification
       WHERE id = :id AND org_id = :org_id"""
)
_DISCARD = text("DELETE FROM graph_notification WHERE id = :id")


class OfNotification(Work):
    """A stored notification to be dealt with."""

    keyed_by = ("notification_id",)
    notification_id: int


class ChangeNotification(OfNotification):
    """Something changed at Graph: read it, and act on what is there."""

    kind = "process_notification"


class LifecycleNotification(OfNotification):
    """Graph says something of a subscription: renew it, make it anew, or look for what was missed."""

    kind = "subscription_lifecycle"


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

    @property
    def encrypted_content(self) -> dict[str, Any] | None:
        """Resource data for ``CertificateRing.open``; None in a basic notification."""
        return _encrypted(self.body)


async def load(session: AsyncSession, org_id: str, notification_id: int) -> Notification | None:
    """The stored notification; None when it was dealt with."""
    row = (await session.execute(_LOAD, {"id": notification_id, "org_id": org_id})).first()
    return Notification(*row) if row else None


async def discard(session: AsyncSession, notification_id: int) -> None:
    """It is dealt with: delete it in the transaction of its effect."""
    await session.execute(_DISCARD, {"id": notification_id})


def state_hash(client_state: str) -> str:
    return hashlib.sha256(client_state.encode("utf-8", "surrogatepass")).hexdigest()


def receiver(tokens: ValidationTokens | None = None) -> APIRouter:
    """``POST /webhooks/graph``: the handshake, and notifications stored with a job each before the 202.

    ``tokens`` verifies the validation tokens; one made of the service's own settings unless given.
    """
    router = APIRouter()
    verifiers = [tokens] if tokens else []
    store = _Store()

    @router.post("/webhooks/graph", include_in_schema=False)
    async def receive(request: Request, validationToken: str | None = None) -> Response:  # noqa: N803 - Graph's name
        if validationToken is not None:
            return _handshake(validationToken)
        service = request.app.state.service
        if not verifiers:
            verifiers.append(ValidationTokens(service.settings))
        notifications, given = _read(await request.body())
        try:
            await _check(verifiers[0], notifications, given)
        except NotGenuine as error:
            log.warning("a hostile batch of notifications", reason=str(error), count=len(notifications))
            metrics.graph_notifications.add(len(notifications), {"outcome": "hostile"})
            return Response(status_code=202)  # like any other, so that a guesser learns nothing
        await store.soon(service.db, notifications)
        return Response(status_code=202)

    return router


async def _check(verifier: ValidationTokens, notifications: list[dict[str, Any]], tokens: Any) -> None:
    """Resource data needs tokens, and tokens that came are checked, whatever they came with."""
    if tokens or any(_encrypted(item) for item in notifications):
        named = [item.get("tenantId") or item.get("organizationId") for item in notifications]
        await verifier.check(tokens, [str(tenant) for tenant in named if tenant])


def _handshake(token: str) -> Response:
    """The token as it is, as plain text so that no browser takes it for a page."""
    if len(token) > MAX_TOKEN:
        raise BadInput("token_too_long", f"A validation token has at most {MAX_TOKEN} characters.")
    return PlainTextResponse(token, headers={"X-Content-Type-Options": "nosniff"})


def _read(body: bytes) -> tuple[list[dict[str, Any]], Any]:
    """The notifications, a single one also without a list around it, and the validation tokens beside them."""
    try:
        found = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadInput("not_a_notification", "Send a JSON object with a list named value.") from error
    items = found.get("value", [found] if "subscriptionId" in found else None) if isinstance(found, dict) else None
    if not isinstance(items, list) or len(items) > MAX_NOTIFICATIONS:
        raise BadInput("not_a_notification", f"Send at most {MAX_NOTIFICATIONS} notifications in a list named value.")
    return [item for item in items if isinstance(item, dict)], found.get("validationTokens")


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError("The number is out of range.")
    return found


def _member(given: Any, name: str) -> Any:
    """A member whose name Microsoft's pages spell in more than one case."""
    if not isinstance(given, dict):
        return None
    return next((value for key, value in given.items() if key.lower() == name.lower()), None)


def _encrypted(item: dict[str, Any]) -> dict[str, Any] | None:
    found = _member(item, "encryptedContent")
    return found if isinstance(found, dict) and found else None


class _Store:
    """Where the receiver of one service stores batches, a few at a time."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._storing: set[asyncio.Task[None]] = set()
        self._stored_at = 0.0

    async def soon(self, db: Database, notifications: list[dict[str, Any]]) -> None:
        """Stored, or ``Unavailable`` when nothing was stored for ``STORE_S``: a burst waits while others get through.

        A late commit is harmless: the repeat is known by its key.
        """
        storing = asyncio.create_task(self._in_turn(db, notifications))
        self._storing.add(storing)
        storing.add_done_callback(self._ended)
        now = asyncio.get_running_loop().time
        since = now()
        while not storing.done() and (left_s := max(since, self._stored_at) + STORE_S - now()) > 0:
            await asyncio.wait([storing], timeout=left_s)
        done = storing.done()
        if not done:
            storing.cancel()
        if not done or storing.cancelled() or isinstance(storing.exception(), DBAPIError | OSError):
            raise Unavailable("cannot_store", "The notification cannot be stored right now. Send it again.")
        storing.result()

    async def _in_turn(self, db: Database, notifications: list[dict[str, Any]]) -> None:
        async with self._room:
            await _store_all(db, notifications)
            self._stored_at = asyncio.get_running_loop().time()

    def _ended(self, storing: "asyncio.Task[None]") -> None:
        self._storing.discard(storing)
        if not storing.cancelled():
            storing.exception()


async def _store_all(db: Database, notifications: list[dict[str, Any]]) -> None:
    """The secret decides whose it is, not the id: a create whose answer was lost left one that we do not know."""
    async with db.system_work() as work:
        await work.session.execute(_BOUND, {"ms": str(STATEMENT_MS)})
        states = [state_hash(str(item.pop("clientState", None) or "")) for item in notifications]
        found = (await work.session.execute(_OF_STATES, {"hashes": sorted(set(states))})).all()
        known: list[dict[str, str]] = []
        for item, given in zip(notifications, states, strict=True):
            subscription = next((row for row in found if hmac.compare_digest(row.client_state_hash, given)), None)
            if subscription is not None:
                known.append(_row(subscription, item))
            # else not ours: answered like any other, so that a guesser learns nothing
        if rows := {row["dedupe"]: row for row in known}:
            columns = {name: [row[name] for row in rows.values()] for name in _COLUMNS}
            begun = {"traceparent": traceparent(), "cause": queue.begun(REQUEST_ID.get())}
            await work.session.execute(_STORE, columns | {"priority": _PRIORITY} | begun)
            work.wrote_jobs = True
    for outcome, count in (("stored", len(known)), ("unknown", len(notifications) - len(known))):
        if count:
            metrics.graph_notifications.add(count, {"outcome": outcome})


_COLUMNS = ("dedupe", "org_id", "user_id", "resource", "change_types", "body", "kind")
_PRIORITY = PRIORITIES[OfNotification.priority]


def _row(subscription: Any, item: dict[str, Any]) -> dict[str, str]:
    return {
        **_content(item),
        "org_id": subscription.org_id,
        "user_id": subscription.user_id,
        "resource": subscription.resource,
        "change_types": subscription.change_types,
        "kind": (LifecycleNotification if item.get("lifecycleEvent") else ChangeNotification).kind,
    }


def _content(item: dict[str, Any]) -> dict[str, str]:
    try:
        return {"dedupe": _dedupe(item), "body": json.dumps(_storable(item))}
    except RecursionError as error:
        raise BadInput("not_a_notification", "A notification is nested too deeply.") from error


def _storable(value: Any) -> Any:
    """PostgreSQL's JSON holds neither NUL nor half of a surrogate pair."""
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else value


def _dedupe(item: dict[str, Any]) -> str:
    """The same for repeats of one notification; never the same for two kinds of news about a subscription.

    Without an id the content tells two apart: call events of one meeting name the same resource and no version.
    """
    if item.get("id"):
        parts = ["id", item["id"]]
    elif item.get("lifecycleEvent"):
        parts = ["lifecycle", item["lifecycleEvent"]]
    else:
        data, sealed = item.get("resourceData"), _encrypted(item) or {}
        etag = _member(data, "@odata.etag") or ""
        parts = ["change", item.get("resource"), item.get("changeType"), etag, "" if etag else data, sealed.get("data")]
    return hashlib.sha256(json.dumps([item.get("subscriptionId"), *parts], sort_keys=True).encode()).hexdigest()
