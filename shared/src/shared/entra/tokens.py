"""Access tokens for Graph, from the services that hold the grants; kept in memory until shortly before expiry.

A kept token is given out only while the connection it belongs to is in the version that it was asked for in, as this
service's own database knows it. So an end that any pod has heard of is the end for all of them, without a broadcast.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from shared.connections.state import UNKNOWN, Versions
from shared.entra.kept import Flights, Newest
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.graph.refusals import wait_s
from shared.secrets import digest
from shared.settings import ServiceSettings
from shared.web.identity import ServiceTokens
from shared.web.internal import InternalClient

KEPT_AT_MOST = 10_000
_EARLY = timedelta(minutes=5)
_Owner = tuple[str, str | None]
VersionsOf = Callable[[str, str | None], Awaitable[Versions]]


class _Flight(NamedTuple):
    """For whom, answering which challenge, in place of which refused token, in which versions of the connection.

    ``leaving``: of a connection that has ended, to remove what was set for it.
    """

    owner: _Owner
    claims: str | None
    refused: str | None
    versions: Versions
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class AccessToken:
    """``oid`` is None for the application's own token."""

    value: str = field(repr=False)
    expires_at: datetime
    oid: str | None
    tid: str


@dataclass(frozen=True, slots=True)
class _Bearer:
    value: str = field(repr=False)


class OneToken:
    """Stands in for ``TokenClient`` while one token is checked: gives that token to every caller."""

    def __init__(self, value: str) -> None:
        self._token = _Bearer(value)

    async def user_token(
        self, org_id: str, user_id: str, *, claims: str | None = None, leaving: bool = False
    ) -> _Bearer:
        return self._token

    async def app_token(self, org_id: str, *, leaving: bool = False) -> _Bearer:
        return self._token

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        """A refused one stays refused."""


@dataclass(frozen=True, slots=True)
class _Kept:
    token: AccessToken
    versions: Versions
    claims: str | None
    """The challenge that it answered."""

    def serves(self, versions: Versions, claims: str | None) -> bool:
        if claims not in {None, self.claims}:
            return False
        return self.versions == versions and self.token.expires_at - _EARLY > datetime.now(UTC)


