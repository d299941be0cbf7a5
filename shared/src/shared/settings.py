"""The settings every service has; its own ``settings.py`` adds to them. Nothing else reads the environment."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Environment variables with the prefix ``PROSPO_``; all can be given as keyword arguments instead."""

    model_config = SettingsConfigDict(env_prefix="PROSPO_", extra="ignore")

    database_url: str
    """The service's own database, as its row-level-secured role: ``postgresql+asyncpg://…``."""
    migration_database_url: str | None = None
    """The same database as the role that owns the tables; without it, ``database_url`` is used for migrations."""
    database_pool_size: int = 5
    kafka_bootstrap_servers: str
    """``host:port,…`` of Kafka, or ``memory:`` in tests."""
    outbox_keep_sent_s: int | None = None
    """Keep sent events this long for a replay; only the embedded run needs it."""

    key_ring_dir: Path
    """Folder of key-encryption keys: ``<id>.key`` files and ``current``."""
    service_key_path: Path
    """This service's Ed25519 private key, PEM."""
    service_public_keys_dir: Path
    """``<service>.pem`` public keys of the services that may call this one."""

    jwt_issuer: str
    jwt_jwks_url: str
    jwt_audience: str = "prospo-m365"

    internal_url: str = "http://localhost:8366/{service}"
    """Where other services answer; ``{service}`` is replaced by the name."""
    public_url: str = "http://localhost:8365"
    notification_base_url: str | None = None
    """Where Microsoft reaches us; ``public_url`` when unset."""

    graph_base_url: str = "https://graph.microsoft.com/v1.0"
    graph_hosts: list[str] = []
    """Further hosts (``host`` or ``host:port``) that links in Graph's answers may point to."""
    entra_authority: str = "https://login.microsoftonline.com"
    entra_page_authority: str | None = None
    """Only when the pages a browser opens are elsewhere than what MSAL calls."""
    ca_bundle: Path | None = None
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")

    http_host: str = "0.0.0.0"  # noqa: S104 - in a container the pod's address is the boundary
    http_port: int = 8080
    metrics_port: int | None = None
    otlp_endpoint: str | None = None
    log_level: str = "INFO"
    request_body_limit_bytes: int = 256 * 1024
