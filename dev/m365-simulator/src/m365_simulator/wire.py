"""What every Graph route shares: tokens, permissions, bodies, error bodies, request ids, limits, faults, the record."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import jwt
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from .clock import real_now
from .core import Simulator
from .directory import find_user
from .faults import fault
from .limits import workload
from .odata import Allows, BadQuery, Query, read_query
from .schema import first_fault, spelled
from .signing import GRAPH_AUDIENCE
from .store import Row

THROTTLE = fault(
    "throttle", "Graph answers 429; retry_after in seconds, null for none", "retry_after", "code", "rate_limit"
)
SERVER_ERROR = fault("server_error", "Graph answers a 5xx; the request had no effect", "status", "retry_after")
REFUSED = fault("refused", "Graph refuses with `status` (403) and `code`; the request had no effect", "status", "code")
DONE_BUT_ERROR = fault("done_but_error", "Graph acts and answers a 5xx all the same", "status")
RESET = fault("reset", "the connection is reset before Graph acts")
DONE_BUT_RESET = fault("done_but_reset", "Graph acts and the connection is reset before the answer")
SLOW = fault("slow", "the answer waits `seconds`", "seconds")
NOT_YET = fault("not_yet", "a GET answers 404, as right after a write")
PLACES = {
    "directory": ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    "outlook": ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    "teams": ("Forbidden", "The application does not have the permission that this request needs."),
    "files": ("accessDenied", "Access denied"),
}
TOKEN_CHECKS: list[Callable[[Simulator, dict[str, Any]], None]] = []
"""Asked with the claims of every good token; each may raise ``GraphError``, such as a claims challenge."""


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
    """Gives every answer its ids, applies limits and faults, turns GraphError into a body, records the call."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            return await _Exchange(request).run(handler)

        return wrapped


