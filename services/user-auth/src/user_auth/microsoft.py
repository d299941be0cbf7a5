"""Microsoft's sign-in through MSAL, in our words. Nobody else sees MSAL or the JSON of its token cache."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import msal

from shared import metrics
from shared.entra.aadsts import NUMBERS, EntraError, EntraReconnect, EntraRetry, EntraTellAdmin, refusal
from shared.entra.client import Entra
from user_auth import permissions
from user_auth.settings import Settings

T = TypeVar("T")

NOTHING_KEPT = "nothing_kept"
"""Our own ``error`` where there is nothing to ask Microsoft with."""
_ACCESS_TOKEN = msal.TokenCache.CredentialType.ACCESS_TOKEN
_REFRESH_TOKEN = msal.TokenCache.CredentialType.REFRESH_TOKEN
_UNTOLD_LIFE_S = 600
"""Life in seconds of a token when Microsoft does not give it (optional, RFC 6749 5.1). MSAL assumes the same."""

logging.getLogger("msal").setLevel(logging.INFO)  # its debug lines hold codes and verifiers


@dataclass(frozen=True, slots=True)
class Grant:
    """A token of Microsoft; ``cache`` is MSAL's token cache with the newest refresh token."""

    access_token: str = field(repr=False)
    expires_at: datetime
    cache: str = field(repr=False)
    id_token: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ()
    """Our permissions that the token has."""
    missing: tuple[str, ...] = ()
    """Permissions that everybody is asked for, and that were not given."""


