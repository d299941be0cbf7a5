"""Verifies id_tokens, because MSAL checks nothing of them but the nonce."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from shared.entra.client import PERSONAL_TENANT, Entra
from shared.problems import Conflict, Unavailable
from shared.settings import ServiceSettings

_LEEWAY_S = 60
_KEYS_MIN_AGE_S = 30.0
_KEYS_MAX_AGE_S = 24 * 3600.0
_REQUIRED = ["exp", "iat", "iss", "aud", "tid", "oid", "ver"]


@dataclass(frozen=True, slots=True)
class Account:
    """A Microsoft work account. ``(tid, oid)`` is its identity; name and e-mail are for people to read.

    ``directory_roles`` are template ids of its roles in that tenant (claim ``wids``); None when the token says nothing
    of them, as the application's manifest does not ask for it (``groupMembershipClaims``).
    """

    tid: str
    oid: str
    name: str
    email: str
    directory_roles: frozenset[str] | None = None


class IdTokens:
    """Verifies id_tokens against the signing keys of the tenant's authority."""

    def __init__(self, settings: ServiceSettings, entra: Entra) -> None:
        self._settings = settings
        self._entra = entra
        self._keys: dict[str, _Keys] = {}
        self._http = httpx.AsyncClient(timeout=10, trust_env=False, verify=settings.trusted())

    async def aclose(self) -> None:
        await self._http.aclose()

    async def verify(self, id_token: str, tid: str) -> Account:
        """The account, which is of the tenant ``tid``. Raises ``Conflict`` with the reason, ``Unavailable``."""
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token,
                await self._key(id_token, tid),
                algorithms=["RS256"],
                audience=self._settings.client_id,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise _not_proven() from error
        _check_tenant(claims, tid)
        if claims["iss"] != self._entra.issuer(tid) or claims["ver"] != "2.0" or not claims["oid"]:
            raise _not_proven()
        email = str(claims.get("preferred_username") or claims.get("email") or "")
        return Account(tid, str(claims["oid"]), str(claims.get("name") or email), email, _roles(claims))

    async def ready(self, tid: str) -> None:
        """Have the tenant's keys, so that ``verify`` asks for no more than a new one. Raises ``Unavailable``."""
        await self._known(tid)

    async def _key(self, id_token: str, tid: str) -> Any:
        kid = str(jwt.get_unverified_header(id_token).get("kid"))
        known = await self._known(tid, kid)
        if kid not in known:
            raise jwt.InvalidTokenError("unknown kid")
        return known[kid]

    async def _known(self, tid: str, kid: str | None = None) -> dict[str, Any]:
        keys = self._keys.setdefault(tid, _Keys())
        async with keys.fetching:
            if keys.should_fetch(kid):
                keys.accept(await self._fetch(tid))
        return keys.known

    async def _fetch(self, tid: str) -> dict[str, Any]:
        try:
            answer = (await self._http.get(f"{self._entra.authority(tid)}/discovery/v2.0/keys")).raise_for_status()
            return {str(key.key_id): key.key for key in jwt.PyJWKSet.from_dict(answer.json()).keys}
        except (httpx.HTTPError, ValueError, jwt.PyJWKSetError) as error:
            detail = "Microsoft's signing keys cannot be fetched right now. Start the sign-in again in a moment."
            raise Unavailable("microsoft_busy", detail) from error


class _Keys:
    """One authority's keys: fetched again for an unknown one (at most twice a minute) and every day."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.fetching = asyncio.Lock()
        self._fetched = float("-inf")

    def should_fetch(self, kid: str | None) -> bool:
        age_s = time.monotonic() - self._fetched
        missing = kid is not None and kid not in self.known
        return age_s > _KEYS_MAX_AGE_S or (missing and age_s > _KEYS_MIN_AGE_S)

    def accept(self, keys: dict[str, Any]) -> None:
        self.known, self._fetched = keys, time.monotonic()


def _check_tenant(claims: dict[str, Any], tid: str) -> None:
    if claims["tid"] == PERSONAL_TENANT:
        raise Conflict(
            "personal_account",
            "This is a personal Microsoft account. Sign in with the work account of your organisation.",
        )
    if claims["tid"] != tid:
        raise Conflict(
            "wrong_tenant",
            "This account is of another organisation than the one connected to Prospo. Sign in with your work account.",
        )


def _roles(claims: dict[str, Any]) -> frozenset[str] | None:
    said = claims.get("wids")
    return frozenset(str(role).lower() for role in said) if isinstance(said, list) else None


def _not_proven() -> Conflict:
    return Conflict("sign_in_not_proven", "Microsoft's answer could not be verified. Start the sign-in again.")
