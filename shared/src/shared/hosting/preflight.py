"""Checks that what a service needs answers, before anything is changed. A failure names what to mend."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import jwt

from shared.bus.port import BusUnavailable
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

if TYPE_CHECKING:
    from shared.hosting.service import Service

_PATIENCE_S = 20


async def look(service: "Service", names: list[str]) -> None:
    """Ask those of ``LOOKS`` that are named. Raises ``ConfigurationError`` with one sentence for the first refusal."""
    for name in names:
        await LOOKS[name](service)


async def _kafka(service: "Service") -> None:
    """Connect as the service itself, which proves address, certificate and password."""
    settings = service.settings
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await service.bus.start()
    except (BusUnavailable, TimeoutError) as error:
        given = f"PROSPO_KAFKA_BOOTSTRAP_SERVERS={settings.kafka_bootstrap_servers}"
        known = f" as {settings.kafka_username}" if settings.kafka_sasl_mechanism else ""
        raise ConfigurationError(
            f"Kafka does not let {service.name} in{known} ({error or 'no answer'}). Check {given}, that it runs, "
            "and what says who this service is: PROSPO_KAFKA_TLS, PROSPO_KAFKA_CA and the password or certificate "
            "(in the chart: kafka.bootstrapServers, kafka.tls, kafka.caSecret, kafka.userSecret)."
        ) from error


async def _issuer(service: "Service") -> None:
    """Its keys can be read, and it says that it is the issuer (OpenID Connect Discovery 1.0, section 4)."""
    settings = service.settings
    mend = f"Check PROSPO_JWT_JWKS_URL={settings.jwt_jwks_url} (in the chart: platform.jwksUrl)."
    keys = await _read(settings, settings.jwt_jwks_url, "The issuer's public keys cannot be read", mend)
    try:
        jwt.PyJWKSet.from_dict(keys)
    except (jwt.PyJWKSetError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"There are no public keys where the issuer's should be. {mend}") from error
    mend = (
        f"Check PROSPO_JWT_ISSUER={settings.jwt_issuer} (in the chart: platform.issuer; for one that does not describe "
        "itself set platform.checkIssuer to false)."
    )
    url = settings.jwt_issuer.rstrip("/") + "/.well-known/openid-configuration"
    described = await _read(settings, url, "The issuer does not say who it is", mend)
    if described.get("issuer") != settings.jwt_issuer:
        raise ConfigurationError(f"The issuer is called {described.get('issuer')} by itself. {mend}")


async def _read(settings: ServiceSettings, url: str, otherwise: str, mend: str) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False, verify=settings.trusted()) as http:
            read = (await http.get(url)).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        answered = getattr(getattr(error, "response", None), "status_code", type(error).__name__)
        raise ConfigurationError(f"{otherwise} ({url}: {answered}). {mend}") from error
    return read if isinstance(read, dict) else {}


LOOKS: dict[str, Callable[["Service"], Awaitable[None]]] = {"kafka": _kafka, "issuer": _issuer}