class Microsoft:
    """Blocking MSAL in threads of its own, so that a silent Microsoft takes no thread from anybody else."""

    def __init__(self, settings: Settings, entra: Entra) -> None:
        self._entra = entra
        self._redirect_uri = f"{settings.public_url.rstrip('/')}/integrations/microsoft/callback"
        self._threads = ThreadPoolExecutor(2 * settings.database_pool_size, "msal")

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def begin(
        self, tid: str, state: str, scopes: Collection[str], login_hint: str | None, claims: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """The address to open in the browser, and MSAL's flow to keep secret until the answer.

        With ``login_hint`` it is the account of a connection that stands or stood; without, the person chooses one.
        ``claims`` is the challenge that this sign-in is to answer.
        """
        return await self._in_thread(lambda: self._begin(tid, state, scopes, login_hint, claims))

    async def redeem(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
        """The tokens of one sign-in; the id_token is not verified yet. Raises ``EntraError``."""
        return await self._in_thread(lambda: self._redeem(tid, flow, answer))

    async def refresh(
        self, tid: str, cache: str, claims: str | None, granted: list[str] | None, silent: Collection[str] = ()
    ) -> Grant:
        """A new access token by the refresh token in ``cache``, for what was ``granted``. Raises ``EntraError``.

        ``silent`` is asked for as well; where the organisation's consent does not hold it, the grant is without it.
        """
        scopes = permissions.in_force(granted)
        try:
            grant = await self._in_thread(lambda: self._refresh(tid, cache, claims, scopes, silent))
        except EntraError as refused:
            metrics.token_refreshes.add(1, {"outcome": type(refused).__name__})
            raise
        metrics.token_refreshes.add(1, {"outcome": "refreshed"})
        return grant

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _begin(
        self, tid: str, state: str, scopes: Collection[str], login_hint: str | None, claims: str | None
    ) -> tuple[str, dict[str, Any]]:
        return self._entra.begin_sign_in(
            tid,
            self._entra.scopes(scopes),
            redirect_uri=self._redirect_uri,
            state=state,
            prompt=None if login_hint else "select_account",
            login_hint=login_hint,
            claims_challenge=claims,
        )

    def _redeem(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
        cache, asked_at = msal.SerializableTokenCache(), datetime.now(UTC)
        return _grant(self._entra.end_sign_in(tid, flow, answer, cache), cache, asked_at, flow["scope"])

    def _refresh(
        self, tid: str, kept: str, claims: str | None, scopes: Collection[str], silent: Collection[str]
    ) -> Grant:
        """Asking for a single permission that is not given is refused whole: then without the silent ones, then for
        whatever is left."""
        withdrawn: EntraError = refusal({"error": "consent_required"})
        for wanted in ((*scopes, *silent), scopes) if silent else (scopes,):
            try:
                whole = self._renew(tid, kept, claims, self._entra.scopes(wanted))
                if permissions.are_of_use(whole.scopes):
                    return whole
            except EntraTellAdmin as refused:
                if not is_consent_missing(refused):
                    raise
                withdrawn = refused
        left = self._renew(tid, kept, claims, self._entra.graph_default)
        if not permissions.are_of_use(left.scopes):
            raise withdrawn
        return left

    def _renew(self, tid: str, kept: str, claims: str | None, scopes: Collection[str]) -> Grant:
        cache, asked_at = msal.SerializableTokenCache(), datetime.now(UTC)
        cache.deserialize(kept)

        def renew(application: msal.ConfidentialClientApplication) -> dict[str, Any] | None:
            account = next(iter(application.get_accounts()), None)
            try:
                said: dict[str, Any] | None = application.acquire_token_silent_with_error(
                    list(scopes), account, force_refresh=True, claims_challenge=claims
                )
            except (TypeError, ValueError):  # MSAL's words for a member of another type; they may quote secrets
                raise EntraRetry("Microsoft's answer cannot be read. It is tried again.") from None
            return said

        said = self._entra.ask(tid, renew, cache)
        if said is None:
            raise EntraReconnect("Microsoft's permission for this connection is gone.", error=NOTHING_KEPT)
        return _grant(said, cache, asked_at, scopes)


def is_consent_missing(refused: EntraError) -> bool:
    """Whether it is about a permission that nobody gave, or that was taken back."""
    return refused.number == 65001 or "consent_required" in (refused.error, refused.suberror)


def _grant(
    said: dict[str, Any], cache: msal.SerializableTokenCache, asked_at: datetime, asked: Collection[str] = ()
) -> Grant:
    """An answer that names no scope gives what was ``asked`` (RFC 6749 section 5.1)."""
    if "access_token" not in said:
        raise refusal(said)
    given = permissions.known(granted_scopes(said) or short_names(asked))
    missing = [scope for scope in permissions.missing(given) if scope in permissions.known(short_names(asked))]
    if not list(cache.search(_REFRESH_TOKEN)):
        missing.append(permissions.STAY)
    _keep_only(cache, str(said["access_token"]))
    return Grant(
        access_token=str(said["access_token"]),
        expires_at=asked_at + timedelta(seconds=int(said.get("expires_in", _UNTOLD_LIFE_S))),
        cache=cache.serialize(),
        id_token=str(said.get("id_token", "")),
        scopes=given,
        missing=tuple(missing),
    )


def _keep_only(cache: msal.SerializableTokenCache, access_token: str) -> None:
    """MSAL keeps a token per set of scopes; an older one that ends later would be taken for the newest."""
    for entry in list(cache.search(_ACCESS_TOKEN)):
        if entry["secret"] != access_token:
            cache.remove_at(entry)


def kept_token(cache: str) -> str | None:
    """The newest access token in a token cache, without asking Microsoft."""
    opened = msal.SerializableTokenCache()
    opened.deserialize(cache)
    entries = list(opened.search(_ACCESS_TOKEN))
    newest = max(entries, key=lambda entry: int(entry["expires_on"]), default=None)
    return str(newest["secret"]) if newest else None


def is_listed(refused: EntraError) -> bool:
    """Whether it is published what this refusal means; ``invalid_grant`` alone is also said of passing troubles."""
    said = {refused.error, refused.suberror} & {"interaction_required", "login_required", "consent_required"}
    return bool(said) or refused.number in NUMBERS


def granted_scopes(said: dict[str, Any]) -> frozenset[str]:
    """The permissions a token answer names, in lower case and without their resource; some answers percent-encode."""
    words = unquote_plus(str(said.get("scope") or "")).split()
    return frozenset(name.casefold() for name in short_names(words))


def short_names(scopes: Iterable[str]) -> list[str]:
    """``User.Read`` of ``https://graph.microsoft.us/User.Read``."""
    return [scope.rsplit("/", 1)[-1] for scope in scopes]
