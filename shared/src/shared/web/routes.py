"""Dependencies of routes: the caller, one transaction, and objects of the service. And the limit of bodies."""

import asyncio
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
from shared.database.unit_of_work import REQUEST_ID, UnitOfWork, is_outage
from shared.problems import Forbidden, NotSignedIn, TooLarge, TooSlow, problem_response, request_id_of
from shared.web.identity import Identity
from shared.web.words import STORABLE, storable_throughout, whole_number

log = structlog.get_logger(__name__)

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ORG_ADMIN = "org_admin"
ARTEFACTS_READ = "artefacts.read"
"""The role of a program that may read files, transcripts and ledgers of its organisation; it gives a person nothing."""
HEADER_MAX = 255
Id = Annotated[str, Path(max_length=200), STORABLE]
"""An id of Prospo in a path."""
Cursor = Annotated[str | None, Query(max_length=200), STORABLE]
"""Start of a page: ``next_cursor`` of the page before."""


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


async def _verified(request: Request) -> Identity:
    identity: Identity = await request.app.state.service.user_tokens.verify(bearer_of(request))
    return identity


Verified = Annotated[Identity, Depends(_verified)]


async def _caller(caller: Verified) -> Identity:
    if caller.is_program:
        raise Forbidden("not_for_programs", "This is for people. A program may read files, transcripts and ledgers.")
    return caller


Caller = Annotated[Identity, Depends(_caller)]
"""A person."""


async def _reader(request: Request, caller: Verified) -> Identity:
    if caller.is_program and ARTEFACTS_READ not in caller.roles:
        route = request.scope["route"].path
        await request.app.state.service.note_refused(caller, request.method, route, needs=ARTEFACTS_READ)
        raise Forbidden(
            "role_required", f"The program needs the role {ARTEFACTS_READ}. Ask who gives your programs their tokens."
        )
    return caller


Reader = Annotated[Identity, Depends(_reader)]
"""A person, who reads what is theirs; or a program, which reads what is of anybody in its organisation and is noted."""


async def _admin(request: Request, caller: Caller) -> Identity:
    if ORG_ADMIN not in caller.roles:
        route = request.scope["route"].path
        await request.app.state.service.note_refused(caller, request.method, route, needs=ORG_ADMIN)
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
            log.warning("service.refused", caller=name, route=request.scope["route"].path)
            raise Forbidden("service_not_admitted", f"{name} may not call this. Name it where the route is declared.")
        return name

    return Depends(check)


async def _work(request: Request, caller: Verified) -> AsyncIterator[UnitOfWork]:
    async with request.app.state.service.db.unit_of_work(caller.org_id, caller.user_id) as work:
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
        return request.app.state.service.guest(name)

    return get


def install_outage_handler(app: FastAPI) -> None:
    """A database that cannot be used is a 503: the same request may succeed later. What else it refuses is 500."""
    for kind in (DBAPIError, PoolExhausted, OSError):
        app.add_exception_handler(kind, _outage)


async def _outage(request: Request, error: Exception) -> JSONResponse:
    if not is_outage(error):
        raise error
    log.error("database.away", request_id=request_id_of(request), reason=str(error)[:300])
    return problem_response(
        request, 503, "database_away", "The database is temporarily unavailable. Try again in a moment."
    )


class Edge:
    """ASGI middleware around every service: a request id, no cache, and limits on the body however it arrives.

    The id is ours, for the audit trail has it; what the caller calls the request is noted beside it as ``asked_as``.
    Only where ``believes`` is set the caller's is taken. ``refusal`` makes the answer to a larger or slower body.
    """

    def __init__(
        self,
        app: Any,
        limit_bytes: int,
        unlimited: tuple[str, ...] = (),
        within_s: float = 60,
        believes: bool = False,
        refusal: Callable[[Request, int, str, str], Response] = problem_response,
    ) -> None:
        self._app = app
        self._limit = limit_bytes
        self._within_s = within_s
        self._believes = believes
        self._unlimited = unlimited
        self._refusal = refusal

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked_as = _known_id(Headers(scope=scope).get("x-request-id"))
        request_id = asked_as if asked_as and self._believes else uuid.uuid4().hex
        scope["prospo.request_id"] = request_id
        scope["prospo.asked_as"] = asked_as
        answered = REQUEST_ID.set(request_id)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            with structlog.contextvars.bound_contextvars(**({"asked_as": asked_as} if asked_as else {})):
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
        body = _Body(receive, self._limit, self._within_s)

        async def unless_refused(message: Message) -> None:
            # FastAPI words an error while reading the body as its own 400; ours is sent in its place below.
            if not (body.too_large or body.too_slow):
                await send(message)

        await self._app(scope, body.receive, unless_refused)
        if body.too_large:
            await self._refuse(scope, receive, send)
        elif body.too_slow:
            detail = f"The body did not arrive within {self._within_s:g} s. Send it faster."
            await self._refusal(Request(scope), 408, "body_too_slow", detail)(scope, receive, send)

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        detail = f"The body is larger than {self._limit} bytes. Send less."
        await self._refusal(Request(scope), 413, "body_too_large", detail)(scope, receive, send)


class _Body:
    """A request's body on its way in: its bytes are counted, and so is its time until it is whole."""

    def __init__(self, receive: Receive, limit_bytes: int, within_s: float) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._until = asyncio.get_running_loop().time() + within_s
        self._taken = 0
        self._whole = False
        self.too_slow = False

    @property
    def too_large(self) -> bool:
        return self._taken > self._limit_bytes

    async def receive(self) -> Message:
        if self._whole:  # what is waited for now is the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.too_slow = True
            raise TooSlow("body_too_slow", "The body did not arrive in time.") from None
        self._whole = not message.get("more_body")
        self._taken += len(message.get("body", b""))
        if self.too_large:
            raise TooLarge("body_too_large", "The body is larger than the limit.")
        return message


def _known_id(given: str | None) -> str | None:
    """The caller's request id when it is one."""
    return given if given and len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii() else None
