"""Graph's notifications: the handshake, and each stored with its job before the 202, or refused with 503 at once.

A notification is only a hint: basic ones are not signed, so the ``clientState`` is compared in constant time and the
job reads the truth from Graph. A batch with resource data is believed only when its validation tokens are good; the
data is stored as it came, encrypted, and opened by the job. Graph delivers at least once and unordered, and gives us
three seconds.
"""

import asyncio
import hashlib
import json
import math
from collections import deque
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import metrics
from shared.database import queue
from shared.database.queue import ON_CONFLICT, traceparent
from shared.database.row_security import protecting
from shared.database.unit_of_work import REQUEST_ID, Database, is_outage
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
AT_A_TIME = 2
"""Transactions side by side; what comes meanwhile shares the next one, so a burst costs few commits and connections."""

_BOUND = """SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true),
    set_config('app.org_id', '', true)"""
# The secret decides whose it is, not the id: a create whose answer was lost left one that we do not know.
# A repeat gives the same row, and its job again should the first have failed for good.
# Grouped, not joined: PostgreSQL plans this once, does not know how many rows come, and compared each row with each.
_STORE = text(
    f"""WITH given AS (SELECT * FROM unnest(CAST(:state AS text[]), CAST(:dedupe AS text[]), CAST(:body AS text[]),
                          CAST(:kind AS text[]), CAST(:traceparent AS text[]), CAST(:cause AS text[]))
                          AS g(state, dedupe, body, kind, traceparent, cause)),
            ours AS (SELECT DISTINCT ON (given.dedupe) given.*, s.org_id, s.user_id, s.resource, s.change_types
                FROM given JOIN graph_subscription s ON s.client_state_hash = given.state ORDER BY given.dedupe),
            stored AS (INSERT INTO graph_notification (dedupe, org_id, user_id, resource, change_types, body)
                SELECT dedupe, org_id, user_id, resource, change_types, CAST(body AS jsonb) FROM ours ORDER BY dedupe
                ON CONFLICT (dedupe) DO UPDATE SET received_at = graph_notification.received_at
                RETURNING id, org_id, dedupe)
       INSERT INTO job (org_id, kind, payload, dedupe_key, priority, traceparent, cause)
       SELECT max(org_id), max(kind), jsonb_build_object('notification_id', max(id)), max(id)::text, :priority,
              max(traceparent), CAST(max(cause) AS jsonb)
       FROM (SELECT dedupe, id, org_id, NULL AS kind, NULL AS traceparent, NULL AS cause FROM stored
             UNION ALL SELECT dedupe, NULL, NULL, kind, traceparent, cause FROM ours) AS halves
       GROUP BY dedupe ORDER BY max(id)
       {ON_CONFLICT} RETURNING 1"""
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
    """Delete a notification that was handled, in the transaction of its effect."""
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

    async def receive(request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            return _handshake(token)
        service = request.app.state.service
        if not verifiers:
            verifiers.append(ValidationTokens(service.settings))
        notifications, given = _read(await request.body())
        try:
            await _check(verifiers[0], notifications, given)
        except NotGenuine as error:
            log.warning("notifications.hostile", reason=str(error), count=len(notifications))
            metrics.graph_notifications.add(len(notifications), {"outcome": "hostile"})
            return Response(status_code=202)  # like any other, so that a guesser learns nothing
        await store.soon(service.db, notifications)
        return Response(status_code=202)

    # Starlette's route: what FastAPI's does for parameters and answers costs a third of a notification.
    router.add_route("/webhooks/graph", receive, methods=["POST"], include_in_schema=False)
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
        found = _json(body)
    except (ValueError, RecursionError) as error:
        raise BadInput("not_a_notification", "Send a JSON object with a list named value.") from error
    items = found.get("value", [found] if "subscriptionId" in found else None) if isinstance(found, dict) else None
    if not isinstance(items, list) or len(items) > MAX_NOTIFICATIONS:
        raise BadInput("not_a_notification", f"Send at most {MAX_NOTIFICATIONS} notifications in a list named value.")
    return [item for item in items if isinstance(item, dict)], found.get("validationTokens")


def _json(body: bytes) -> Any:
    """orjson does not take half of a surrogate pair; the standard library, which does, takes three times as long."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body, parse_constant=_finite, parse_float=_finite)


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


@dataclass(slots=True, eq=False)
class _Batch:
    """The notifications of one request, and whether they are stored."""

    rows: list[dict[str, str | None]]
    stored: asyncio.Future[None]


class _Store:
    """Stores batches for the receiver of one service. Batches that wait at the same time share a transaction."""

    def __init__(self) -> None:
        self._waiting: deque[_Batch] = deque()
        self._storing: set[asyncio.Task[None]] = set()
        self._stored_at = 0.0

    async def soon(self, db: Database, notifications: list[dict[str, Any]]) -> None:
        """Stored, or ``Unavailable`` when nothing was stored for ``STORE_S``: a burst waits while others get through.

        A late commit is harmless: the repeat is known by its key.
        """
        loop = asyncio.get_running_loop()
        batch = _Batch(_rows(notifications), loop.create_future())
        self._waiting.append(batch)
        if len(self._storing) < AT_A_TIME:
            storing = loop.create_task(self._store_waiting(db), context=Context())  # it is nobody's request
            self._storing.add(storing)
            storing.add_done_callback(self._storing.discard)
        since = loop.time()
        while not batch.stored.done() and (left_s := max(since, self._stored_at) + STORE_S - loop.time()) > 0:
            await asyncio.wait([batch.stored], timeout=left_s)
        if not batch.stored.cancel() and not isinstance(batch.stored.exception(), DBAPIError | OSError):
            return batch.stored.result()
        raise Unavailable("cannot_store", "The notification cannot be stored right now. Send it again.")

    async def _store_waiting(self, db: Database) -> None:
        while batches := self._taken():
            await self._together(db, batches)

    def _taken(self) -> list[_Batch]:
        """The next ones, at least one unless none waits, and not more notifications than one request may bring."""
        taken: list[_Batch] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0].rows) <= MAX_NOTIFICATIONS):
            batch = self._waiting.popleft()
            if not batch.stored.done():  # else it was answered with 503
                taken.append(batch)
                count += len(batch.rows)
        return taken

    async def _together(self, db: Database, batches: list[_Batch]) -> None:
        """Each batch by itself when all together are refused for what one of them holds."""
        try:
            await _store_all(db, [row for batch in batches for row in batch.rows])
        except (SQLAlchemyError, OSError) as error:
            if len(batches) > 1 and not is_outage(error):
                for batch in batches:
                    await self._together(db, [batch])
                return
            for batch in batches:
                if not batch.stored.done():
                    batch.stored.set_exception(error)
            return
        self._stored_at = asyncio.get_running_loop().time()
        for batch in batches:
            if not batch.stored.done():
                batch.stored.set_result(None)


async def _store_all(db: Database, rows: list[dict[str, str | None]]) -> None:
    columns = {name: [row[name] for row in rows] for name in _COLUMNS}
    async with db.transaction(_BOUND, [str(STATEMENT_MS)], db.service_engine) as transaction:
        work = transaction.work("")
        stored = len((await work.session.execute(_STORE, columns | {"priority": _PRIORITY})).all())
        work.wrote_jobs = stored > 0
    # A notification that is not ours is answered like any other, so that a guesser learns nothing.
    for outcome, count in (("stored", stored), ("unknown", len({row["dedupe"] for row in rows}) - stored)):
        if count:
            metrics.graph_notifications.add(count, {"outcome": outcome})


_COLUMNS = ("state", "dedupe", "body", "kind", "traceparent", "cause")
_SORTED = json.JSONEncoder(sort_keys=True)
_PRIORITY = PRIORITIES[OfNotification.priority]


def _rows(notifications: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    begun = {"traceparent": traceparent(), "cause": queue.begun(REQUEST_ID.get())}
    return [_row(item) | begun for item in notifications]


def _row(item: dict[str, Any]) -> dict[str, str | None]:
    state = state_hash(str(item.pop("clientState", None) or ""))
    kind = LifecycleNotification.kind if item.get("lifecycleEvent") else ChangeNotification.kind
    try:
        return {"state": state, "dedupe": _dedupe(item), "body": _text(item), "kind": kind}
    except RecursionError as error:
        raise BadInput("not_a_notification", "A notification is nested too deeply.") from error


def _text(item: dict[str, Any]) -> str:
    """As PostgreSQL's JSON. Only an escape can stand for a NUL, and orjson writes no half of a surrogate pair."""
    try:
        written = orjson.dumps(item).decode()
    except TypeError:
        return json.dumps(_storable(item))
    return json.dumps(_storable(item)) if "\\u0000" in written else written


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
    return hashlib.sha256(_SORTED.encode([item.get("subscriptionId"), *parts]).encode()).hexdigest()
