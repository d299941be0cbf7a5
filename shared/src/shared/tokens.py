"""Access tokens for Graph, from the services that hold the grants; kept in memory until shortly before expiry."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.identity import ServiceTokens
from shared.settings import ServiceSettings

_EARLY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """``oid`` is None for the application's own token."""

    value: str = field(repr=False)
    expires_at: datetime
    oid: str | None
    tid: str


class TokenClient:
    """Asks user-auth for people's tokens and tenant-connector for the application's."""

    def __init__(self, settings: ServiceSettings, service_tokens: ServiceTokens) -> None:
        self._settings = settings
        self._service_tokens = service_tokens
        verify: Any = str(settings.ca_bundle) if settings.ca_bundle else True
        self._http = httpx.AsyncClient(timeout=10, trust_env=False, verify=verify)
        self._kept: dict[tuple[str, str | None], AccessToken] = {}

    async def aclose(self) -> None:
        await self._http.aclose()

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> AccessToken:
        """A person's token; ``claims`` answers Graph's challenge. Raises ``GraphReconnect`` or ``GraphTellAdmin``."""
        body = {"org_id": org_id, "user_id": user_id}
        if claims is not None:
            self.forget(org_id, user_id)
            body["claims"] = claims
        return await self._token(org_id, user_id, "user-auth", "/internal/tokens", body)

    async def app_token(self, org_id: str) -> AccessToken:
        """The application's token in the organisation's tenant. Raises ``GraphTellAdmin`` without consent."""
        return await self._token(org_id, None, "tenant-connector", "/internal/app-token", {"org_id": org_id})

    def forget(self, org_id: str, user_id: str | None) -> None:
        """Ask again next time, as Graph refused the kept token."""
        self._kept.pop((org_id, user_id), None)

    async def _token(self, org_id: str, user_id: str | None, service: str, path: str, body: Any) -> AccessToken:
        kept = self._kept.get((org_id, user_id))
        if kept is not None and kept.expires_at - _EARLY > datetime.now(UTC):
            return kept
        url = self._settings.internal_url.format(service=service) + path
        headers = {"Authorization": f"Bearer {self._service_tokens.issue(service)}"}
        try:
            answer = await self._http.post(url, json=body, headers=headers)
        except httpx.TransportError as error:
            raise GraphRetry(f"{service} does not answer. It is tried again.", after_s=10) from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(service, answer)
        said = answer.json()
        expires_at = datetime.fromisoformat(said["expires_at"])
        token = AccessToken(said["access_token"], expires_at, said.get("oid"), said["tid"])
        self._kept[org_id, user_id] = token
        return token


def _refusal(service: str, answer: httpx.Response) -> GraphError:
    status = answer.status_code
    problem: dict[str, Any] = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    code, message = str(problem.get("code", "")), str(problem.get("detail", f"{service} refused a token."))
    if status == httpx.codes.CONFLICT:
        admin = service == "tenant-connector" or code == "tenant_not_connected"
        return (GraphTellAdmin if admin else GraphReconnect)(message, status, code)
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return GraphRetry(message, status, code)
    return GraphGiveUp(message, status, code)
