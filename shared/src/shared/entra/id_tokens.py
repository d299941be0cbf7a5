"""Verifies id_tokens, because MSAL checks nothing of them but the nonce."""

from dataclasses import dataclass
from typing import Any

import jwt

from shared.entra.client import PERSONAL_TENANT, Entra
from shared.problems import Conflict
from shared.settings import ServiceSettings
from shared.web.issuer_keys import IssuerKeys

_LEEWAY_S = 60
_AWAY = "Microsoft's signing keys cannot be fetched right now. Start the sign-in again in a moment."
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
        self._keys: dict[str, IssuerKeys] = {}

    async def verify(self, id_token: str, tid: str) -> Account:
        """The account, which is of the tenant ``tid``. Raises ``Conflict`` with the reason, ``Unavailable``."""
        try:
            claims = await self.keys(tid).claims(
                id_token,
                "RS256",
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
        await self.keys(tid).ready()

    def keys(self, tid: str) -> IssuerKeys:
        """The keys of the tenant's authority."""
        if tid not in self._keys:
            url = f"{self._entra.authority(tid)}/discovery/v2.0/keys"
            self._keys[tid] = IssuerKeys(self._settings, url, timeout_s=10, away=("microsoft_busy", _AWAY))
        return self._keys[tid]


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