class _Exchange:
    """One request on its way through."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.simulator: Simulator = request.scope["simulator"]
        self.path = request.url.path.removeprefix("/v1.0").removeprefix("/beta")
        self.claims = _claims(request)
        self.about = self._about()
        self.headers: dict[str, str] = {}

    def _about(self) -> dict[str, str]:
        """What limits and faults are matched with; names of one thing stand on lines of their own."""
        claims, store = self.claims, self.simulator.store
        user = store.get("users", claims.get("oid", "")) or {}
        tenant = store.get("tenants", claims.get("tid", "")) or {}
        return {
            "path": f"{self.path}\n{self.request.url.path}",
            "method": self.request.method,
            "user": f"{claims.get('oid', '')}\n{user.get('address', '')}",
            "tenant": f"{claims.get('tid', '')}\n{tenant.get('domain', '')}",
            "app": str(claims.get("appid", "")),
        }

    async def run(self, handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
        began, request_id = time.monotonic(), self.simulator.ids.passing()
        client_id = self.request.headers.get("client-request-id", request_id)
        mailbox = self._mailbox()
        room = not mailbox or self.simulator.limits.enter(mailbox)
        try:
            answer = await self._answered(handler, room)
        except GraphError as error:
            answer = _error(error, request_id, client_id)
        finally:
            if mailbox:
                self.simulator.limits.leave(mailbox)
        answer.headers.update(self.headers)
        answer.headers["request-id"] = request_id
        answer.headers["client-request-id"] = client_id
        answer.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"1"}}'
        seconds = time.monotonic() - began
        body = await self.request.body() if self.request.method == "POST" else b""
        self._record(answer, seconds, body)
        return answer

    def _mailbox(self) -> str:
        if workload(self.path) != "outlook" or not self.claims:
            return ""
        parts = self.path.strip("/").split("/")
        named = find_user(self.simulator.store, parts[1]) if parts[0].lower() == "users" and len(parts) > 1 else None
        return f"{self.claims.get('appid')}/{(named or {}).get('id') or self.claims.get('oid')}"

    async def _answered(self, handler: Callable[[Request], Coroutine[Any, Any, Response]], room: bool) -> Response:
        await self._wait()
        self._throttle(room)
        self._strike()
        answer = await handler(self.request)
        if self._due(DONE_BUT_RESET):
            reset(self.request)
        if (found := self._due(DONE_BUT_ERROR)) is not None:
            raise GraphError(found.get("status", 503), "serviceNotAvailable", "The service failed after it had acted.")
        return answer

    async def _wait(self) -> None:
        slow = self._due(SLOW)
        seconds = (slow or {}).get("seconds", 1) if slow else self.simulator.settings.latency_ms / 1000
        if seconds:
            await asyncio.sleep(seconds)

    def _throttle(self, room: bool) -> None:
        method = self.request.method
        about = {"app": self.about["app"], "tenant": f"{self.about['app']}/{self.claims.get('tid')}"}
        about["user"] = f"{about['tenant']}/{self._mailbox() or self.claims.get('oid')}"
        wait, self.headers = self.simulator.limits.count(method, self.path, about)
        if not room:
            text = "Application is over its MailboxConcurrency limit."
            raise GraphError(429, "ApplicationThrottled", text, headers={"Retry-After": "1"})
        if wait is not None:
            raise GraphError(429, "TooManyRequests", "Too many requests.", headers={"Retry-After": str(wait)})

    def _due(self, name: str) -> Row | None:
        return self.simulator.faults.due(name, **self.about)

    def _strike(self) -> None:
        if (found := self._due(THROTTLE)) is not None:
            wait = found.get("retry_after", 2)
            headers = {} if wait is None else {"Retry-After": str(wait)}
            headers |= {str(key): str(value) for key, value in (found.get("rate_limit") or {}).items()}
            raise GraphError(429, found.get("code", "TooManyRequests"), "Too many requests.", headers=headers)
        if (found := self._due(SERVER_ERROR)) is not None:
            wait = found.get("retry_after")
            headers = {} if wait is None else {"Retry-After": str(wait)}
            text = "The service is temporarily unavailable."
            raise GraphError(found.get("status", 503), "serviceNotAvailable", text, headers=headers)
        if (found := self._due(REFUSED)) is not None:
            raise GraphError(found.get("status", 403), found.get("code", "accessDenied"), "The request is refused.")
        if self._due(RESET):
            reset(self.request)
        if self.request.method == "GET" and self._due(NOT_YET):
            raise GraphError(404, "ResourceNotFound", "The resource could not be found.")

    def _record(self, answer: Response, seconds: float, body: bytes) -> None:
        claims, state = self.claims, self.request.state
        row = {
            "host": self.request.url.netloc,
            "method": self.request.method,
            "path": self.request.url.path,
            "query": self.request.url.query,
            "range": self.request.headers.get("range"),
            "status": answer.status_code,
            "tenant": claims.get("tid"),
            "user": None if claims.get("idtyp") == "app" else claims.get("oid"),
            "app": claims.get("appid"),
            "app_only": claims.get("idtyp") == "app",
            "permission": getattr(state, "permission", None),
            "seconds": round(seconds, 4),
            "request_id": answer.headers["request-id"],
            "client_request_id": self.request.headers.get("client-request-id"),
        }
        self.simulator.calls.record(row, answer.headers.get("retry-after"), body)


def reset(request: Request) -> None:
    """Drop the connection without a word, where the server hands it out; else as a broken ASGI application would."""
    transport = request.scope.get("simulator.transport")
    if transport is not None:
        transport.abort()
    raise ConnectionResetError("A scripted reset.")


def _claims(request: Request) -> dict[str, Any]:
    """Claims of a good token, else empty; ``Caller`` says what is wrong with it."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    simulator: Simulator = request.scope["simulator"]
    try:
        return simulator.entra.read(token, GRAPH_AUDIENCE) if kind.lower() == "bearer" else {}
    except jwt.InvalidTokenError:
        return {}


