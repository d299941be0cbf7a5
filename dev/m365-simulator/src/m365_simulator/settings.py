"""Settings of the simulator; the defaults are for development only."""

import datetime
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SimulatorSettings(BaseSettings):
    """Environment prefix ``SIMULATOR_``. Ports are loopback ports; the base URLs are how others reach them."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_")

    state_dir: Path = Path(".simulator")
    host: str = "127.0.0.1"
    http_port: int = 8367
    https_port: int = 8368
    http_base_url: str = "http://localhost:8367"
    https_base_url: str = "https://localhost:8368"
    hosts: str = Field("", validation_alias=AliasChoices("hosts", "DEVELOPMENT_HOSTS"))
    """Names that the simulator and the development gateway answer beside this machine's own, a space between them.

    Whoever reaches one of these names is anybody there, without a sign-in. ``DEVELOPMENT_HOSTS``, without the prefix.
    """
    pages_over_https: bool = False
    """Discovery names the https listener for pages as well, as Entra does; a browser then needs our CA."""
    graph_base_url: str | None = None
    """What links and redirects in Graph's answers begin with; ``http_base_url`` when unset."""
    other_base_url: str | None = None
    """Where uploads and downloads are served from, as by another host; ``127.0.0.1`` for ``localhost`` when unset."""
    client_id: str = "6f2c6f0e-52a4-4c0d-9a52-0d1c7f0a8365"
    client_secret: str = "development-only-secret"
    redirect_uris: list[str] = [
        "http://localhost:8365/connectors/microsoft365/callback",
        "http://localhost:8365/integrations/microsoft/callback",
        "http://localhost:8365/connectors/microsoft365/sign-in/callback",
        "http://localhost:8365/connectors/microsoft365/storage/browse/callback",
    ]
    seed: str = "prospo"
    """Ids, and the faults that strike by chance, are the same in every run of a seed."""
    frozen_at: datetime.datetime | None = None
    """Both clocks stand here and move only when pushed; the real clock when unset."""
    latency_ms: int = 0
    """How long every Graph answer takes at least."""
    prospo_audience: str = "prospo-m365"

    @property
    def pages_url(self) -> str:
        return self.https_base_url if self.pages_over_https else self.http_base_url

    @property
    def graph_url(self) -> str:
        return self.graph_base_url or self.http_base_url
