"""``compose.yaml``: what each service is in it, below what is written by hand; what Prometheus reads beside it."""

from typing import Any

import yaml

from dev.services import ROOT, SERVICES, Described, described

CHART = ROOT / "deploy/helm/prospo-m365"
METRICS_PORT = 9090
NAMESPACE = "composed"
"""As which the dashboards and the alerts know these services."""

MARK = "  # From here on made by `make generate` from services.toml.\n"


def composed() -> str:
    """The whole file; what stands above the mark is kept."""
    by_hand = (ROOT / "compose.yaml").read_text().partition(MARK)[0]
    return by_hand + MARK + "\n".join(_blocks(service) for service in described().values() if service.database)


def _blocks(service: Described) -> str:
    name, role = service.name, service.package
    keys = f"{{type: volume, source: keys, target: /keys, read_only: true, volume: {{subpath: {name}}}}}"
    volumes = [keys, "files:/data"] if service.files else [keys]
    mounted = "".join(f"      - {volume}\n" for volume in volumes)
    at = "development@postgres"
    return f"""  {name}-migrate:
    <<: *migrate
    image: prospo-m365/{name}
    build: {{context: ., args: {{SERVICE: {name}}}}}
    environment: &{name}-own
      PROSPO_DATABASE_URL: postgresql://{role}:{at}/{role}
      PROSPO_REQUEST_DATABASE_URL: postgresql://{role}_request:{at}/{role}
      PROSPO_MIGRATION_DATABASE_URL: postgresql://{role}_owner:{at}/{role}
      PROSPO_CA_BUNDLE: /keys/ca.pem
      PROSPO_METRICS_PORT: # these two are set by `make observe` only
      PROSPO_OTLP_ENDPOINT:
    volumes: &{name}-volumes
{mounted}  {name}:
    <<: *api
    image: prospo-m365/{name}
    environment: *{name}-own
    volumes: *{name}-volumes
    depends_on: &{name}-needs
      {name}-migrate: {{condition: service_completed_successfully}}
      kafka: {{condition: service_healthy}}
      simulator: {{condition: service_healthy}}
  {name}-worker:
    <<: *worker
    image: prospo-m365/{name}
    environment: *{name}-own
    volumes: *{name}-volumes
    depends_on: *{name}-needs
"""


def prometheus() -> str:
    """Reads every service under the labels that the chart's PodMonitor gives."""
    parts = [(name, part) for name in SERVICES for part in ("api", "worker")]
    jobs = [{"targets": [f"{_host(name, part)}:{METRICS_PORT}"], "labels": _labels(name, part)} for name, part in parts]
    return "# Made by `make generate` from services.toml.\n" + yaml.safe_dump(
        {
            "global": {"scrape_interval": "10s", "evaluation_interval": "10s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [{"job_name": "prospo", "static_configs": jobs}],
        },
        sort_keys=False,
    )


def _host(name: str, part: str) -> str:
    return name if part == "api" else f"{name}-{part}"


def _labels(name: str, part: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "app_kubernetes_io_name": name, "app_kubernetes_io_component": part}


def alerts() -> str:
    """The chart's alerts with its own thresholds."""
    tuned: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())["monitoring"]["alerts"]
    rules = [
        {
            "alert": about["name"],
            "expr": about["expr"]
            .replace("OF", f'namespace="{NAMESPACE}"')
            .replace("LIMIT", str(tuned[key]["threshold"])),
            "for": tuned[key]["for"],
            "labels": {"severity": tuned[key]["severity"]},
            "annotations": {"summary": about["summary"], "runbook": f"docs/how-to/alerts.md#{about['name'].lower()}"},
        }
        for key, about in yaml.safe_load((CHART / "files/alerts.yaml").read_text()).items()
    ]
    groups = {"groups": [{"name": "prospo", "rules": rules}]}
    return "# Made by `make generate` from the chart's alerts.\n" + yaml.safe_dump(groups, sort_keys=False, width=1000)
