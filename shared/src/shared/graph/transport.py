"""One call to Graph: token, mailbox slot, tries, trace and log.

Reads are tried again after 408, 429, 5xx and transport errors; writes only when Graph surely did not act (429, or no
connection was made). ``Retry-After`` is honoured; what does not fit the patience is left to the job (``GraphRetry``).
A refused token is renewed once per call. Nothing is held while waiting: no slot, no connection. What a refusal told of
a limit is kept for all who share it, and who goes first is decided, in ``limits``.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx
import orjson
import structlog
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from shared import metrics
from shared.database.unit_of_work import Database
from shared.database.work import Priority
from shared.graph import bounded
from shared.graph.errors import GraphError, GraphReconnect, GraphRetry
from shared.graph.limits import Limits, Scope
from shared.graph.links import Links, Target
from shared.graph.paths import mailbox, service, template
from shared.graph.refusals import claims_challenge, refusal, wait_s
from shared.graph.turns import CONNECTIONS
from shared.graph.words import field_of, request_id_of
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

TRIES = 4
PATIENCE_S = 20.0
ANSWER_S = 120.0
"""An answer that is read whole must be there by then; a slow one would keep a slot."""
USER_AGENT = "ISV|Prospo|Microsoft365/1.0"
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Token(Protocol):
    """A token of a provider, such as ``shared.entra.tokens.AccessToken``."""

    @property
    def value(self) -> str: ...


class Tokens(Protocol):
    """A provider of tokens, such as ``shared.entra.tokens.TokenClient``."""

    async def user_token(
        self, org_id: str, user_id: str, *, claims: str | None = None, leaving: bool = False
    ) -> Any: ...

    async def app_token(self, org_id: str, *, leaving: bool = False) -> Any: ...

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its person. ``read``: may be repeated. ``stream``: the caller reads the body.

    ``about`` is the path whose limits it counts against, when that is not its own (``$batch``); ``waited_until`` the
    moment up to which limits were waited for already. ``leaving``: with the token of a connection that ends.
    """

    method: str
    url: str
    path: str
    org_id: str
    user_id: str | None
    params: dict[str, str] | None = None
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    read: bool = False
    stream: bool = False
    priority: Priority = "fresh"
    about: str | None = None
    waited_until: float = 0.0
    leaving: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {template(self.path)}"

    @property
    def scope(self) -> Scope:
        path = self.about or self.path
        read = f"{path} {self.params or ''}" if self.read and self.about is None else ""
        return Scope(self.org_id, self.user_id or "", service(path), mailbox(path, self.user_id), self.priority, read)


