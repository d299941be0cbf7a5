"""The chart's facts about services, and the table of its values."""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

from dev.services import ROOT, Described, described
from shared.events import ALL

CHART = ROOT / "deploy/helm/prospo-m365"
NOTE = "<!-- made by `make generate` -->"


def camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)


def facts() -> str:
    """``files/services.yaml``: service → what the templates ask of it."""
    found = {name: _facts(service) for name, service in described().items()}
    return "# Made by `make generate` from services.toml and the code.\n" + yaml.safe_dump(found, sort_keys=False)


def _facts(service: Described) -> dict[str, Any]:
    return {
        "key": camel(service.name),
        "port": service.port,
        "routes": service.routes,
        "webhooks": service.webhooks,
        "database": service.database,
        "files": service.files,
        "callers": sorted(_callers(service)),
        "calls": sorted(name for name, other in described().items() if service.name in _callers(other)),
        "emits": sorted(topic for topic, event in ALL.items() if event.emitter == service.name),
        "consumes": _consumes(service) if service.database else [],
    }


def _callers(service: Described) -> set[str]:
    """The services that its internal routes admit, and the console, which shows pages of every service."""
    inner = {caller for callers in service.internal.values() for caller in callers}
    return inner | ({"console"} if service.routes else set())


def _consumes(service: Described) -> list[str]:
    try:
        handlers = importlib.import_module(f"{service.package}.handlers")
    except ModuleNotFoundError:
        return []
    return sorted(handlers.on.topics)


def readme() -> str:
    """``README.md``: what the chart is, and every value."""
    return "\n".join([HEAD, "| value | default | what it does |", "|---|---|---|", *_rows(), ""])


HEAD = f"""# prospo-m365

{NOTE}

Every service of Prospo for Microsoft 365 on Kubernetes: an API, and a worker and a migration for those with a database.
PostgreSQL, Kafka and the gateway are yours. [Install it](../../../docs/how-to/install.md);
[what each point of the checklist rests on](../../../docs/kubernetes.md).

Pods run as 10001 with a read-only root, without capabilities and without a token of the cluster, as the Pod Security
Standard `restricted` asks. Secrets are files. Network policies allow what `services.toml` says and nothing else.

## Values
"""


def _rows() -> Iterator[str]:
    path: list[str] = []
    said: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            said = [text.removeprefix("# -- ")]
        elif text.startswith("#") and said:
            said.append(text.removeprefix("# "))
        elif found := re.match(r"( *)([A-Za-z]+):(.*)", line):
            path = [*path[: len(found[1]) // 2], found[2]]
            if said:
                default = found[3].strip()
                yield f"| `{'.'.join(path)}` | {f'`{default}`' if default else 'see values.yaml'} | {' '.join(said)} |"
            said = []
