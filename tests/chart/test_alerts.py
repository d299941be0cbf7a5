"""Each alert fires for what it is about and for nothing else, as Prometheus' own tool evaluates the chart's rules."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from shared import metrics

from .conftest import EVERYTHING, HELM, Json, Render

PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.chart,
    pytest.mark.skipif(HELM is None, reason="needs Helm: put it on the path or name it in PROSPO_HELM"),
    pytest.mark.skipif(PROMTOOL is None, reason="needs promtool on the path (Debian's package prometheus)"),
]
RUNBOOKS = Path(__file__).resolve().parents[2] / "docs/how-to/alerts.md"
HTTP = "http_server_request_duration_seconds"
MAIL = 'namespace="there", app_kubernetes_io_name="mail"'
OF_MAIL = {"app_kubernetes_io_name": "mail"}
OUTSIDE = {"ProspoTargetDown"}
"""Alerts on what Prometheus itself measures."""


def failing(bad: int) -> dict[str, str]:
    """1,000 requests a minute of which ``bad`` fail."""
    return {
        f'{HTTP}_count{{{MAIL}, http_response_status_code="200", http_route="/v1/mail"}}': f"0+{1000 - bad}x600",
        f'{HTTP}_count{{{MAIL}, http_response_status_code="503", http_route="/v1/mail"}}': f"0+{bad}x600",
    }


def shares(name: str, bound: str, slow: int, labels: str = "") -> dict[str, str]:
    """100 observations a minute, ``slow`` of which take longer than ``bound``."""
    return {
        f'{name}_bucket{{{MAIL}{labels}, le="{bound}"}}': f"0+{100 - slow}x600",
        f"{name}_count{{{MAIL}{labels}}}": "0+100x600",
    }


# Alert → (what Prometheus measured each minute, minutes until it fires, its labels), (what is still well)
CASES: dict[str, tuple[dict[str, str], int, dict[str, str], dict[str, str]]] = {
    "ProspoTargetDown": (
        {f'up{{{MAIL}, app_kubernetes_io_component="worker"}}': "0x600"},
        6,
        OF_MAIL | {"app_kubernetes_io_component": "worker"},
        {f'up{{{MAIL}, app_kubernetes_io_component="worker"}}': "1x600"},
    ),
    "ProspoRequestsFailFast": (failing(20), 70, OF_MAIL, failing(10)),
    "ProspoRequestsFailSlowly": (failing(8), 400, OF_MAIL, failing(4)),
    "ProspoWebhookSlow": (
        shares(HTTP, "2.5", 3, ', http_route="/webhooks/graph"'),
        45,
        OF_MAIL,
        shares(HTTP, "2.5", 0, ', http_route="/webhooks/graph"') | shares(HTTP, "2.5", 60, ', http_route="/v1/mail"'),
    ),
    "ProspoEventsLate": (
        shares("event_publishing_delay_seconds", "5.0", 20),
        45,
        OF_MAIL,
        shares("event_publishing_delay_seconds", "5.0", 8),
    ),
    "ProspoOutboxOld": (
        {f"outbox_oldest_age_seconds{{{MAIL}}}": "0+60x600"},
        13,
        OF_MAIL,
        {f"outbox_oldest_age_seconds{{{MAIL}}}": "120x600"},
    ),
    "ProspoConsumerStopped": (
        {f"consumer_stopped{{{MAIL}}}": "1x600"},
        2,
        OF_MAIL,
        {f"consumer_stopped{{{MAIL}}}": "0x600"},
    ),
    "ProspoRecordsParked": (
        {f"records_parked{{{MAIL}}}": "2x600"},
        16,
        OF_MAIL,
        {f"records_parked{{{MAIL}}}": "2x5 0x600"},
    ),
    "ProspoJobsFailed": (
        {f'jobs_failed{{{MAIL}, kind="sync_mailbox"}}': "1x600"},
        16,
        OF_MAIL | {"kind": "sync_mailbox"},
        {f'jobs_failed{{{MAIL}, kind="sync_mailbox"}}': "0x600"},
    ),
    "ProspoJobsLate": (
        {f'jobs_oldest_due_seconds{{{MAIL}, kind="sync_mailbox"}}': "0+60x600"},
        45,
        OF_MAIL | {"kind": "sync_mailbox"},
        {f'jobs_oldest_due_seconds{{{MAIL}, kind="sync_mailbox"}}': "1200x600"},
    ),
    "ProspoJobsUnknown": ({f"jobs_unknown{{{MAIL}}}": "3x600"}, 16, OF_MAIL, {f"jobs_unknown{{{MAIL}}}": "0x600"}),
    "ProspoSubscriptionsEnd": (
        {f'graph_subscriptions{{{MAIL}, state="ending"}}': "1x600"},
        11,
        OF_MAIL,
        {
            f'graph_subscriptions{{{MAIL}, state="ending"}}': "0x600",
            f'graph_subscriptions{{{MAIL}, state="none"}}': "9x600",
        },
    ),
    "ProspoRefreshesFail": (
        {
            f'token_refreshes_total{{{MAIL}, outcome="refreshed"}}': "0+80x600",
            f'token_refreshes_total{{{MAIL}, outcome="EntraReconnect"}}': "0+20x600",
        },
        50,
        OF_MAIL,
        {
            f'token_refreshes_total{{{MAIL}, outcome="refreshed"}}': "0+98x600",
            f'token_refreshes_total{{{MAIL}, outcome="EntraReconnect"}}': "0+2x600",
        },
    ),
    "ProspoThrottled": (
        {
            f'graph_requests_total{{{MAIL}, status="429"}}': "0+20x600",
            f'graph_requests_total{{{MAIL}, status="200"}}': "0+80x600",
            f"graph_throttled_total{{{MAIL}}}": "0+20x600",
        },
        65,
        OF_MAIL,
        {
            f'graph_requests_total{{{MAIL}, status="200"}}': "0+80x600",
            f"graph_throttled_total{{{MAIL}}}": "0+1x600",
        },
    ),
    "ProspoStorageStopped": (
        {f'readiness_verdicts{{{MAIL}, capability="storage_write", verdict="action_needed"}}': "1x600"},
        61,
        {"capability": "storage_write"},
        {
            f'readiness_verdicts{{{MAIL}, capability="storage_write", verdict="ready"}}': "5x600",
            f'readiness_verdicts{{{MAIL}, capability="licences", verdict="action_needed"}}': "1x600",
        },
    ),
    "ProspoCredentialEnds": (
        {f'client_credential_left_seconds{{{MAIL}, credential="first"}}': "864000-60x600"},
        61,
        {"credential": "first"},
        {f'client_credential_left_seconds{{{MAIL}, credential="first"}}': "8640000-60x600"},
    ),
}


@pytest.fixture
def rules(render: Render) -> dict[str, Json]:
    (made,) = render(values=EVERYTHING).of("PrometheusRule")
    return {rule["alert"]: rule for rule in made["spec"]["groups"][0]["rules"]}


def check(rules: dict[str, Json], tests: list[Json], folder: Path) -> None:
    groups = {"groups": [{"name": "prospo", "rules": [rules[name] for name in sorted(rules)]}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups))
    (folder / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    said = subprocess.run([str(PROMTOOL), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_each_alert_fires_for_its_cause_alone(rules: dict[str, Json], tmp_path: Path) -> None:
    """Neither for what is still well nor for another release's trouble."""
    assert set(CASES) == set(rules)
    tests: list[Json] = []
    for name, (bad, minutes, labels, well) in CASES.items():
        rule = rules[name]
        fired = {"exp_labels": labels | rule["labels"], "exp_annotations": rule["annotations"]}
        elsewhere = {series.replace('"there"', '"elsewhere"'): values for series, values in bad.items()}
        for series, expected in ((bad, [fired]), (well, []), (elsewhere, [])):
            tests.append(
                {
                    "interval": "1m",
                    "name": name,
                    "input_series": [{"series": one, "values": values} for one, values in series.items()],
                    "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": expected}],
                }
            )
    check(rules, tests, tmp_path)


