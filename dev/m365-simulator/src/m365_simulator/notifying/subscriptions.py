"""Change notification subscriptions with the validation handshake."""

import datetime
import re
import uuid
from urllib.parse import quote, urlsplit

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.teams.meetings import NEEDED, transcript_access
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

router = APIRouter(prefix="/v1.0/subscriptions", route_class=GraphRoute)
RESOURCE = re.compile(
    r"^(?:users/[0-9a-f-]{36}/onlineMeetings/getAll(Recordings|Transcripts)"
    r"|communications/onlineMeetings/getAll(Recordings|Transcripts)"
    r"|communications/onlineMeetings/[^/]+/(recordings|transcripts))$"
)
MAXIMUM = datetime.timedelta(minutes=4320)
MINIMUM = datetime.timedelta(minutes=45)
WITHOUT_LIFECYCLE = datetime.timedelta(hours=1)


def _refuse(message: str) -> GraphError:
    return GraphError(400, "BadRequest", message)


def _kind(resource: str) -> str:
    found = RESOURCE.match(resource)
    if found is None:
        raise _refuse(f"Resource '{resource}' is not supported for subscriptions here.")
    return next(group for group in found.groups() if group).lower()


def _expiry(text: str, lifecycle: str | None) -> str:
    try:
        wanted = moment_of(text)
    except ValueError as error:
        raise _refuse("expirationDateTime is not a time.") from error
    ahead = wanted - real_now()
    if ahead <= datetime.timedelta(0):
        raise _refuse("The expirationDateTime is in the past.")
    if ahead > MAXIMUM:
        reason = f"Expiration time '{text}' is beyond allowed max '3.00:00:00'."
        text = f"Operation: Create; Exception: [Status Code: BadRequest; Reason: {reason}]"
        raise GraphError(400, "ExtensionError", text)
    if ahead > WITHOUT_LIFECYCLE and not lifecycle:
        raise _refuse(
            "lifecycleNotificationUrl is required for subscription creation on this resource "
            "when the expirationDateTime value exceeds 1 hour"
        )
    return stamp(max(wanted, real_now() + MINIMUM))


def _until(caller: Caller, expiry: str) -> Row:
    """As the caller counts it, and as our own clock does."""
    return {"expirationDateTime": expiry, "expires": stamp(caller.simulator.clock.inward(moment_of(expiry)))}


async def _handshake(caller: Caller, url: str) -> None:
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1") or (parts.hostname or "").endswith(".localhost")
    if parts.scheme != "https" and not local:
        raise _refuse("The notification URL must use https.")
    token = f"Validation: {uuid.uuid4()} <&>"
    join = "&" if parts.query else "?"
    try:
        got = await caller.simulator.outbound.post(
            f"{url}{join}validationToken={quote(token)}", headers={"Content-Type": "text/plain; charset=utf-8"}
        )
    except httpx.HTTPError as error:
        raise _invalid(f"The endpoint could not be reached: {error}.") from error
    if got.status_code != 200:
        raise _invalid("Notification endpoint must respond with 200 OK to validation request.")
    if got.text != token or not got.headers.get("content-type", "").startswith("text/plain"):
        raise _invalid("Response must exactly match validationToken query parameter, as text/plain.")


def _invalid(message: str) -> GraphError:
    return GraphError(400, "ValidationError", f"Subscription validation request failed. {message}")


def _caller(request: Request) -> Caller:
    every = " ".join(NEEDED.values())
    return Caller(request).need(delegated=every, role=every)


def _alive(caller: Caller, row: Row) -> bool:
    return moment_of(row["expires"]) > caller.simulator.clock.service()


def _own(caller: Caller, key: str) -> Row:
    row: Row | None = caller.store.get("subscriptions", key)
    if row is None or row["tenant"] != caller.tenant or not _alive(caller, row):
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return row


def _body(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("tenant", "expires")}


def _shown(caller: Caller, row: Row, status: int = 200) -> Response:
    return answer(caller.simulator, "subscriptions/$entity", _body(row), status, kind="graph.subscription")


@router.post("")
async def create(request: Request) -> Response:
    caller = _caller(request)
    body = await body_of(request, "graph.subscription")
    for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
        if not body.get(name):
            raise _refuse(f"The property '{name}' is required.")
    if body["changeType"] != "created" or len(body.get("clientState") or "") > 128:
        raise _refuse("changeType must be created and clientState at most 128 characters.")
    body["resource"] = body["resource"].lstrip("/")
    kind = _kind(body["resource"])
    caller.need(delegated=NEEDED[kind], role=NEEDED[kind])
    transcript_access(caller, kind)
    expiry = _expiry(body["expirationDateTime"], body.get("lifecycleNotificationUrl"))
    _refuse_duplicate(caller, body)
    for url in {body["notificationUrl"], body.get("lifecycleNotificationUrl") or body["notificationUrl"]}:
        await _handshake(caller, url)
    key = caller.simulator.ids.guid("subscription")
    app = caller.simulator.settings.client_id
    row = {**body, "id": key, "tenant": caller.tenant, "applicationId": app, **_until(caller, expiry)}
    return _shown(caller, caller.store.put("subscriptions", key, row | {"creatorId": caller.claims["oid"]}), 201)


def _refuse_duplicate(caller: Caller, body: Row) -> None:
    for row in caller.store.all("subscriptions"):
        if _alive(caller, row) and row["tenant"] == caller.tenant and row["resource"] == body["resource"]:
            text = f"Subscription Id {row['id']} already exists for the requested combination"
            raise GraphError(409, "ExtensionError", text)


@router.get("")
async def list_all(request: Request) -> Response:
    caller = _caller(request)
    rows = [r for r in caller.store.all("subscriptions") if r["tenant"] == caller.tenant]
    shown = [_body(r) | {"clientState": None} for r in rows if _alive(caller, r)]
    query = caller.query("graph.subscription", Allows(page=100))
    return listed(caller, "subscriptions", shown, kind="graph.subscription", query=query)


@router.get("/{key}")
async def read(request: Request, key: str) -> Response:
    caller = _caller(request)
    return _shown(caller, _own(caller, key))


@router.patch("/{key}")
async def renew(request: Request, key: str) -> Response:
    caller = _caller(request)
    row = _own(caller, key)
    body = await body_of(request, "graph.subscription")
    if set(body) - {"expirationDateTime", "notificationUrl"}:
        raise _refuse("Only expirationDateTime and notificationUrl can be changed.")
    transcript_access(caller, _kind(row["resource"]))
    if "expirationDateTime" in body:
        body |= _until(caller, _expiry(body["expirationDateTime"], row.get("lifecycleNotificationUrl")))
    if "notificationUrl" in body:
        await _handshake(caller, body["notificationUrl"])
    return _shown(caller, caller.store.put("subscriptions", key, row | body))


@router.delete("/{key}")
async def delete(request: Request, key: str) -> Response:
    caller = _caller(request)
    _own(caller, key)
    caller.store.delete("subscriptions", key)
    return Response(status_code=204)
