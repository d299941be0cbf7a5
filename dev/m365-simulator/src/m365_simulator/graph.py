"""What every Graph route shares: tokens, permissions, error bodies, request ids, recorded calls, faults."""

import json
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import jwt
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from .core import Simulator, real_now
from .directory import find_user
from .schema import first_fault
from .signing import GRAPH_AUDIENCE
from .store import Row


class GraphError(Exception):
    """Answered as Graph's error body; ``inner`` is innerError's code."""

    def __init__(
        self, status: int, code: str, message: str, *, inner: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner
        self.headers = headers or {}


def _error(error: GraphError, request_id: str, client_request_id: str) -> JSONResponse:
    inner = {
        "date": real_now().strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id,
    }
    if error.inner:
        inner["code"] = error.inner
    body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
    return JSONResponse(body, error.status, error.headers)


class GraphRoute(APIRoute):
    """Gives every answer its request id, turns GraphError into a body, and records the call."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            request_id = str(uuid.uuid4())
            client_id = request.headers.get("client-request-id", request_id)
            try:
                _scripted_fault(request)
                answer: Response = await handler(request)
            except GraphError as error:
                answer = _error(error, request_id, client_id)
            answer.headers["request-id"] = request_id
            answer.headers["client-request-id"] = client_id
            _record(request, answer.status_code)
            return answer

        return wrapped


def _scripted_fault(request: Request) -> None:
    simulator: Simulator = request.app.state.simulator
    throttle = simulator.take_fault("throttle")
    if throttle:
        wait = {"Retry-After": str(throttle.get("retry_after", 2))}
        raise GraphError(429, "TooManyRequests", "Too many requests.", headers=wait)
    if simulator.take_fault("server_error"):
        raise GraphError(503, "serviceNotAvailable", "The service is temporarily unavailable.")


def _record(request: Request, status: int) -> None:
    claims = getattr(request.state, "claims", {})
    row = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "status": status,
        "tenant": claims.get("tid"),
        "user": claims.get("oid"),
        "app_only": claims.get("idtyp") == "app",
        "at": real_now().isoformat(),
    }
    calls: list[Row] = request.app.state.simulator.calls
    calls.append(row)
    del calls[:-5000]


class Caller:
    """Who calls, after the token was checked."""

    def __init__(self, request: Request) -> None:
        self.simulator: Simulator = request.app.state.simulator
        self.store = self.simulator.store
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise _unauthenticated("Access token is empty.")
        try:
            self.claims = self.simulator.entra.read(token, GRAPH_AUDIENCE)
        except jwt.InvalidTokenError as error:
            raise _unauthenticated(f"Access token validation failure. {error}") from error
        request.state.claims = self.claims
        self.tenant: str = self.claims["tid"]
        self.app_only = self.claims.get("idtyp") == "app"

    def need(self, *, delegated: str = "", role: str = "") -> "Caller":
        """Any one of the space-separated permissions of the token's kind, else 403."""
        wanted = set((role if self.app_only else delegated).split())
        held = set(self.claims.get("roles", []) if self.app_only else self.claims.get("scp", "").split())
        if not wanted & held:
            kind = "application" if self.app_only else "delegated"
            text = f"Insufficient privileges: one of the {kind} permissions {sorted(wanted)} is needed."
            raise GraphError(403, "Authorization_RequestDenied", text)
        return self

    def user(self, name: str | None) -> Row:
        """``None`` is /me; somebody else only with an application token, and only of the token's tenant."""
        if name is None and self.app_only:
            raise GraphError(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
        found = find_user(self.store, name or self.claims["oid"])
        if found is None or found["tenant"] != self.tenant:
            raise GraphError(404, "Request_ResourceNotFound", f"Resource '{name}' does not exist.")
        if not self.app_only and found["id"] != self.claims["oid"]:
            raise GraphError(403, "Forbidden", "The signed-in user may only read their own resources.")
        return found


def _unauthenticated(message: str) -> GraphError:
    challenge = {"WWW-Authenticate": f'Bearer realm="", error="invalid_token", error_description="{message}"'}
    return GraphError(401, "InvalidAuthenticationToken", message, headers=challenge)


async def body_of(request: Request, kind: str) -> Row:
    """The JSON body, checked against the metadata type ``kind``."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from error
    fault = first_fault(body, kind)
    if fault is not None:
        raise GraphError(400, "BadRequest", fault)
    found: Row = body
    return found


def answer(simulator: Simulator, context: str, body: Row, status: int = 200) -> JSONResponse:
    url = f"{simulator.settings.graph_url}/v1.0/$metadata#{context}"
    return JSONResponse({"@odata.context": url, **body}, status)


router = APIRouter(prefix="/v1.0", route_class=GraphRoute)


@router.get("/organization")
async def organization(request: Request) -> Response:
    readers = "Organization.Read.All User.Read.All"
    caller = Caller(request).need(delegated=f"User.Read {readers}", role=readers)
    tenant = caller.store.get("tenants", caller.tenant) or {}
    domain = {"name": tenant["domain"], "isDefault": True, "isInitial": True, "type": "Managed"}
    row = {"id": tenant["id"], "displayName": tenant["name"], "verifiedDomains": [domain]}
    return answer(caller.simulator, "organization", {"value": [row]})


@router.get("/me")
@router.get("/users/{name}")
async def person(request: Request, name: str | None = None) -> Response:
    caller = Caller(request).need(delegated="User.Read User.Read.All", role="User.Read.All")
    user = caller.user(name)
    mail = user["address"] if user["mailbox"] else None
    row = {"id": user["id"], "displayName": user["name"], "userPrincipalName": user["address"], "mail": mail}
    return answer(caller.simulator, "users/$entity", row)


@router.post("/$batch")
async def batch(request: Request) -> Response:
    """At most 20 requests, answered through the same routes."""
    Caller(request)
    items = json.loads(await request.body()).get("requests", [])
    if len(items) > 20:
        raise GraphError(400, "BadRequest", "The batch holds more than the maximum of 20 requests.")
    transport = httpx.ASGITransport(request.app)
    headers = {"authorization": request.headers["authorization"]}
    async with httpx.AsyncClient(transport=transport, base_url="http://batch", headers=headers) as http:
        return JSONResponse({"responses": [await _batched(http, item) for item in items]})


async def _batched(http: httpx.AsyncClient, item: Row) -> Row:
    got = await http.request(
        item["method"], f"/v1.0/{item['url'].lstrip('/')}", json=item.get("body"), headers=item.get("headers")
    )
    body: Any = got.json() if got.headers.get("content-type", "").startswith("application/json") else got.text
    return {"id": item["id"], "status": got.status_code, "headers": dict(got.headers), "body": body}


catch_all = APIRouter(prefix="/v1.0", route_class=GraphRoute)


@catch_all.api_route("/{rest:path}", methods=["GET", "POST", "PATCH", "PUT", "DELETE"])
async def unknown(request: Request, rest: str) -> Response:
    Caller(request)
    raise GraphError(404, "BadRequest", f"Resource not found for the segment '{rest.split('/')[-1]}'.")


def install(app: FastAPI) -> None:
    """The common routes, then the answer for every path nobody has."""
    app.include_router(router)
    app.include_router(catch_all)
