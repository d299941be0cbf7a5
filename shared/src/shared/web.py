"""What routes are given: the caller, one transaction, and what the service provides. And the body limit."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Annotated, Any, Generic, TypeVar

import structlog
from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, field_validator
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.datastructures import Headers, MutableHeaders

from shared import metrics
from shared.db import REQUEST_ID, UnitOfWork, is_outage
from shared.identity import Identity
from shared.problems import Forbidden, NotSignedIn, TooLarge, problem_response, request_id_of
from shared.words import STORABLE, storable_throughout, whole_number

log = structlog.get_logger(__name__)

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ORG_ADMIN = "org_admin"
HEADER_MAX = 255
Id = Annotated[str, Path(max_length=200), STORABLE]
"""Of a thing of ours, in a path."""
Cursor = Annotated[str | None, Query(max_length=200), STORABLE]
"""Where a page begins: ``next_cursor`` of the one before."""


class Asked(BaseModel):
    """A request body: every text in it can be stored."""

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        return storable_throughout(value)


class StrictModel(Asked):
    """A request body that knows all its fields: another one is refused."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """One page of a list; ``next_cursor`` asks for the following one."""

    items: list[T]
    next_cursor: str | None = None


def bearer_of(request: Request) -> str:
    """The bearer token. Raises ``NotSignedIn`` when there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise NotSignedIn("not_signed_in", "Sign in to Prospo: this call needs a bearer token.")
    return value.strip()


async def _caller(request: Request) -> Identity:
    identity: Identity = await request.app.state.service.user_tokens.verify(bearer_of(request))
    return identity


Caller = Annotated[Identity, Depends(_caller)]


async def _admin(request: Request, caller: Caller) -> Identity:
    if ORG_ADMIN not in caller.roles:
        await request.app.state.service.note_refused(caller, request.method, request.scope["route"].path)
        raise Forbidden("org_admin_required", "Only an Org Admin may do this. Ask one of your organisation.")
    return caller


AdminCaller = Annotated[Identity, Depends(_admin)]


def called_by(*services: str) -> Any:
    """An internal route's dependency, which gives the caller's name: these services may call it, and no other.

    Which they are is counted, not put into the audit trail: a token is asked for many times a minute.
    """

    async def check(request: Request) -> str:
        name: str = request.app.state.service.service_tokens.verify(bearer_of(request))
        outcome = "admitted" if name in services else "refused"
        metrics.internal_calls.add(1, {"caller": name, "outcome": outcome})
        if name not in services:
            log.warning("refused: a service that has no business here", caller=name, route=request.scope["route"].path)
            raise Forbidden("service_not_admitted", f"{name} may not call this. Name it where the route is declared.")
        return name

    return Depends(check)


async def _work(request: Request, caller: Caller) -> AsyncIterator[UnitOfWork]:
    async with request.app.state.service.db.unit_of_work(caller.org_id) as work:
        yield work


Work = Annotated[UnitOfWork, Depends(_work, scope="function")]
"""One transaction of the caller's organisation, committed before the answer is sent."""


def needs_header(name: str, says: str) -> dict[str, Any]:
    """For ``openapi_extra``: a header that the operation refuses to do without, in words of its own."""
    schema = {"type": "string", "minLength": 1, "maxLength": HEADER_MAX}
    return {"parameters": [{"name": name, "in": "header", "required": True, "description": says, "schema": schema}]}


def with_header(name: str, says: str) -> dict[str, Any]:
    """For ``responses``: a header of the answer."""
    return {"headers": {name: {"description": says, "schema": {"type": "string"}}}}


def provided(name: str) -> Callable[[Request], Any]:
    """A dependency that gives what ``service.provide(name=…)`` holds."""

    def get(request: Request) -> Any:
        return request.app.state.service.provided[name]

    return get


def install_outage_handler(app: FastAPI) -> None:
    """A database that cannot be used is a 503: the same request may succeed later. What else it refuses is 500."""
    for kind in (DBAPIError, PoolExhausted, OSError):
        app.add_exception_handler(kind, _outage)


async def _outage(request: Request, error: Exception) -> JSONResponse:
    if not is_outage(error):
        raise error
    log.error("the database cannot be used", request_id=request_id_of(request), reason=str(error)[:300])
    return problem_response(
        request, 503, "database_away", "We cannot get at our data right now. Try again in a moment."
    )


class Edge:
    """ASGI middleware around every service: a request id, no cache, and a limit on the body however it arrives.

    ``refusal`` makes the answer to a larger body out of request, status, code and detail.
    """

    def __init__(
        self,
        app: Any,
        limit_bytes: int,
        unlimited: tuple[str, ...] = (),
        refusal: Callable[[Request, int, str, str], Response] = problem_response,
    ) -> None:
        self._app = app
        self._limit = limit_bytes
        self._unlimited = unlimited
        self._refusal = refusal

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _known_id(Headers(scope=scope).get("x-request-id"))
        scope["prospo.request_id"] = request_id
        answered = REQUEST_ID.set(request_id)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            if scope["path"].startswith(self._unlimited):
                await self._app(scope, receive, with_id)
            else:
                await self._limited(scope, receive, with_id)
        finally:
            REQUEST_ID.reset(answered)

    async def _limited(self, scope: Message, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "0")
        length = whole_number(declared)
        if length is None or length > self._limit:
            await self._refuse(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise TooLarge("body_too_large", "The body is larger than the limit.")
            return message

        async def unless_too_large(message: Message) -> None:
            # FastAPI words an error while reading the body as its own 400; ours is sent in its place below.
            if taken <= self._limit:
                await send(message)

        await self._app(scope, counted, unless_too_large)
        if taken > self._limit:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        detail = f"The body is larger than {self._limit} bytes. Send less."
        await self._refusal(Request(scope), 413, "body_too_large", detail)(scope, receive, send)


def _known_id(given: str | None) -> str:
    """The gateway's request id when it is one, else a new one."""
    if given and len(given) <= 64 and given.replace("-", "").isalnum():
        return given
    return uuid.uuid4().hex
