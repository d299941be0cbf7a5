"""Asking another service of the platform: one pool of connections, and this service's token in each request."""

from collections.abc import Mapping
from typing import Any

import httpx

from shared.settings import ServiceSettings
from shared.web.identity import ServiceTokens

_IDLE_S = 2
"""Services close a connection that is idle for 5 s. It is not used again shortly before: the request would be lost."""


class InternalClient:
    """Calls internal routes of other services. ``timeout`` is in seconds; ``http`` is the pool itself."""

    def __init__(
        self, settings: ServiceSettings, service_tokens: ServiceTokens, timeout: httpx.Timeout | float = 10
    ) -> None:
        self._settings = settings
        self._service_tokens = service_tokens
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_IDLE_S)
        self.http = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False, verify=settings.trusted())

    async def aclose(self) -> None:
        await self.http.aclose()

    def url(self, service: str, path: str) -> str:
        return f"{self._settings.internal_url.format(service=service)}/internal/{path}"

    async def post(self, service: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """The answer to a JSON object posted to ``/internal/{path}``. Raises ``httpx.RequestError`` without one."""
        headers = {"Authorization": f"Bearer {self._service_tokens.issue(service)}"}
        return await self.http.post(self.url(service, path), json=body, headers=headers)
