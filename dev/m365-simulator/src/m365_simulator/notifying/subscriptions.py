"""The subscriptions resource: create with the handshake, read, list, renew, reauthorise, delete.

Subscriptions to call events are made in Graph's beta only, where all of this is as well.
"""

import time

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from m365_simulator.clock import moment_of, stamp
from m365_simulator.odata import Allows
from m365_simulator.schema import properties
from m365_simulator.store import Row
from m365_simulator.teams.meetings import transcript_access
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from . import lifecycle, rules
from .figures import figures
from .forging import deliver_before_answer
from .handshake import validate
from .log import sequence
from .queueing import alive, grants
from .resources import READERS, Watched, read_resource

router = APIRouter(prefix="/v1.0/subscriptions", route_class=GraphRoute)
SHOWN = frozenset(properties("graph.subscription"))
TWICE_S = 600
OF_BETA = "meetingCallEvents"


def _living(caller: Caller) -> list[Row]:
    return [row for row in caller.store.all("subscriptions") if alive(caller.simulator, row)]


def _is_own(caller: Caller, row: Row) -> bool:
    """Whether it is of the same application and tenant, and of the person who asks, if it is a person."""
    if row["tenant"] != caller.tenant or row["applicationId"] != caller.app:
        return False
    return caller.app_only or (row["creatorId"] == caller.claims["oid"] and not row["app_only"])


def _reader(request: Request) -> Caller:
    return Caller(request).need(delegated=READERS, role=READERS)


def _own(caller: Caller, key: str) -> Row:
    row: Row | None = caller.store.get("subscriptions", key)
    if row is None or not alive(caller.simulator, row) or not _is_own(caller, row):
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return row


def _shown(caller: Caller, row: Row, status: int = 200, *, secret: bool = True) -> Response:
    """``clientState`` is certain in answers to writes only."""
    body = {name: value for name, value in row.items() if name in SHOWN}
    if not (secret or figures(caller.simulator).shows_client_state):
        body["clientState"] = None
    return answer(caller.simulator, "subscriptions/$entity", body, status, kind="graph.subscription")


def _until(caller: Caller, expiry: str) -> Row:
    """As the caller counts it, and as our own clock does."""
    return {"expirationDateTime": expiry, "expires": stamp(caller.simulator.clock.inward(moment_of(expiry)))}


def _access(caller: Caller, watched: Watched) -> None:
    transcript_access(caller, {"adhocTranscripts": "transcripts"}.get(watched.name, watched.name))


@router.post("")
async def create(request: Request) -> Response:
    caller = Caller(request)
    body = await body_of(request, "graph.subscription")
    rules.check_fields(body)
    watched = read_resource(caller, body["resource"])
    if watched.name == OF_BETA and not request.url.path.startswith("/beta/"):
        raise GraphError(
            400, "BadRequest", f"Resource '{body['resource']}' is not supported for subscriptions in v1.0."
        )
    _access(caller, watched)
    body["changeType"] = rules.changes_of(body, watched)
    row = _row(caller, body, watched)
    rules.check_rich(body, watched)
    rules.check_room(caller, row, _living(caller), figures(caller.simulator))
    for name in ("notificationUrl", "lifecycleNotificationUrl"):
        if body.get(name):
            await validate(caller, body[name])
    rules.check_room(caller, row, _living(caller), figures(caller.simulator))  # another may have come meanwhile
    return await _made(caller, row)


def _row(caller: Caller, body: Row, watched: Watched) -> Row:
    lasting = {"rich": bool(body.get("includeResourceData")), "lifecycle": bool(body.get("lifecycleNotificationUrl"))}
    numbers = figures(caller.simulator)
    expiry = rules.expiry(body["expirationDateTime"], watched, numbers, act="Create", **lasting)
    return {
        "latestSupportedTlsVersion": "v1_2",
        "includeResourceData": False,
        "notificationContentType": "application/json",
        **body,
        **_until(caller, expiry),
        "applicationId": caller.app,
        "creatorId": caller.claims["oid"],
        "tenant": caller.tenant,
        "app_only": caller.app_only,
        "kind": watched.name,
        "place": watched.kind.place,
        "watched": watched.key,
        "user": watched.user,
        "meeting": watched.meeting,
        "select": list(watched.select),
        "filter": watched.filter,
        "immutable": 'idtype="immutableid"' in caller.request.headers.get("prefer", "").lower(),
    }