def test_an_alert_waits_for_its_time(rules: dict[str, Json], tmp_path: Path) -> None:
    tests: list[Json] = []
    for name in ("ProspoRecordsParked", "ProspoTargetDown", "ProspoConsumerStopped"):
        series = [{"series": one, "values": values} for one, values in CASES[name][0].items()]
        early = [{"eval_time": "0m", "alertname": name, "exp_alerts": []}]
        tests.append({"interval": "1m", "name": name, "input_series": series, "alert_rule_test": early})
    check(rules, tests, tmp_path)


def test_each_alert_has_its_page_and_measures_what_services_measure(rules: dict[str, Json]) -> None:
    headings = {line[3:].lower() for line in RUNBOOKS.read_text().splitlines() if line.startswith("## ")}
    assert {name.lower() for name in rules} == headings - {"objectives"}
    for name, rule in rules.items():
        assert rule["annotations"]["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"
        for measured in set(re.findall(r"\b(\w+)\{", rule["expr"])):
            plain = re.sub(r"_(seconds(_bucket|_count)?|total)$", "", measured)
            assert name in OUTSIDE or measured.startswith(HTTP) or hasattr(metrics, plain), (name, measured)


def test_the_composed_platform_has_the_charts_alerts(render: Render) -> None:
    (made,) = render("monitoring.rules=true").of("PrometheusRule")
    composed = yaml.safe_load((RUNBOOKS.parents[2] / "deploy/compose/observe/alerts.yaml").read_text())
    for rule in made["spec"]["groups"][0]["rules"]:
        rule["expr"] = rule["expr"].replace('namespace="there"', 'namespace="composed"')
    by_name = [sorted(one, key=str) for one in (composed["groups"][0]["rules"], made["spec"]["groups"][0]["rules"])]
    assert by_name[0] == by_name[1]
