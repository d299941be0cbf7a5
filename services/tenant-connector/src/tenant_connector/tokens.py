"""The application's own tokens: from Entra, kept in memory until shortly before they expire."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from shared.entra.aadsts import EntraReconnect, EntraRetry, EntraTenantGone, refusal
from shared.entra.client import Entra
from shared.entra.kept import Flights, Newest
from shared.entra.tokens import KEPT_AT_MOST, AccessToken
from shared.secrets import digest

EARLY = timedelta(minutes=5)
LIFE_S = 3599
"""Life in seconds of a token whose answer does not give it; the field is only recommended. MSAL assumes the same."""
RENEW_REFUSED_AFTER_S = 300.0
"""A token that Graph refuses so soon after it was made is refused for a reason that no other token changes."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connecting of one organisation; a token of an earlier one is never used for a later one."""

    org_id: str
    tid: str
    connected_at: datetime


def acquire(entra: Entra, tid: str) -> AccessToken:
    """A new app-only token for Graph; blocks. Raises ``EntraError`` by what to do next."""
    try:
        said: dict[str, Any] = entra.ask(tid, lambda msal: msal.acquire_token_for_client(entra.graph_default)) or {}
    except (EntraReconnect, TypeError) as error:  # nobody signs in here: MSAL's words for an answer it cannot read
        raise EntraRetry("Microsoft's answer cannot be read. It is tried again.", error=type(error).__name__) from error
    if "access_token" not in said:
        raise refusal(said)
    expires_at = datetime.now(UTC) + timedelta(seconds=int(said.get("expires_in", LIFE_S)))
    return AccessToken(said["access_token"], expires_at, None, tid)


def roles_of(token: AccessToken) -> frozenset[str]:
    """The application permissions in the token. It came from Entra over TLS and is only read, not verified."""
    try:
        claims = jwt.decode(token.value, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return frozenset()
    return frozenset(map(str, claims.get("roles") or []))


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: Connection
    token: AccessToken
    made_at: float

    def serves(self, connection: Connection, refused: str | None) -> bool:
        if self.connection != connection or self.token.expires_at - EARLY <= datetime.now(UTC):
            return False
        young = time.monotonic() - self.made_at < RENEW_REFUSED_AFTER_S
        return young or digest(self.token.value) != refused


class AppTokens:
    """Kept tokens by organisation. Callers that come together share one request to Entra and its outcome.

    That Entra knows us no more is kept too, so a caller who read the connection before it was ended asks nobody.
    """

    def __init__(self, entra: Entra) -> None:
        self._entra = entra
        self._kept = Newest[str, _Kept](KEPT_AT_MOST)
        self._ended = Newest[str, tuple[Connection, str]](KEPT_AT_MOST)
        self._flights = Flights[Connection, AccessToken](self._ask)

    async def token(self, connection: Connection, refused: str | None = None) -> AccessToken:
        """A token good for at least five minutes, another one than ``refused`` (a digest). Raises ``EntraError``."""
        kept = self._kept.get(connection.org_id)
        if kept is not None and kept.serves(connection, refused):
            return kept.token
        ended, message = self._ended.get(connection.org_id, (None, ""))
        if ended == connection:
            raise EntraTenantGone(message)
        return await self._flights.join(connection)

    def forget(self, org_id: str) -> None:
        self._kept.pop(org_id, None)

    async def _ask(self, connection: Connection) -> AccessToken:
        try:
            token = await asyncio.to_thread(acquire, self._entra, connection.tid)
        except EntraTenantGone as gone:
            self._ended.keep(connection.org_id, (connection, gone.message))
            raise
        self._kept.keep(connection.org_id, _Kept(connection, token, time.monotonic()))
        return token
