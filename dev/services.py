"""What ``services.toml`` says of every service."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Described:
    """One service; ``services.toml`` says what each field means."""

    name: str
    port: int
    routes: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    large: list[str] = field(default_factory=list)
    webhooks: bool = False
    internal: dict[str, list[str]] = field(default_factory=dict)
    database: bool = False
    microsoft: bool = False
    files: bool = False
    switches: list[str] = field(default_factory=list)

    @property
    def package(self) -> str:
        """Its Python package; its database and that database's role have the same name."""
        return self.name.replace("-", "_")


@cache
def described() -> dict[str, Described]:
    """Every service by name. A field that is not known is a ``TypeError``."""
    found = tomllib.loads((ROOT / "services.toml").read_text())
    return {name: Described(name, **says) for name, says in found.items()}


SERVICES = [name for name, service in described().items() if service.database]
"""Services with a database of their own: all but the console."""

ROUTES = {prefix: name for name, service in described().items() for prefix in service.routes}
"""Path prefix → the service that it leads to."""

HEARING = [name for name, service in described().items() if service.webhooks]
"""Services that Microsoft may notify."""
