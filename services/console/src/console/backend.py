"""The public APIs, as the signed-in person: the browser's token is passed on, nothing is added to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import structlog
from fastapi import Request

from console.settings import Settings
from shared.problems import request_id_of

log = structlog.get_logger(__name__)
SERVICES = {
    "/v1/tenant": "tenant-connector",
    "/v1/connection": "user-auth",
    "/v1/meetings": "meetings",
    "/v1/contacts": "contacts",
    "/v1/transcripts": "recording-ingest",
    "/v1/ledger": "recording-ingest",
    "/v1/files": "storage",
    "/v1/storage": "storage",
    "/v1/mail": "mail",
}
SAID_BY = {"account_not_connected": "/v1/connection", "tenant_not_connected": "/v1/tenant"}
"""Refusals out of what an event told a service, and where the service stands that sends the event."""
NEWS_PAUSES_S = (0.25, 0.5, 1, 2)
_IDLE_S = 2
"""Services close a connection that is idle for 5 s. It is not used again shortly before: the request would be lost."""
Json = dict[str, Any]


class Refused(Exception):
    """A service answered with a problem document. ``problem`` is its JSON; shown to the person as it is."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(problem.get("detail", "The service did not say why."))
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        return str(self.problem.get("code", ""))

    @property
    def reached(self) -> bool:
        """Whether the service itself decided; otherwise it is away or was asked too often, and trying again is all."""
        return self.status < httpx.codes.INTERNAL_SERVER_ERROR and self.status != httpx.codes.TOO_MANY_REQUESTS


class Backend:
    """Calls to the services' public APIs; one connection pool for all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        verify = ssl.create_default_context(cafile=settings.ca_bundle) if settings.ca_bundle else True
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_IDLE_S)
        self._http = httpx.AsyncClient(trust_env=False, verify=verify, limits=limits)

    async def call(
        self, request: Request, method: str, path: str, *, patient: bool = False, **more: Any
    ) -> httpx.Response:
        """The answer, or ``Refused`` with the problem document; 503 when the service cannot be reached.

        ``patient`` where the service itself waits for Microsoft's sign-in, and does what is asked though we gave up.
        """
        async with self._asked(request, method, path, patient, **more) as answer:
            await answer.aread()
        return answer

    async def passed_on(
        self, request: Request, path: str, **more: Any
    ) -> tuple[httpx.Headers, AsyncGenerator[bytes, None]]:
        """The headers of the answer to a GET, and its content as it comes; refused like ``call``."""
        async with contextlib.AsyncExitStack() as stack:
            answer = await stack.enter_async_context(self._asked(request, "GET", path, False, **more))
            opened = stack.pop_all()

        async def content() -> AsyncGenerator[bytes, None]:
            async with opened:
                async for chunk in answer.aiter_bytes():
                    yield chunk

        return answer.headers, content()

    @contextlib.asynccontextmanager
    async def _asked(
        self, request: Request, method: str, path: str, patient: bool, **more: Any
    ) -> AsyncIterator[httpx.Response]:
        service = next(name for prefix, name in SERVICES.items() if path.startswith(prefix))
        headers = {
            **more.pop("headers", {}),
            "Authorization": request.headers.get("authorization", ""),
            "X-Request-Id": request_id_of(request),
        }
        timeout_s = self._settings.sign_in_timeout_s if patient else self._settings.call_timeout_s
        url = self._settings.internal_url.format(service=service) + path
        try:
            async with self._http.stream(method, url, headers=headers, timeout=timeout_s, **more) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise Refused(answer.status_code, _problem_of(request, answer))
                yield answer
        except httpx.HTTPError as error:
            log.warning("service.unreachable", service=service, method=method, error=repr(error))
            raise Refused(503, _unreachable(request, service)) from error

    async def call_with_news(self, request: Request, method: str, path: str, **more: Any) -> httpx.Response:
        """As ``call``, but not refused for want of a connection that there is: the news of it is still on its way.

        Tried again for a few seconds; such a refusal did nothing, so any method may be repeated.
        """
        for pause_s in NEWS_PAUSES_S:
            try:
                return await self.call(request, method, path, **more)
            except Refused as refused:
                said_by = SAID_BY.get(refused.code)
                if said_by is None or (await self.look(request, said_by) or {}).get("status") != "connected":
                    raise
            await asyncio.sleep(pause_s)
        return await self.call(request, method, path, **more)

    async def get(self, request: Request, path: str, **more: Any) -> Json:
        answer: Json = (await self.call(request, "GET", path, **more)).json()
        return answer

    async def look(self, request: Request, path: str, **more: Any) -> Json | None:
        """For what a page can do without: None when the service refuses or cannot be reached."""
        try:
            return await self.get(request, path, **more)
        except Refused:
            return None

    async def aclose(self) -> None:
        await self._http.aclose()


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.console.backend
    return backend


def _unreachable(request: Request, service: str) -> Json:
    return {
        "title": "A part of Prospo does not answer",
        "detail": f"The service {service} cannot be reached right now. Nothing was lost; try again in a minute.",
        "code": "unreachable",
        "request_id": request_id_of(request),
    }


def _problem_of(request: Request, answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": f"The service answered {answer.status_code} without a reason. Try again in a minute."}
    return {"request_id": answer.headers.get("x-request-id") or request_id_of(request), **body}
