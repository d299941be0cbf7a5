"""The public keys that an issuer signs its tokens with: the same rules for the gateway's issuer and for Entra."""

import asyncio
from time import monotonic
from typing import Any

import httpx
import jwt
import structlog

from shared.problems import Unavailable
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

MAX_AGE_S = 24 * 3600.0
MIN_AGE_S = 30.0
RETRY_S = 5.0
_KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}


class IssuerKeys:
    """The keys of one issuer, from its JWKS address ``url`` (RFC 7517, section 5).

    They are fetched every ``MAX_AGE_S``, so that a withdrawn key is dropped, and for an unknown key id, but not before
    they are ``MIN_AGE_S`` old: anybody can make up key ids. While the issuer does not answer it is asked every
    ``RETRY_S``, and the keys that are known go on. ``away`` is the code and the sentence of ``Unavailable``.
    """

    def __init__(self, settings: ServiceSettings, url: str, *, timeout_s: float, away: tuple[str, str]) -> None:
        self.url = url
        self._settings = settings
        self._timeout_s = timeout_s
        self._away = away
        self._known: dict[str, jwt.PyJWK] = {}
        self._fetched = self._failed = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id, None when the issuer has none. Raises ``Unavailable`` when that cannot be known."""
        await self._provide(kid)
        return self._known.get(kid)

    async def claims(self, token: str, *algorithms: str, **wanted: Any) -> dict[str, Any]:
        """The claims of a token that one of these keys signed; ``wanted`` is of ``jwt.decode``.

        Raises what pyjwt raises for any other token, and ``Unavailable``.
        """
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in algorithms:
            raise jwt.InvalidAlgorithmError("The token's algorithm is not accepted.")
        known = await self.key(str(header.get("kid")))
        if known is None or known.key_type != _KEY_TYPES[header["alg"]]:
            raise jwt.InvalidTokenError("The token is signed by an unknown key.")
        claims: dict[str, Any] = jwt.decode(token, known.key, algorithms=algorithms, **wanted)
        return claims

    async def ready(self) -> None:
        """Have keys, so that ``key`` fetches them for a new one only. Raises ``Unavailable``."""
        await self._provide(None)

    def accept(self, jwks: Any) -> None:
        """Take the keys of this JWKS document as the issuer's. Raises what pyjwt raises when it is none."""
        self._known = {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(jwks).keys}
        self._fetched = monotonic()

    async def _provide(self, kid: str | None) -> None:
        if self._is_due(kid):
            async with self._fetching:
                if self._is_due(kid):
                    await self.fetch()
        if self._failed > self._fetched and self._lacks(kid):
            raise Unavailable(*self._away)

    def _is_due(self, kid: str | None) -> bool:
        age_s = monotonic() - self._fetched
        due = age_s > MAX_AGE_S or (age_s > MIN_AGE_S and self._lacks(kid))
        return due and monotonic() - self._failed > RETRY_S

    def _lacks(self, kid: str | None) -> bool:
        return kid not in self._known if kid is not None else not self._known

    async def fetch(self) -> None:
        """Fetch the keys now. When there are none, the known ones stay."""
        trusted = self._settings.trusted()
        try:
            async with httpx.AsyncClient(timeout=self._timeout_s, trust_env=False, verify=trusted) as http:
                self.accept((await http.get(self.url)).raise_for_status().json())
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            self._failed = monotonic()
            log.warning("issuer_keys.not_fetched", url=self.url, error=type(error).__name__)
