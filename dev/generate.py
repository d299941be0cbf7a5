"""``make generate``: the files made from the code. ``--check`` says which are stale and changes nothing."""

import sys
from pathlib import Path

from dev.envoy import COMPOSED, written
from dev.generated.behaviours import behaviours_page
from dev.generated.chart import CHART, facts, readme
from dev.generated.compose import alerts, composed, prometheus
from dev.generated.configuration import configuration_page
from dev.generated.events import asyncapi, events_page, schema_file
from dev.generated.http import openapi_files
from dev.generated.jobs import jobs_page
from shared.events import ALL

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Path → content of every generated file."""
    contracts = ROOT / "contracts"
    files = {
        ROOT / "docs/events.md": events_page(),
        ROOT / "docs/jobs.md": jobs_page(),
        ROOT / "docs/configuration.md": configuration_page(),
        ROOT / "docs/simulator.md": behaviours_page(),
        ROOT / "deploy/compose/envoy.yaml": written(COMPOSED),
        ROOT / "compose.yaml": composed(),
        ROOT / "deploy/compose/observe/prometheus.yaml": prometheus(),
        ROOT / "deploy/compose/observe/alerts.yaml": alerts(),
        CHART / "files/services.yaml": facts(),
        CHART / "README.md": readme(),
        contracts / "asyncapi.yaml": asyncapi(),
    }
    files |= {contracts / "events" / f"{topic}.v1.schema.json": schema_file(topic, ALL[topic]) for topic in ALL}
    return files | {contracts / "openapi" / name: content for name, content in openapi_files().items()}


def stale() -> list[str]:
    """The generated files that differ from what the code says now."""
    return [
        str(path.relative_to(ROOT))
        for path, content in generated().items()
        if not path.exists() or path.read_text() != content
    ]


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        sys.exit("Stale, run `make generate`: " + ", ".join(stale()) if stale() else 0)
    for path, content in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