class TokenClient:
    """Asks user-auth for people's tokens and tenant-connector for the application's.

    All who want the same token at the same time share one call; its failure is theirs, and the next one asks anew. With
    ``versions_of`` a kept token is given only while the versions of its connection are those it was asked for in.
    """

    def __init__(
        self, settings: ServiceSettings, service_tokens: ServiceTokens, versions_of: VersionsOf | None = None
    ) -> None:
        self._internal = InternalClient(settings, service_tokens)
        self._versions_of = versions_of
        self._kept = Newest[_Owner, _Kept](KEPT_AT_MOST)
        self._refused = Newest[_Owner, str](KEPT_AT_MOST)
        self._flights = Flights[_Flight, AccessToken](self._ask, self._keep)

    async def aclose(self) -> None:
        await self._flights.end(cancel=True)
        await self._internal.aclose()

    async def user_token(
        self, org_id: str, user_id: str, *, claims: str | None = None, leaving: bool = False
    ) -> AccessToken:
        """A person's token; ``claims`` (JSON) answers Graph's challenge. Raises ``GraphReconnect``, ``GraphTellAdmin``.

        ``GraphRetry`` when the service does not answer or Microsoft is busy. With ``leaving`` it is that of a
        connection that has ended, as long as user-auth still has it; it is not kept here.
        """
        if leaving:
            return await self._token_to_leave((org_id, user_id), claims)
        return await self._token((org_id, user_id), claims)

    async def app_token(self, org_id: str, *, leaving: bool = False) -> AccessToken:
        """The application's token in the organisation's tenant. Raises ``GraphTellAdmin`` without consent.

        With ``leaving`` of a tenant whose connection has ended, as long as tenant-connector gives it.
        """
        return await (self._token_to_leave((org_id, None), None) if leaving else self._token((org_id, None), None))

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        """Ask again next time; what is under way may bring the same one.

        ``refused`` is the token that Graph refused: the service that gave it is told, and gives another. A newer token
        that somebody else got meanwhile is kept.
        """
        owner = org_id, user_id
        kept = self._kept.get(owner)
        if refused is not None and kept is not None and kept.token.value != refused:
            return
        self._kept.pop(owner, None)
        unwanted = owner, None, self._refused.get(owner)
        self._flights.leave(lambda known: known[:3] == unwanted)
        if refused is not None:
            self._refused.keep(owner, digest(refused))

    async def _token_to_leave(self, owner: _Owner, claims: str | None) -> AccessToken:
        return await self._ask(_Flight(owner, claims, self._refused.get(owner), UNKNOWN, leaving=True))

    async def _token(self, owner: _Owner, claims: str | None) -> AccessToken:
        # Before the question: what ends during it is not missed.
        versions = await self._versions_of(*owner) if self._versions_of else UNKNOWN
        kept = self._kept.get(owner)
        if kept is not None and kept.serves(versions, claims):
            return kept.token
        return await self._flights.join(_Flight(owner, claims, self._refused.get(owner), versions))

    def _keep(self, asked: _Flight, token: AccessToken | None) -> None:
        if token is None or digest(token.value) == self._refused.get(asked.owner):
            return
        self._refused.pop(asked.owner, None)
        self._kept.keep(asked.owner, _Kept(token, asked.versions, asked.claims))

    async def _ask(self, wanted: _Flight) -> AccessToken:
        org_id, user_id = wanted.owner
        body: dict[str, Any] = {"org_id": org_id} | ({} if wanted.refused is None else {"refused": wanted.refused})
        body |= {"leaving": True} if wanted.leaving else {}
        if user_id is None:
            return await self._call("tenant-connector", "app-token", body)
        # A pod of user-auth that has not heard of this version yet then looks it up before it answers from memory.
        more = {"user_id": user_id, "claims": wanted.claims, "known_version": wanted.versions.person}
        body |= {name: value for name, value in more.items() if value is not None}
        return await self._call("user-auth", "tokens", body)

    async def _call(self, service: str, path: str, body: dict[str, Any]) -> AccessToken:
        try:
            answer = await self._internal.post(service, path, body)
        except httpx.RequestError as error:
            raise GraphRetry(f"{service} does not answer. It is tried again.", after_s=10) from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(service, answer)
        token = _read(answer)
        if token is None:
            raise GraphRetry(f"The answer of {service} cannot be read. It is tried again.", answer.status_code)
        return token


def _read(answer: httpx.Response) -> AccessToken | None:
    """The token an answer holds, or None when anything of it is missing or of another type."""
    said = _object(answer)
    value, tid, oid = said.get("access_token"), said.get("tid"), said.get("oid")
    try:
        expires_at = datetime.fromisoformat(str(said.get("expires_at")))
    except ValueError:
        return None
    texts = isinstance(value, str) and isinstance(tid, str) and isinstance(oid, str | None)
    if not texts or not value or expires_at.tzinfo is None:
        return None
    return AccessToken(str(value), expires_at, oid, str(tid))


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(service: str, answer: httpx.Response) -> GraphError:
    status, problem = answer.status_code, _object(answer)
    code = str(problem.get("code", ""))
    message = str(problem.get("detail", f"{service} refused a token."))
    if status == httpx.codes.CONFLICT:
        admin = service == "tenant-connector" or code == "tenant_not_connected"
        return (GraphTellAdmin if admin else GraphReconnect)(message, status, code)
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        after_s = wait_s(answer.headers) if "retry-after" in answer.headers else 30.0
        return GraphRetry(message, status, code, after_s=after_s)
    return GraphGiveUp(message, status, code)
