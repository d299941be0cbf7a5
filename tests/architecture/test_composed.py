"""``compose.yaml``: every service of ``services.toml``, each with its own keys and nothing of another."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from dev.generated.compose import METRICS_PORT
from dev.services import ROOT, SERVICES, described

OBSERVE = ROOT / "deploy/compose/observe"
PROMTOOL = shutil.which("promtool")

COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OF_A_SERVICE = ("-migrate", "", "-worker")


def test_every_service_is_composed_of_its_parts() -> None:
    for name in SERVICES:
        for part, command in zip(OF_A_SERVICE, ("migrate", "api", "worker"), strict=True):
            assert COMPOSED[name + part]["command"] == [command]
            assert COMPOSED[name + part]["image"] == f"prospo-m365/{name}"
    assert set(described()) <= set(COMPOSED)


def test_a_service_mounts_its_own_keys_only() -> None:
    for name in SERVICES:
        for part in OF_A_SERVICE:
            mounted = COMPOSED[name + part]["volumes"]
            keys = [one for one in mounted if isinstance(one, dict)]
            assert [(one["source"], one["volume"]["subpath"], one["read_only"]) for one in keys] == [
                ("keys", name, True)
            ]
            assert [one for one in mounted if isinstance(one, str)] == (
                ["files:/data"] if described()[name].files else []
            )


def test_every_container_of_ours_is_confined() -> None:
    for name, one in COMPOSED.items():
        if name in {"postgres", "kafka"}:
            continue
        assert one["cap_drop"] == ["ALL"], name
        assert one["read_only"] is True, name
        assert one["security_opt"] == ["no-new-privileges:true"], name


def test_only_the_gateway_the_simulator_and_kafka_publish_a_port() -> None:
    opened = {name: one["ports"] for name, one in COMPOSED.items() if "ports" in one}
    observing = {name for name, one in COMPOSED.items() if one.get("profiles") == ["observe"]}
    assert observing == {"collector", "prometheus", "grafana"}
    assert set(opened) - observing == {"gateway", "simulator", "kafka"}
    assert [port for ports in opened.values() for port in ports if not port.startswith("127.0.0.1:")] == []


def test_services_measure_and_send_only_where_somebody_observes() -> None:
    """A name without a value takes the caller's, and is not there when the caller has none."""
    for name in SERVICES:
        for part in OF_A_SERVICE:
            own = COMPOSED[name + part]["environment"]
            assert (own["PROSPO_METRICS_PORT"], own["PROSPO_OTLP_ENDPOINT"]) == (None, None)
    said = (ROOT / "Makefile").read_text().partition("\nobserve:")[2].splitlines()[1]
    assert f"PROSPO_METRICS_PORT={METRICS_PORT} " in said
    (port,) = re.findall(r"PROSPO_OTLP_ENDPOINT=http://collector:(\d+) ", said)
    collector = yaml.safe_load((OBSERVE / "collector.yaml").read_text())
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == f"0.0.0.0:{port}"
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(collector[part])


def test_everything_that_is_mounted_is_there() -> None:
    mounted = [one for service in COMPOSED.values() for one in service.get("volumes", []) if str(one).startswith("./")]
    assert [one for one in mounted if not (ROOT / one.split(":")[0]).exists()] == []


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool on the path (Debian's package prometheus)")
def test_prometheus_takes_its_configuration_with_every_alert_of_the_chart() -> None:
    said = subprocess.run(
        [str(PROMTOOL), "check", "config", OBSERVE / "prometheus.yaml"], capture_output=True, text=True
    )
    alerts = len(yaml.safe_load((ROOT / "deploy/helm/prospo-m365/files/alerts.yaml").read_text()))
    assert said.returncode == 0, said.stderr
    assert f"{alerts} rules found" in said.stdout
    (jobs,) = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text())["scrape_configs"]
    read = {target for one in jobs["static_configs"] for target in one["targets"]}
    assert read == {f"{name}{part}:{METRICS_PORT}" for name in SERVICES for part in ("", "-worker")}
