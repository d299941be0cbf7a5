"""Microsoft Graph over httpx: authentication, retries, paging and downloads.

Reads are tried again after 429, 5xx and transport errors; writes only when Graph surely did not act (429, or no
connection was made). ``Retry-After`` is honoured; a long one is left to the job (``GraphRetry``).
"""

import asyncio
import random
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.settings import ServiceSettings

TRIES = 4
PATIENCE_S = 20.0
PER_MAILBOX = 4
_DEFAULT_WAIT_S = 30.0
_CHUNK = 320 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}


class Token(Protocol):
    """What a token provider answers; ``shared.tokens.AccessToken`` is one."""

    @property
    def value(self) -> str: ...


class Tokens(Protocol):
    """What gives tokens; ``shared.tokens.TokenClient`` is one."""

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> Any: ...

    async def app_token(self, org_id: str) -> Any: ...

    def forget(self, org_id: str, user_id: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Download:
    """A running download: 200 or 206, the whole file's size when Graph says it, and its bytes in chunks."""

    status: int
    total: int | None
    content_type: str
    chunks: AsyncIterator[bytes]


class Graph:
    """One client per service; ``as_user`` and ``as_app`` give callers."""

    def __init__(self, settings: ServiceSettings, tokens: Tokens, db: Any = None) -> None:
        self.settings = settings
        self.tokens = tokens
        self.base_url = settings.graph_base_url.rstrip("/")
        verify: Any = ssl.create_default_context(cafile=settings.ca_bundle) if settings.ca_bundle else True
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=10), trust_env=False, verify=verify)
        self._slots: dict[tuple[str, str | None], asyncio.Semaphore] = {}

    def as_user(self, org_id: str, user_id: str) -> "GraphCaller":
        return GraphCaller(self, org_id, user_id)

    def as_app(self, org_id: str) -> "GraphCaller":
        return GraphCaller(self, org_id, None)

    def slots(self, org_id: str, user_id: str | None) -> asyncio.Semaphore:
        """Microsoft serves four requests at a time per mailbox; more are throttled."""
        return self._slots.setdefault((org_id, user_id), asyncio.Semaphore(PER_MAILBOX))

    def allowed(self, url: str) -> bool:
        """Whether a link from Graph's answers may be followed: our Graph or a configured host, never another scheme."""
        parts, own = urlsplit(url), urlsplit(self.base_url)
        return parts.scheme == own.scheme and parts.netloc in {own.netloc, *self.settings.graph_hosts}

    async def aclose(self) -> None:
        await self.http.aclose()