class Caller:
    """Who calls, after the token was checked."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.simulator: Simulator = request.scope["simulator"]
        self.store = self.simulator.store
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise _unauthenticated("Access token is empty.")
        try:
            self.claims = self.simulator.entra.read(token, GRAPH_AUDIENCE)
        except jwt.InvalidTokenError as error:
            raise _unauthenticated(f"Access token validation failure. {error}") from error
        for check in TOKEN_CHECKS:
            check(self.simulator, self.claims)
        self.tenant: str = self.claims["tid"]
        self.app: str = self.claims["appid"]
        self.app_only = self.claims.get("idtyp") == "app"

    def need(self, *, delegated: str = "", role: str = "", place: str = "directory") -> "Caller":
        """Any one of the space-separated permissions of the token's kind, else 403 in the words of the workload."""
        wanted = (role if self.app_only else delegated).split()
        held = set(self.claims.get("roles", []) if self.app_only else self.claims.get("scp", "").split())
        used = next((name for name in wanted if name in held), None)
        if used is None:
            code, text = PLACES[place]
            kind = "application" if self.app_only else "delegated"
            raise GraphError(403, code, f"{text} One of the {kind} permissions {sorted(wanted)} is needed.")
        self.request.state.permission = used
        return self

    def user(self, name: str | None, *, place: str = "directory") -> Row:
        """``None`` is /me; somebody else only with an application token, and only of the token's tenant."""
        if name is None and self.app_only:
            raise GraphError(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
        found = find_user(self.store, name or self.claims["oid"])
        if found is None or found["tenant"] != self.tenant:
            raise GraphError(404, "Request_ResourceNotFound", f"Resource '{name}' does not exist.")
        if not self.app_only and found["id"] != self.claims["oid"]:
            code, text = PLACES[place]
            raise GraphError(403, code, f"{text} The signed-in user may only use their own resources.")
        return found

    def mailbox(self, name: str | None) -> Row:
        """The user, who must have an Exchange Online mailbox."""
        user = self.user(name, place="outlook")
        if not user["mailbox"]:
            text = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
            raise GraphError(404, "MailboxNotEnabledForRESTAPI", text)
        return user

    def query(self, kind: str, allows: Allows, *, renames: dict[str, str] | None = None) -> Query:
        """The query options of this request, checked; anything unsupported is a 400."""
        prefer = self.request.headers.get("prefer", "")
        asked = prefer.partition("odata.maxpagesize=")[2].split(",")[0].strip()
        params = {(renames or {}).get(key, key): value for key, value in self.request.query_params.items()}
        try:
            return read_query(params, kind, allows, prefer_size=int(asked) if asked.isdigit() and int(asked) else None)
        except BadQuery as error:
            raise GraphError(400, "BadRequest", str(error)) from error


def _unauthenticated(message: str) -> GraphError:
    challenge = {"WWW-Authenticate": f'Bearer realm="", error="invalid_token", error_description="{message}"'}
    return GraphError(401, "InvalidAuthenticationToken", message, headers=challenge)


async def json_of(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from error


async def body_of(request: Request, kind: str) -> Row:
    """The JSON body, checked against the metadata type ``kind``."""
    return checked(await json_of(request), kind)


def checked(body: Any, kind: str) -> Row:
    """Raises the 400 of what the metadata type does not take."""
    found: Row = spelled(body, kind)
    wrong = first_fault(found, kind)
    if wrong is not None:
        raise GraphError(400, "BadRequest", wrong)
    return found


def answer(simulator: Simulator, context: str, body: Row, status: int = 200, *, kind: str | None) -> JSONResponse:
    """One entity or value of metadata type ``kind`` (None: checked elsewhere); failing the check is our own fault."""
    sound(body, kind)
    url = f"{simulator.settings.graph_url}/v1.0/$metadata#{context}"
    return JSONResponse({"@odata.context": url, **body}, status)


def listed(
    caller: Caller,
    context: str,
    rows: list[Row],
    *,
    kind: str,
    query: Query,
    shape: Callable[[Row], Row] | None = None,
) -> JSONResponse:
    """One page of a list of shown rows, with an absolute next link when there is more; ``shape`` is $select's."""
    simulator = caller.simulator
    page, total, after = query.apply(rows)
    shown = [(shape or query.shape)(row) for row in page]
    for row in shown:
        sound(row, kind)
    body: Row = {"@odata.context": f"{simulator.settings.graph_url}/v1.0/$metadata#{context}"}
    if query.count:
        body["@odata.count"] = total
    if after is not None:
        body["@odata.nextLink"] = query.next_link(f"{simulator.settings.graph_url}{caller.request.url.path}", after)
    return JSONResponse(body | {"value": shown})


def sound(body: Row, kind: str | None) -> Row:
    """What we answer must be valid by the metadata; anything else is our own fault."""
    wrong = first_fault(body, kind) if kind is not None else None
    if wrong is not None:
        raise RuntimeError(f"The simulator would have answered what Graph cannot: {wrong}")
    return body
