"""How a service proves who it is to Kafka and PostgreSQL, and that they are those it was told of."""

import asyncio.sslproto
import ssl
from pathlib import Path
from typing import Any

from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

TLS_BUFFER = 32 * 1024
"""Bytes read at a time from a TLS connection: two records of TLS. asyncio's own 256 KiB, held by each connection, are
two megabytes of a worker at rest."""


def kafka_security(settings: ServiceSettings) -> dict[str, Any]:
    """Arguments of every aiokafka client beside the servers. Raises ``ConfigurationError`` naming the setting."""
    sasl, tls = settings.kafka_sasl_mechanism, settings.kafka_tls
    if sasl and not (settings.kafka_username and settings.kafka_password.get_secret_value()):
        raise ConfigurationError("PROSPO_KAFKA_SASL_MECHANISM needs PROSPO_KAFKA_USERNAME and PROSPO_KAFKA_PASSWORD.")
    if (settings.kafka_certificate is None) != (settings.kafka_certificate_key is None):
        raise ConfigurationError("PROSPO_KAFKA_CERTIFICATE and PROSPO_KAFKA_CERTIFICATE_KEY belong together.")
    if not tls and (settings.kafka_ca or settings.kafka_certificate):
        raise ConfigurationError("PROSPO_KAFKA_CA and PROSPO_KAFKA_CERTIFICATE need PROSPO_KAFKA_TLS=true.")
    known: dict[str, Any] = {"security_protocol": ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")}
    if sasl:
        known |= {
            "sasl_mechanism": sasl,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    if tls:
        known["ssl_context"] = context = _verifying("PROSPO_KAFKA_CA", settings.kafka_ca)
        if settings.kafka_certificate is not None and settings.kafka_certificate_key is not None:
            try:
                context.load_cert_chain(settings.kafka_certificate, settings.kafka_certificate_key)
            except OSError as error:
                raise ConfigurationError(
                    "PROSPO_KAFKA_CERTIFICATE and PROSPO_KAFKA_CERTIFICATE_KEY name no readable pair of PEM files."
                ) from error
    return known


def database_security(settings: ServiceSettings) -> dict[str, Any]:
    """Arguments for asyncpg beside the address. Raises ``ConfigurationError`` when the authorities cannot be read."""
    if not settings.database_tls:
        if settings.database_ca:
            raise ConfigurationError("PROSPO_DATABASE_CA needs PROSPO_DATABASE_TLS=true.")
        return {}
    return {"ssl": _verifying("PROSPO_DATABASE_CA", settings.database_ca)}


def _verifying(setting: str, ca: Path | None) -> ssl.SSLContext:
    """Verifies certificate and name, always: a connection that anyone can answer is no better than a plain one."""
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigurationError(f"{setting} names no readable PEM file: {ca}.") from error
