"""Microsoft's sign-in through MSAL, in our words. Nobody else sees MSAL or the JSON of its token cache."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msal

from shared import metrics
from shared.entra import Entra, EntraError, EntraReconnect, granted_scopes, refusal
from user_auth.settings import Settings

T = TypeVar("T")

PERMISSIONS = {
    "Contacts.Read": "import your Outlook contacts",
    "Calendars.ReadWrite": "put meetings into your calendar and send invitations",
    "OnlineMeetings.ReadWrite": "create Teams meetings and their join links",
    "OnlineMeetingRecording.Read.All": "import recordings of your meetings",
    "OnlineMeetingTranscript.Read.All": "import transcripts of your meetings",
}
"""The Graph permissions a person is asked for, with what each is used for."""

_SCOPES = [*PERMISSIONS, "User.Read"]  # MSAL adds openid, profile and offline_access
NOTHING_KEPT = "nothing_kept"
"""Our own ``error`` where there is nothing to ask Microsoft with."""
_ACCESS_TOKEN = msal.TokenCache.CredentialType.ACCESS_TOKEN

logging.getLogger("msal").setLevel(logging.INFO)  # its debug lines hold codes and verifiers


@dataclass(frozen=True, slots=True)
class Grant:
    """What Microsoft gave; ``cache`` is MSAL's token cache with the newest refresh token."""

    access_token: str = field(repr=False)
    expires_at: datetime
    cache: str = field(repr=False)
    id_token: str = field(default="", repr=False)
    missing: tuple[str, ...] = ()
    """Permissions that were asked for and not given."""


class Microsoft:
    """Blocking MSAL in threads of its own, so that a silent Microsoft takes no thread from anybody else."""

    def __init__(self, settings: Settings, entra: Entra) -> None:
        self._entra = entra
        self._redirect_uri = f"{settings.public_url.rstrip('/')}/integrations/microsoft/callback"
        self._threads = ThreadPoolExecutor(2 * settings.database_pool_size, "msal")

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def begin(self, tid: str, state: str) -> tuple[str, dict[str, Any]]:
        """The address to open in the browser, and MSAL's flow to keep secret until the answer."""
        return await self._in_thread(lambda: self._begin(tid, state))

    async def redeem(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
        """The tokens of one sign-in; the id_token is not verified yet. Raises ``EntraError``."""
        return await self._in_thread(lambda: self._redeem(tid, flow, answer))

    async def refresh(self, tid: str, cache: str, claims: str | None) -> Grant:
        """A new access token by the refresh token in ``cache``. Raises ``EntraError``."""
        try:
            grant = await self._in_thread(lambda: self._refresh(tid, cache, claims))
        except EntraError as refused:
            metrics.token_refreshes.add(1, {"outcome": type(refused).__name__})
            raise
        metrics.token_refreshes.add(1, {"outcome": "refreshed"})
        return grant

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _begin(self, tid: str, state: str) -> tuple[str, dict[str, Any]]:
        with self._entra.application(tid) as application:
            # MSAL warns through the process-wide warnings registry unless asked for form_post. Our callback is a GET
            # of the console, whose SameSite=Lax cookie would not come with Microsoft's POST: so query in its place.
            flow = application.initiate_auth_code_flow(
                _SCOPES,
                redirect_uri=self._redirect_uri,
                state=state,
                prompt="select_account",
                response_mode="form_post",
            )
        address = str(flow.pop("auth_uri")).replace("response_mode=form_post", "response_mode=query")
        return address, flow

    def _redeem(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
        cache, asked_at = msal.SerializableTokenCache(), datetime.now(UTC)
        try:
            said = self._entra.ask(tid, lambda app: app.acquire_token_by_auth_code_flow(dict(flow), answer), cache)
        except RuntimeError:  # MSAL's word for a wrong nonce; its message holds the nonce, so it is dropped
            message = "Microsoft's answer belongs to another sign-in."
            raise EntraReconnect(message, error="nonce_mismatch") from None
        return _grant(said or {}, cache, asked_at)

    def _refresh(self, tid: str, kept: str, claims: str | None) -> Grant:
        cache, asked_at = msal.SerializableTokenCache(), datetime.now(UTC)
        cache.deserialize(kept)

        def renew(application: msal.ConfidentialClientApplication) -> dict[str, Any] | None:
            account = next(iter(application.get_accounts()), None)
            said: dict[str, Any] | None = application.acquire_token_silent_with_error(
                _SCOPES, account, force_refresh=True, claims_challenge=claims
            )
            return said

        said = self._entra.ask(tid, renew, cache)
        if said is None:
            raise EntraReconnect("Microsoft's permission for this connection is gone.", error=NOTHING_KEPT)
        return _grant(said, cache, asked_at)


def _grant(said: dict[str, Any], cache: msal.SerializableTokenCache, asked_at: datetime) -> Grant:
    if "access_token" not in said:
        raise refusal(said)
    given = granted_scopes(said)
    return Grant(
        access_token=str(said["access_token"]),
        expires_at=asked_at + timedelta(seconds=int(said["expires_in"])),
        cache=cache.serialize(),
        id_token=str(said.get("id_token", "")),
        missing=tuple(scope for scope in PERMISSIONS if scope.casefold() not in given),
    )


def kept_token(cache: str) -> str | None:
    """The newest access token in a token cache, without asking Microsoft."""
    opened = msal.SerializableTokenCache()
    opened.deserialize(cache)
    entries = list(opened.search(_ACCESS_TOKEN))
    newest = max(entries, key=lambda entry: int(entry["expires_on"]), default=None)
    return str(newest["secret"]) if newest else None