class GraphCaller:
    """Graph as one person, or as the application in one organisation's tenant."""

    def __init__(self, graph: Graph, org_id: str, user_id: str | None) -> None:
        self._graph = graph
        self.org_id = org_id
        self.user_id = user_id

    async def get(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        return _json(await self._request("GET", path, params=params))

    async def post(self, path: str, json: Any = None) -> dict[str, Any]:
        return _json(await self._request("POST", path, json=json))

    async def patch(self, path: str, json: Any) -> dict[str, Any]:
        return _json(await self._request("PATCH", path, json=json))

    async def delete(self, path: str) -> dict[str, Any]:
        return _json(await self._request("DELETE", path))

    async def pages(self, path: str, params: dict[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page after page. A link to a foreign host raises ``GraphGiveUp``."""
        answer = await self.get(path, params)
        while True:
            for item in answer.get("value", []):
                yield item
            link = answer.get("@odata.nextLink")
            if not link:
                return
            answer = await self.get(link)

    async def text(self, path: str, *, accept: str | None = None) -> str:
        """A small text resource, such as a transcript's content; ``accept`` is the media type asked for."""
        async with self.download(path, accept=accept) as download:
            return b"".join([chunk async for chunk in download.chunks]).decode("utf-8", "replace")

    @asynccontextmanager
    async def download(self, path: str, start: int = 0, *, accept: str | None = None) -> AsyncIterator[Download]:
        """Bytes from ``start`` on. Redirects are followed without our token; memory does not grow with the file."""
        url, headers = self._url(path), await self._headers()
        if accept:
            headers["Accept"] = accept
        if start:
            headers["Range"] = f"bytes={start}-"
        for _ in range(5):
            request = self._graph.http.build_request("GET", url, headers=headers)
            try:
                answer = await self._graph.http.send(request, stream=True)
            except httpx.TransportError as error:
                raise GraphRetry(f"The download did not start ({type(error).__name__}).", after_s=5) from error
            try:
                if answer.status_code in _REDIRECTS:
                    target = urljoin(url, answer.headers["location"])
                    if urlsplit(target).scheme != urlsplit(url).scheme:
                        raise GraphGiveUp("Graph redirected a download to another scheme.", answer.status_code)
                    url = target
                    headers.pop("Authorization", None)
                    continue
                if answer.is_error:
                    await answer.aread()
                    raise _error(answer)
                yield Download(
                    answer.status_code, _total(answer), answer.headers.get("content-type", ""), _chunks(answer)
                )
                return
            finally:
                await answer.aclose()
        raise GraphGiveUp("Graph redirected a download too often.")

    def _url(self, path: str) -> str:
        if not path.startswith(("http://", "https://")):
            return self._graph.base_url + path
        if not self._graph.allowed(path):
            raise GraphGiveUp(f"Graph answered a link to a foreign host, {urlsplit(path).netloc}.", 0, "foreign_link")
        return path

    async def _headers(self, claims: str | None = None) -> dict[str, str]:
        if self.user_id is None:
            token = await self._graph.tokens.app_token(self.org_id)
        else:
            token = await self._graph.tokens.user_token(self.org_id, self.user_id, claims=claims)
        return {
            "Authorization": f"Bearer {token.value}",
            "client-request-id": str(uuid.uuid4()),
            "Prefer": 'IdType="ImmutableId"',
        }

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        url, claims, renewed = self._url(path), None, False
        for attempt in range(1, TRIES + 1):
            headers = await self._headers(claims)
            answer = await self._send(method, url, headers, attempt, **more)
            if answer is None:
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                renewed, claims = True, _claims(answer)
                self._graph.tokens.forget(self.org_id, self.user_id)
                continue
            if answer.is_success:
                return answer
            error = _error(answer)
            safe = method == "GET" or answer.status_code == httpx.codes.TOO_MANY_REQUESTS
            if not (isinstance(error, GraphRetry) and safe and error.after_s <= PATIENCE_S and attempt < TRIES):
                raise error
            await asyncio.sleep(error.after_s)
        raise GraphRetry("Microsoft did not answer.", after_s=_DEFAULT_WAIT_S)

    async def _send(
        self, method: str, url: str, headers: dict[str, str], attempt: int, **more: Any
    ) -> httpx.Response | None:
        """The answer, or None when it may be tried again at once after a pause."""
        try:
            async with self._graph.slots(self.org_id, self.user_id):
                return await self._graph.http.request(method, url, headers=headers, **more)
        except httpx.TransportError as error:
            never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            if (method == "GET" or never_sent) and attempt < TRIES:
                await asyncio.sleep(random.uniform(0.1, 0.5) * attempt)  # noqa: S311 - spreading load
                return None
            raise GraphRetry(f"Microsoft did not answer ({type(error).__name__}).", after_s=10) from error


def _json(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json() if answer.content else {}
    return body


def _claims(answer: httpx.Response) -> str | None:
    """The claims challenge of continuous access evaluation, base64 as Graph sends it."""
    challenge = answer.headers.get("www-authenticate", "")
    _, found, rest = challenge.partition('claims="')
    return rest.split('"', 1)[0] if found else None


def _error(answer: httpx.Response) -> GraphError:
    inner_code = ""
    try:
        body = answer.json()["error"]
        code, message = str(body["code"]), str(body["message"])
        inner_code = str((body.get("innerError") or {}).get("code") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = "", f"Microsoft answered {answer.status_code}."
    error = _refusal(answer, message, code)
    error.inner_code = inner_code
    return error


def _refusal(answer: httpx.Response, message: str, code: str) -> GraphError:
    status, request_id = answer.status_code, answer.headers.get("request-id", "")
    match status:
        case 401:
            return GraphReconnect(message, status, code, request_id)
        case 403:
            return GraphTellAdmin(message, status, code, request_id)
        case 404 | 410:
            return GraphNotFound(message, status, code, request_id)
        case 429 | 500 | 502 | 503 | 504 | 509:
            return GraphRetry(message, status, code, request_id, after_s=_retry_after_s(answer))
    return GraphGiveUp(message, status, code, request_id)


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return random.uniform(1, 3)  # noqa: S311 - spreading load


def _total(answer: httpx.Response) -> int | None:
    size = answer.headers.get("content-range", "").rpartition("/")[2] or answer.headers.get("content-length", "")
    return int(size) if size.isdigit() else None


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes(_CHUNK):
            yield chunk
    except httpx.TransportError as error:
        raise GraphRetry("The download was cut off; it goes on where it stopped.", after_s=1) from error
