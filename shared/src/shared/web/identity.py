"""Identifies callers: people and programs by the gateway's JWT, services by a short-lived JWT, never by headers."""

import contextlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from shared.problems import ConfigurationError, NotSignedIn
from shared.settings import ServiceSettings
from shared.web.issuer_keys import IssuerKeys
from shared.web.words import storable_throughout

SERVICE_TOKEN_LIFE_S = 300
_DEFECTS = (jwt.InvalidTokenError, TypeError, ValueError, OverflowError)
"""A token may be so wrong that the library stumbles over it."""
_PEM_END = b"-----END PUBLIC KEY-----"
_LEEWAY_S = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, or another team's program, as the issuer of the gateway's tokens vouches for them."""

    user_id: str
    """For a program: the id of its client at the issuer."""
    org_id: str
    roles: frozenset[str]
    name: str = ""
    email: str = ""
    org_name: str = ""
    """The organisation's name for people, where the gateway's token has the claim ``org_name``."""
    is_program: bool = False
    """The token was given to a client by itself (RFC 6749 4.4), so its ``sub`` is its ``client_id`` (RFC 9068 2.2)."""


class UserTokens:
    """Verifies the gateway's JWTs against the keys of their issuer."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        away = ("issuer_unreachable", "Sign-in keys cannot be fetched right now. Try again.")
        self.keys = IssuerKeys(settings, settings.jwt_jwks_url, timeout_s=5, away=away)

    async def verify(self, bearer: str) -> Identity:
        """The caller. Raises ``NotSignedIn`` for every defect of the token, ``Unavailable`` when keys cannot be had."""
        try:
            claims = await self.keys.claims(
                bearer,
                "RS256",
                "ES256",
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "sub", "org_id"]},
            )
            return _identity(claims)
        except _DEFECTS as error:
            raise NotSignedIn("invalid_token", "The token is not valid here. Sign in again.") from error


def _identity(claims: dict[str, Any]) -> Identity:
    """Raises ``ValueError`` for what could not be stored."""
    storable_throughout(claims)
    roles = claims.get("roles", [])
    if not (isinstance(claims["org_id"], str) and claims["org_id"] and claims["sub"] and isinstance(roles, list)):
        raise NotSignedIn("invalid_token", "The token names no organisation or person. Sign in again.")
    return Identity(
        user_id=str(claims["sub"]),
        org_id=claims["org_id"],
        roles=frozenset(map(str, roles)),
        name=str(claims.get("name", "")),
        email=str(claims.get("email", "")),
        org_name=str(claims.get("org_name", "")),
        is_program=claims.get("client_id") == claims["sub"],
    )


class ServiceTokens:
    """Issues and verifies service-to-service JWTs (EdDSA); ``aud`` is the callee, ``iss`` the caller."""

    def __init__(self, settings: ServiceSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._public: dict[str, tuple[int, list[Any]]] = {}

    @cached_property
    def _private_key(self) -> Any:
        try:
            return load_pem_private_key(self._settings.service_key_path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                "This service has no key. Set PROSPO_SERVICE_KEY_PATH to an Ed25519 PEM file."
            ) from error

    def check(self) -> None:
        """Read the key now rather than at the first call. Raises ``ConfigurationError`` when there is none."""
        self._private_key  # noqa: B018 - reading it is the check

    def issue(self, audience: str) -> str:
        """A token for one callee, valid five minutes."""
        now = int(time.time())
        claims = {"iss": self._name, "aud": audience, "iat": now, "exp": now + SERVICE_TOKEN_LIFE_S}
        return jwt.encode(claims, self._private_key, algorithm="EdDSA")

    def verify(self, bearer: str) -> str:
        """The calling service's name. Raises ``NotSignedIn`` for every defect of the token."""
        try:
            caller = str(jwt.decode(bearer, options={"verify_signature": False}).get("iss", ""))
            claims = self._claims(bearer, caller, self._public_keys(caller))
            life_s = int(claims["exp"]) - int(claims["iat"])
        except _DEFECTS as error:
            raise NotSignedIn("invalid_token", "The service token is not valid here.") from error
        if life_s > SERVICE_TOKEN_LIFE_S:
            raise NotSignedIn("invalid_token", "The service token lives too long.")
        return caller

    def _claims(self, bearer: str, caller: str, keys: list[Any]) -> dict[str, Any]:
        """Claims verified by the first key that fits; there are two while a key is being replaced."""
        for key in keys[:-1]:
            with contextlib.suppress(jwt.InvalidSignatureError):
                return self._claims(bearer, caller, [key])
        claims: dict[str, Any] = jwt.decode(
            bearer,
            keys[-1],
            algorithms=["EdDSA"],
            audience=self._name,
            issuer=caller,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iat"]},
        )
        return claims

    def _public_keys(self, caller: str) -> list[Any]:
        """Read again when their file was changed: the folder may be a mounted secret."""
        if not caller.replace("-", "").isalnum():
            raise NotSignedIn("invalid_token", "The service token names no service.")
        path = self._settings.service_public_keys_dir / f"{caller}.pem"
        try:
            changed = path.stat().st_mtime_ns
            known = self._public.get(caller)
            if known is None or known[0] != changed:
                pems = [pem + _PEM_END for pem in path.read_bytes().split(_PEM_END)[:-1]] or [b""]
                known = self._public[caller] = changed, [load_pem_public_key(pem) for pem in pems]
        except (OSError, ValueError) as error:
            raise NotSignedIn("invalid_token", "The service token is of an unknown service.") from error
        return known[1]
