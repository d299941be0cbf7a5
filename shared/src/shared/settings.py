"""The settings every service has; its own ``settings.py`` adds to them. Nothing else reads the environment."""

import functools
import os
import re
import ssl
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared.clouds import CLOUDS, Cloud, CloudName
from shared.problems import ConfigurationError

PerHour = Annotated[int, Field(ge=1, le=1_000_000)]


class ServiceSettings(BaseSettings):
    """Environment variables with the prefix ``PROSPO_``; all can be given as keyword arguments instead."""

    model_config = SettingsConfigDict(env_prefix="PROSPO_", extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A variable may be a file of its name instead, in the folder that ``PROSPO_SECRETS_DIR`` names."""
        folder = os.environ.get("PROSPO_SECRETS_DIR")
        files = (SecretsSettingsSource(settings_cls, folder),) if folder else ()
        return (init_settings, env_settings, *files)

    database_url: str
    """The service's own database, as its own login: ``postgresql://user:password@host/database``. May be a pooler of
    transactions (PgBouncer 1.21 or later with ``max_prepared_statements``); then ``PROSPO_DATABASE_DIRECT_URL`` is the
    server."""
    request_database_url: str
    """The same database as the request role, which sees one organisation per transaction; may be a pooler too."""
    database_direct_url: str | None = None
    """The same database and role without a pooler, for locks, LISTEN and the engines; ``database_url`` when unset."""
    migration_database_url: str | None = None
    """The same database as the role that owns the tables, for migrations and for erasing from an audit trail."""
    database_pool_size: int = 5
    """Connections kept of each login, beside two direct ones; as many again are opened under load. A process that runs
    keeps one more direct connection to be woken, a worker another for its relay, and one for the slots of mailboxes."""
    database_tls: bool = False
    """Whether connections to the database are encrypted, and its certificate and name verified."""
    database_ca: Path | None = None
    """Certificates that may vouch for the database, PEM; the public ones when unset."""
    kafka_bootstrap_servers: str
    """``host:port,…`` of Kafka."""
    kafka_tls: bool = False
    """Whether connections to Kafka are encrypted, and its certificates and names verified."""
    kafka_ca: Path | None = None
    """Certificates that may vouch for Kafka's brokers, PEM; the public ones when unset."""
    kafka_certificate: Path | None = None
    """This service's certificate for Kafka, PEM, where Kafka knows its clients by certificates."""
    kafka_certificate_key: Path | None = None
    """The private key of that certificate, PEM."""
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] | None = None
    """How this service says who it is to Kafka, where Kafka knows its clients by passwords."""
    kafka_username: str = ""
    """Its name for that."""
    kafka_password: SecretStr = SecretStr("")
    """Its password for that."""
    outbox_keep_sent_s: int | None = None
    """Keep sent events this long for a replay, a key's newest state for ever; only the embedded run needs it."""

    audit_keep_days: Annotated[int, Field(ge=30)] = 730
    """How long a line of the audit trail is kept, where the service has one; at least 30 days."""

    key_ring_dir: Path
    """Folder of key-encryption keys: ``<id>.key`` files and ``current``."""
    service_key_path: Path
    """This service's Ed25519 private key, PEM."""
    service_public_keys_dir: Path
    """``<service>.pem`` public keys of the services that may call this one; two in a file while a key is replaced."""

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

    cloud: CloudName = "global"
    """Which of Microsoft's clouds: ``global``, ``us_gov_l4`` (GCC High), ``us_gov_l5`` (DoD) or ``china``."""
    graph_base_url: str = ""
    """Microsoft Graph with its version; the cloud's when empty."""
    graph_mailbox_share: Annotated[int, Field(ge=0, le=4)] = 0
    """How many requests at a time all processes of this service send to one person's mailbox. Microsoft allows four of
    all services together. With 0 the service asks mailboxes now and then, and counts no request."""
    graph_hosts: list[str] = []
    """Further hosts (``host`` or ``host:port``) that links in Graph's answers may point to."""
    entra_authority: str = ""
    """Microsoft Entra; the cloud's when empty."""
    notification_publisher: str = "0bf30f3b-4a52-48df-9a82-234910c4a086"
    """Application id of Graph's publisher of change notifications; published for global, unproven in other clouds."""
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
    http_connections: int = 1000
    """How many connections are open at a time; further ones are answered 503."""
    health_port: int | None = None
    """Port of a worker's ``/health/live`` and ``/health/ready``, on ``http_host``; none when unset."""
    metrics_port: int | None = None
    """Port for Prometheus, apart from the API's; none when unset."""
    metrics_host: str = "127.0.0.1"
    """Address of that port. It asks for no credential: a wider one is for a network that only Prometheus reaches."""
    otlp_endpoint: str | None = None
    """``http://collector:4318`` for traces and metrics by OTLP; none leave when unset."""
    log_level: str = "INFO"
    """Lowest level that is logged."""
    request_body_limit_bytes: int = 256 * 1024
    """A larger body is refused with 413; uploads have a limit of their own."""
    request_headers_s: float = 30
    """A connection whose headers are not whole by then is closed."""
    request_body_s: float = 60
    """A body that is not whole by then is refused with 408."""
    development: bool = False
    """Only then may addresses that must be https be http beyond this machine."""
    audit_reads_per_hour: PerHour = 600
    """How often a person may read the audit trail."""
    refusals_noted_per_hour: PerHour = 60
    """How many refused calls of one person the audit trail notes; further ones are in the log only."""

    @field_validator(
        "database_url", "request_database_url", "database_direct_url", "migration_database_url", mode="after"
    )
    @classmethod
    def _with_our_driver(cls, url: str | None) -> str | None:
        return url and re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", url)

    @model_validator(mode="after")
    def _addresses_of_the_cloud(self) -> Self:
        self.graph_base_url = self.graph_base_url or f"{self.microsoft.graph}/v1.0"
        self.entra_authority = self.entra_authority or self.microsoft.login
        return self

    @model_validator(mode="after")
    def _nothing_in_the_clear(self) -> Self:
        for name in ("public_url", "notification_base_url", "jwt_jwks_url"):
            refuse_plain(name, getattr(self, name), development=self.development)
        return self

    @property
    def microsoft(self) -> Cloud:
        """The cloud that is set, whatever explicit addresses say."""
        return CLOUDS[self.cloud]

    def token_issuers(self, tid: str) -> tuple[str, str]:
        """``iss`` of a tenant's v1 and of its v2 tokens; with an explicit authority the v2 one follows that."""
        authority, cloud = self.entra_authority.rstrip("/"), self.microsoft
        v2 = cloud.issuer if authority == cloud.login else authority
        return f"{cloud.v1_issuer}/{tid}/", f"{v2}/{tid}/v2.0"

    def trusted(self) -> ssl.SSLContext:
        """The SSL context for httpx: the CA bundle when one is set, else the public certificates.

        Read once per process, for reading the authorities is slow. Raises ``ConfigurationError`` when the bundle cannot
        be read.
        """
        try:
            return _trust(self.ca_bundle)
        except OSError as error:
            raise ConfigurationError(f"PROSPO_CA_BUNDLE names no readable PEM file: {self.ca_bundle}.") from error


def refuse_plain(name: str, url: str | None, *, development: bool) -> None:
    """Raises ``ConfigurationError`` for an http address beyond this machine, unless it is a development run's."""
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    here = host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
    if parts.scheme == "http" and not (here or development):
        setting = f"PROSPO_{name.upper()}"
        raise ConfigurationError(f"{setting} must be https, or of this machine; PROSPO_DEVELOPMENT=true allows http.")


@functools.cache
def _trust(ca_bundle: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle) if ca_bundle else httpx.create_ssl_context(trust_env=False)
