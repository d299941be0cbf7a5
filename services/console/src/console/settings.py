"""Every knob of the console. The only reader of its environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PROSPO_")

    internal_url: str = "http://localhost:8366/{service}"
    """Where services answer inside the cluster; ``{service}`` is replaced by the service's name."""
    public_url: str = "http://localhost:8365"
    """The address people open; the Origin that forms must come from."""
    simulator_url: str | None = None
    """Only in the embedded run: the simulator's page, linked from a meeting, and the switch between people."""
    http_host: str = "0.0.0.0"  # noqa: S104 - in a container the pod's address is the boundary
    http_port: int = 8080
    ca_bundle: Path | None = None