class Transport:
    """The connections to Graph; ``sleep`` is how it waits between tries."""

    def __init__(self, settings: ServiceSettings, tokens: Tokens, db: Database | None = None) -> None:
        self.settings = settings
        self.tokens = tokens
        self.base_url = settings.graph_base_url.rstrip("/")
        timeout, limits = httpx.Timeout(60, connect=10), httpx.Limits(max_connections=CONNECTIONS)
        self.http = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False, verify=settings.trusted())
        self.links = Links(self.base_url, settings.graph_hosts)
        self.limits = Limits(db, settings.graph_mailbox_share)
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.tracer = trace.get_tracer(__name__)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.limits.aclose()

    async def send(self, call: Call, stack: AsyncExitStack) -> httpx.Response:
        """The answer Graph gave in the end; slot and connection belong to ``stack``. Raises ``GraphError``."""
        tries = _Tries(self, call)
        with self.tracer.start_as_current_span(
            f"graph {tries.name}", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                while True:
                    async with AsyncExitStack() as attempt:
                        answer, error = await tries.once(attempt, span)
                        if error is None and answer is not None:
                            stack.push_async_exit(attempt.pop_all())
                            return answer
                    await self.sleep(tries.pause_s(error or GraphRetry("Microsoft did not answer."), answer))
            except GraphError as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    async def headers(self, call: Call, claims: str | None) -> dict[str, str]:
        if call.user_id is None:
            token = await self.tokens.app_token(call.org_id, leaving=call.leaving)
        else:
            token = await self.tokens.user_token(call.org_id, call.user_id, claims=claims, leaving=call.leaving)
        prefer = ", ".join(filter(None, ['IdType="ImmutableId"', call.headers.get("Prefer")]))
        own = {"Authorization": f"Bearer {token.value}", "client-request-id": str(uuid.uuid4()), "Prefer": prefer}
        return call.headers | own | {"User-Agent": USER_AGENT}

    async def fetch(self, target: Target, call: Call, stack: AsyncExitStack) -> httpx.Response:
        """One request without our token to where a download was redirected. Raises ``GraphRetry`` without an answer."""
        headers = call.headers | {"User-Agent": USER_AGENT} | target.headers
        request = self.http.build_request("GET", target.url, headers=headers, extensions=target.extensions)
        await stack.enter_async_context(self.limits.enter(replace(call.scope, mailbox=None)))
        try:
            answer = await self.http.send(request, stream=True)
        except httpx.RequestError as error:
            raise GraphRetry(f"The download did not start ({type(error).__name__}).", after_s=5) from error
        stack.push_async_callback(answer.aclose)
        return answer


class _Tries:
    """The tries of one call: what is left of the patience, and whether the token was renewed."""

    def __init__(self, transport: Transport, call: Call) -> None:
        self.name = call.name
        self._transport = transport
        self._limits = transport.limits
        self._call = call
        self._scope = call.scope
        self._count = 0
        self._waited = 0.0
        self._waited_until = call.waited_until
        self._renewed = False
        self._claims: str | None = None
        self._token = ""

    async def once(self, stack: AsyncExitStack, span: Span) -> tuple[httpx.Response | None, GraphError | None]:
        """One request: its answer, and the error it means."""
        call, self._count = self._call, self._count + 1
        await self._wait_for_limits()
        headers = await self._transport.headers(call, self._claims)
        self._claims, self._token = None, headers["Authorization"].removeprefix("Bearer ")
        await stack.enter_async_context(self._limits.enter(self._scope))
        error: GraphError | None
        began = time.perf_counter()
        answer, error = await self._exchange(headers, stack)
        metrics.graph_request_duration.record(time.perf_counter() - began, {"method": call.method})
        if answer is not None:
            redirected = call.stream and answer.has_redirect_location
            if call.about is None or not _is_item_by_item(answer):
                learned = self._limits.learn(self._scope, answer.status_code, answer.headers)
                self._waited_until = max(self._waited_until, learned)
                if not (answer.is_success or redirected):
                    error = refusal(answer.status_code, answer.headers, read_json(answer), attempt=self._count)
        self._tell(span, headers, answer, error)
        return answer, error

    async def _wait_for_limits(self) -> None:
        """Wait for the limits that other calls have learned. This call does not wait twice for its own refusal."""
        while (due := self._limits.due(self._scope)) > self._waited_until:
            self._waited_until = due
            seconds = max(due - self._limits.clock(), 0.0)
            self._waited += seconds
            if self._waited > PATIENCE_S:
                raise GraphRetry("Microsoft asked to wait. It is tried again.", 0, "throttled", after_s=seconds)
            if seconds:
                await self._transport.sleep(seconds + _spread(seconds))

    async def _exchange(
        self, headers: dict[str, str], stack: AsyncExitStack
    ) -> tuple[httpx.Response | None, GraphRetry | None]:
        call, http = self._call, self._transport.http
        request = http.build_request(
            call.method, call.url, params=call.params, json=call.json, content=call.content, headers=headers
        )
        try:
            async with asyncio.timeout(ANSWER_S) as limit:
                answer = await http.send(request, stream=True)
                stack.push_async_callback(answer.aclose)
                if not (call.stream and (answer.is_success or answer.has_redirect_location)):
                    await bounded.read(answer)
                limit.reschedule(None)
        except (httpx.RequestError, TimeoutError) as error:
            sent = not isinstance(error, NOT_SENT)
            pause = wait_s({}, self._count)
            message = f"Microsoft did not answer ({type(error).__name__})."
            return None, GraphRetry(message, after_s=pause, maybe_done=sent)
        return answer, None

    def pause_s(self, error: GraphError, answer: httpx.Response | None) -> float:
        """How long to wait before the next try. Raises ``error`` when there is none."""
        if isinstance(error, GraphReconnect) and error.status == 401 and not self._renewed and answer is not None:
            self._renewed = True
            self._claims = claims_challenge(answer.headers.get("www-authenticate", ""))
            self._transport.tokens.forget(self._call.org_id, self._call.user_id, self._token)
            return 0.0
        if not isinstance(error, GraphRetry) or not (self._call.read or not error.maybe_done):
            raise error
        self._waited += error.after_s
        if self._waited > PATIENCE_S or self._count >= TRIES:
            raise error
        return error.after_s + _spread(error.after_s)

    def _tell(
        self, span: Span, headers: dict[str, str], answer: httpx.Response | None, error: GraphError | None
    ) -> None:
        status = answer.status_code if answer is not None else 0
        ids = {"client_request_id": headers["client-request-id"], "graph_request_id": request_id(answer)}
        span.set_attributes({f"graph.{name}": value for name, value in ids.items()})
        span.set_attributes({"http.response.status_code": status, "http.request.resend_count": self._count - 1})
        metrics.graph_requests.add(1, {"method": self._call.method, "status": status})
        if status == 429:
            metrics.graph_throttled.add(1)
        if error is not None:
            about = {"graph_code": error.code, "inner_code": error.inner_code, "attempt": self._count}
            log.warning("graph.refused", call=self.name, status=status, **about, **ids, org_id=self._call.org_id)


def _is_item_by_item(answer: httpx.Response) -> bool:
    """A batch that got the status of one of its requests as a whole, and each one's answer all the same."""
    return answer.status_code in {424, 429} and isinstance(field_of(read_json(answer), "responses"), list)


def _spread(seconds: float) -> float:
    """A little more, so that those who wait for the same moment do not all come at once."""
    return random.uniform(0, 0.1) * min(seconds, 5)  # noqa: S311 - spreading load


def request_id(answer: httpx.Response | None) -> str:
    return request_id_of(answer.headers) if answer is not None else ""


def read_json(answer: httpx.Response) -> Any:
    """The JSON of a body that was read, or None."""
    try:
        return orjson.loads(answer.content)
    except ValueError:
        pass  # perhaps it is in another encoding, or has half of a surrogate pair
    try:
        return answer.json()
    except ValueError:
        return None