async def _made(caller: Caller, row: Row) -> Response:
    simulator = caller.simulator
    basis = {"tenant": caller.tenant, "app": caller.app, "app_only": caller.app_only, "person": caller.claims["oid"]}
    basis["permission"] = caller.request.state.permission
    basis["consented"] = grants(simulator, basis)
    row = {**row, "id": simulator.ids.guid("subscription"), "number": sequence(simulator), "basis": basis}
    row = lifecycle.authorised(row, caller.claims)
    with simulator.store.together():
        simulator.store.put("subscriptions", row["id"], row)
        lifecycle.plan(simulator, row)
    await deliver_before_answer(simulator, caller.simulator.recent_changes, row)
    return _shown(caller, row, 201)


@router.get("")
async def list_all(request: Request) -> Response:
    caller = _reader(request)
    rows = [row for row in _living(caller) if _is_own(caller, row)]
    shown = [{name: value for name, value in row.items() if name in SHOWN} | {"clientState": None} for row in rows]
    query = caller.query("graph.subscription", Allows(select=False, page=100))
    return listed(caller, "subscriptions", shown, kind="graph.subscription", query=query)


@router.get("/{key}")
async def read(request: Request, key: str) -> Response:
    caller = _reader(request)
    return _shown(caller, _own(caller, key), secret=False)


@router.patch("/{key}")
async def renew(request: Request, key: str) -> Response:
    """A new expiry, address or certificate; any of them with a token that may still read the resource."""
    caller = _reader(request)
    row = _own(caller, key)
    body = await body_of(request, "graph.subscription")
    if not body or set(body) - rules.CHANGEABLE:
        raise rules.refused(f"Only {', '.join(sorted(rules.CHANGEABLE))} can be changed.")
    changed = await _changed(caller, row, body)
    if caller.store.get("subscriptions", key) is None:  # deleted while its address was asked
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    _note_renewal(caller, row, "renewed")
    return _shown(caller, _lives_on(caller, {**changed, "renewed": time.time()}))


async def _changed(caller: Caller, row: Row, body: Row) -> Row:
    watched = read_resource(caller, row["resource"])
    _access(caller, watched)
    changed = {**row, **body}
    if "expirationDateTime" in body:
        lasting = {"rich": bool(row["includeResourceData"]), "lifecycle": bool(row.get("lifecycleNotificationUrl"))}
        text = body["expirationDateTime"]
        changed |= _until(caller, rules.expiry(text, watched, figures(caller.simulator), act="Update", **lasting))
    if "encryptionCertificate" in body or "encryptionCertificateId" in body:
        rules.check_certificate(changed)
        names = ("encryptionCertificate", "encryptionCertificateId")
        changed["certificate_before"] = {name: row.get(name) for name in names} if row["includeResourceData"] else None
    if "notificationUrl" in body:
        rules.check_url("notificationUrl", body["notificationUrl"])
        await validate(caller, body["notificationUrl"])
    return changed


def _lives_on(caller: Caller, row: Row) -> Row:
    row = lifecycle.authorised(row, caller.claims)
    row["basis"] = {**row["basis"], "consented": grants(caller.simulator, row["basis"])}
    with caller.store.together():
        caller.store.put("subscriptions", row["id"], row)
        lifecycle.plan(caller.simulator, row)
    return row


def _note_renewal(caller: Caller, row: Row, how: str) -> None:
    """Microsoft asks for one of the two ways within ten minutes, not both."""
    other = "reauthorised" if how == "renewed" else "renewed"
    if time.time() - row.get(other, 0) < TWICE_S:
        call = {"path": caller.request.url.path, "method": caller.request.method}
        caller.simulator.calls.find("renewed_twice", "Renewed and reauthorised within ten minutes.", call)


@router.post("/{key}/reauthorize")
async def reauthorize(request: Request, key: str) -> Response:
    caller = _reader(request)
    row = _own(caller, key)
    _access(caller, read_resource(caller, row["resource"]))
    _note_renewal(caller, row, "reauthorised")
    _lives_on(caller, {**row, "reauthorised": time.time()})
    return Response(status_code=204)


@router.delete("/{key}")
async def delete(request: Request, key: str) -> Response:
    """What was queued before goes out all the same."""
    caller = _reader(request)
    lifecycle.forget(caller.simulator, _own(caller, key)["id"])
    return Response(status_code=204)


beta = APIRouter(route_class=GraphRoute)
for route in router.routes:
    if isinstance(route, APIRoute):
        path = route.path.replace("/v1.0/", "/beta/")
        beta.add_api_route(path, route.endpoint, methods=list(route.methods or ()), name=f"{route.name} in beta")
