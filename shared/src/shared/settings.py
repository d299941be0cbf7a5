"""The settings every service has; its own ``settings.py`` adds to them. Nothing else reads the environment."""

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.problems import ConfigurationError


class ServiceSettings(BaseSettings):
    """Environment variables with the prefix ``PROSPO_``; all can be given as keyword arguments instead."""

    model_config = SettingsConfigDict(env_prefix="PROSPO_", extra="ignore")

    database_url: str
    """The service's own database, as its row-level-secured role: ``postgresql+asyncpg://…``."""
    migration_database_url: str | None = None
    """The same database as the role that owns the tables; without it, ``database_url`` is used for migrations."""
    database_pool_size: int = 5
    """Connections kept; as many again are opened under load."""
    kafka_bootstrap_servers: str
    """``host:port,…`` of Kafka, or ``memory:`` in tests."""
    outbox_keep_sent_s: int | None = None
    """Keep sent events this long for a replay; only the embedded run needs it."""

    audit_keep_days: Annotated[int, Field(ge=30)] = 730
    """How long a line of the audit trail is kept, where the service has one; at least 30 days."""

    key_ring_dir: Path
    """Folder of key-encryption keys: ``<id>.key`` files and ``current``."""
    service_key_path: Path
    """This service's Ed25519 private key, PEM."""
    service_public_keys_dir: Path
    """``<service>.pem`` public keys of the services that may call this one."""

    jwt_issuer: str
    """``iss`` of the gateway's tokens."""
    jwt_jwks_url: str
    """Where the gateway's public keys are."""
    jwt_audience: str = "prospo-m365"
    """``aud`` of the gateway's tokens."""

    internal_url: str = "http://localhost:8366/{service}"
    """Where other services answer; ``{service}`` is replaced by the name."""
    public_url: str = "http://localhost:8365"
    """Where browsers reach the gateway; Microsoft sends people back here."""
    notification_base_url: str | None = None
    """Where Microsoft reaches us; ``public_url`` when unset."""

    graph_base_url: str = "https://graph.microsoft.com/v1.0"
    """Microsoft Graph; another one in a national cloud."""
    graph_hosts: list[str] = []
    """Further hosts (``host`` or ``host:port``) that links in Graph's answers may point to."""
    entra_authority: str = "https://login.microsoftonline.com"
    """Microsoft Entra; another one in a national cloud."""
    entra_page_authority: str | None = None
    """Only when the pages a browser opens are elsewhere than what MSAL calls."""
    ca_bundle: Path | None = None
    """Certificates to trust instead of the public ones, PEM."""
    client_id: str = ""
    """The application's id at Microsoft."""
    client_secret: SecretStr = SecretStr("")
    """The application's secret at Microsoft, when it is a single one."""
    client_credentials_dir: Path | None = None
    """Folder of the application's credentials (``*.pem``, ``*.secret``, ``*.jwt``); several may be live."""

    http_host: str = "0.0.0.0"  # noqa: S104 - in a container the pod's address is the boundary
    """Address that ``api`` listens on."""
    http_port: int = 8080
    """Port that ``api`` listens on."""
    metrics_port: int | None = None
    """Port for Prometheus, apart from the API's; none when unset."""
    otlp_endpoint: str | None = None
    """``http://collector:4318`` for traces and metrics by OTLP; none leave when unset."""
    log_level: str = "INFO"
    """Lowest level that is logged."""
    request_body_limit_bytes: int = 256 * 1024
    """A larger body is refused with 413; uploads have a limit of their own."""

    def trusted(self) -> ssl.SSLContext | bool:
        """What httpx verifies servers with: the CA bundle when one is set, else the public certificates.

        Raises ``ConfigurationError`` when the bundle cannot be read.
        """
        try:
            return ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else True
        except OSError as error:
            raise ConfigurationError(f"PROSPO_CA_BUNDLE names no readable PEM file: {self.ca_bundle}.") from error
