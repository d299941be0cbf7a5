"""One call to Graph: token, mailbox slot, tries, trace and log.

Reads are tried again after 408, 429, 5xx and transport errors; writes only when Graph surely did not act (429, or no
connection was made). ``Retry-After`` is honoured; what does not fit the patience is left to the job (``GraphRetry``).
A refused token is renewed once per call. Nothing is held while waiting: no slot, no connection.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import structlog
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from shared import metrics
from shared.db import Database
from shared.graph.errors import GraphError, GraphReconnect, GraphRetry
from shared.graph.links import Links, Target
from shared.graph.paths import is_outlook, template
from shared.graph.refusals import claims_challenge, refusal, wait_s
from shared.graph.slots import Slots
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

TRIES = 4
PATIENCE_S = 20.0
ANSWER_S = 120.0
"""An answer that is read whole must be there by then; a slow one would keep a slot."""
USER_AGENT = "ISV|Prospo|Microsoft365/1.0"
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Token(Protocol):
    """What a token provider answers; ``shared.tokens.AccessToken`` is one."""

    @property
    def value(self) -> str: ...


class Tokens(Protocol):
    """What gives tokens; ``shared.tokens.TokenClient`` is one."""

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> Any: ...

    async def app_token(self, org_id: str) -> Any: ...

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, and for whom. ``read``: asking twice changes nothing. ``stream``: the body is the caller's."""

    method: str
    url: str
    path: str
    org_id: str
    user_id: str | None
    params: dict[str, str] | None = None
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    read: bool = False
    stream: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {template(self.path)}"


class Transport:
    """The connections to Graph; ``sleep`` is how it waits between tries."""

    def __init__(self, settings: ServiceSettings, tokens: Tokens, db: Database | None = None) -> None:
        self.settings = settings
        self.tokens = tokens
        self.base_url = settings.graph_base_url.rstrip("/")
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=10), trust_env=False, verify=settings.trusted())
        self.links = Links(self.base_url, settings.graph_hosts)
        self.slots = Slots(db)
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.tracer = trace.get_tracer(__name__)

    def allowed(self, url: str) -> bool:
        """Whether a link from Graph's answers may be followed: our Graph or a configured host, never another scheme."""
        return self.links.is_ours(url)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.slots.aclose()

    async def send(self, call: Call, stack: AsyncExitStack) -> httpx.Response:
        """The answer Graph gave in the end; slot and connection belong to ``stack``. Raises ``GraphError``."""
        tries = _Tries(self, call)
        with self.tracer.start_as_current_span(
            f"graph {call.name}", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
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
            token = await self.tokens.app_token(call.org_id)
        else:
            token = await self.tokens.user_token(call.org_id, call.user_id, claims=claims)
        prefer = ", ".join(filter(None, ['IdType="ImmutableId"', call.headers.get("Prefer")]))
        own = {"Authorization": f"Bearer {token.value}", "client-request-id": str(uuid.uuid4()), "Prefer": prefer}
        return call.headers | own | {"User-Agent": USER_AGENT}

    async def fetch(self, target: Target, headers: dict[str, str], stack: AsyncExitStack) -> httpx.Response:
        """One request without our token to where a download was redirected. Raises ``GraphRetry`` without an answer."""
        request = self.http.build_request(
            "GET", target.url, headers=headers | target.headers, extensions=target.extensions
        )
        try:
            answer = await self.http.send(request, stream=True)
        except httpx.RequestError as error:
            raise GraphRetry(f"The download did not start ({type(error).__name__}).", after_s=5) from error
        stack.push_async_callback(answer.aclose)
        return answer


class _Tries:
    """The tries of one call: what is left of the patience, and whether the token was renewed."""

    def __init__(self, transport: Transport, call: Call) -> None:
        self._transport = transport
        self._call = call
        self._count = 0
        self._waited = 0.0
        self._renewed = False
        self._claims: str | None = None
        self._token = ""

    async def once(self, stack: AsyncExitStack, span: Span) -> tuple[httpx.Response | None, GraphError | None]:
        """One request: its answer, and the error it means."""
        call, self._count = self._call, self._count + 1
        headers = await self._transport.headers(call, self._claims)
        self._claims, self._token = None, headers["Authorization"].removeprefix("Bearer ")
        if call.user_id is not None and is_outlook(call.path):
            await stack.enter_async_context(self._transport.slots.slot(call.org_id, call.user_id))
        error: GraphError | None
        answer, error = await self._exchange(headers, stack)
        if answer is not None and not (answer.is_success or (call.stream and answer.has_redirect_location)):
            error = refusal(answer.status_code, answer.headers, read_json(answer), attempt=self._count)
        self._tell(span, headers, answer, error)
        return answer, error

    async def _exchange(
        self, headers: dict[str, str], stack: AsyncExitStack
    ) -> tuple[httpx.Response | None, GraphRetry | None]:
        call, http = self._call, self._transport.http
        request = http.build_request(call.method, call.url, params=call.params, json=call.json, headers=headers)
        try:
            async with asyncio.timeout(ANSWER_S) as limit:
                answer = await http.send(request, stream=True)
                stack.push_async_callback(answer.aclose)
                if not (call.stream and (answer.is_success or answer.has_redirect_location)):
                    await answer.aread()
                limit.reschedule(None)
        except (httpx.RequestError, TimeoutError) as error:
            sent = not isinstance(error, _NOT_SENT)
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
        return error.after_s + random.uniform(0, 0.1) * min(error.after_s, 5)  # noqa: S311 - spreading load

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
            log.warning("graph refused", call=self._call.name, status=status, **about, **ids, org_id=self._call.org_id)


def request_id(answer: httpx.Response | None) -> str:
    return answer.headers.get("request-id", "") if answer is not None else ""


def read_json(answer: httpx.Response) -> Any:
    """The JSON of a body that was read, or None."""
    try:
        return answer.json()
    except ValueError:
        return None
