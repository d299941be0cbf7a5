"""What the chart renders, and what it refuses. The cluster stage installs it (.ci/cluster)."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dev.generated.chart import camel
from dev.services import ROUTES, SERVICES, described
from shared.bus.topics import settings_of
from shared.events import ALL

from .conftest import CHART, EVERYTHING, HELM, SMALLEST, Json, Render

pytestmark = [
    pytest.mark.chart,
    pytest.mark.skipif(HELM is None, reason="needs Helm: put it on the path or name it in PROSPO_HELM"),
]
Refused = Callable[..., str]
BOTH = pytest.mark.parametrize("values", [SMALLEST, EVERYTHING], ids=["smallest", "everything"])


def container(pod: Json) -> Json:
    (found,) = pod["containers"]
    return dict(found)


def selected(policy: Json) -> str:
    return str(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"])


def test_the_chart_says_what_it_is() -> None:
    said = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert said["apiVersion"] == "v2"
    assert {"type", "kubeVersion", "appVersion", "icon", "maintainers"} <= set(said)


def test_the_schema_is_closed_and_needs_no_network() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [ref for ref in re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)) if not ref.startswith("#/")] == []
    assert schema["additionalProperties"] is False
    Draft202012Validator(schema).validate(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("unknown=1", "unknown"),
        ("defaults.replicas=-1", "replicas"),
        ("defaults.autoscaling.mode=vpa", "mode"),
        ("kafka.bootstrapServers=kafka", "bootstrapServers"),
        ("platform.issuer=not an address", "issuer"),
        ("kafka.authentication=kerberos", "authentication"),
        ("kafka.tls=perhaps", "tls"),
        ("services.recordingIngest.worker.replicas=many", "replicas"),
        ("services.recordingIngest.image.digest=sha256:short", "digest"),
        ("services.unknown.enabled=true", "services.unknown is no service"),
        ("platform.publicUrl=", "Set platform.publicUrl"),
        ("secrets.database=", "Set secrets.database"),
        ("secrets.database=one", "Put {service} into secrets.database"),
        ("kafka.userSecret=", "Set kafka.userSecret"),
        ("storage.objectStoreUrl=", "Set storage.objectStoreUrl or storage.existingClaim"),
        ("kafka.strimzi.enabled=true", "Set kafka.strimzi.cluster"),
        ("httpRoute.enabled=true", "Set httpRoute.parentRefs"),
        ("ingress.enabled=true", "Set ingress.host"),
        ("services.meetings.worker.autoscaling.mode=keda", "Set services.meetings.worker.autoscaling.connectionSecret"),
        ("services.meetings.api.autoscaling.minReplicas=9", "services.meetings.api.autoscaling.minReplicas"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(refused: Refused, given: str, named: str) -> None:
    assert named in refused(given)


def test_more_workers_than_partitions_are_refused(refused: Refused) -> None:
    worker = "services.meetings.worker.autoscaling"
    assert "12 partitions" in refused(f"{worker}.mode=hpa", f"{worker}.maxReplicas=13")


@BOTH
def test_every_object_is_labelled_and_in_the_namespace(render: Render, values: Any) -> None:
    for one in render(values=values).objects:
        about = one["metadata"]
        assert len(about["name"]) <= 63
        if about["name"].endswith("-extra"):
            continue  # of the values, as it is
        assert about["namespace"] == "there", about
        labels = about["labels"]
        assert labels["app.kubernetes.io/part-of"] == "prospo-m365"
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version"} <= set(labels)


def test_selectors_have_only_labels_that_never_change(render: Render) -> None:
    for one in render().of("Deployment"):
        wanted = one["spec"]["selector"]["matchLabels"]
        assert set(wanted) == {f"app.kubernetes.io/{part}" for part in ("part-of", "name", "instance", "component")}
        assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()


def test_two_releases_in_one_namespace_share_nothing(render: Render) -> None:
    one, other = ({(o["kind"], o["metadata"]["name"]) for o in render(release=name).objects} for name in ("a", "b"))
    assert one & other == set()


def test_every_service_has_its_workloads_and_may_be_off(render: Render) -> None:
    everything = {o["metadata"]["name"] for o in render().of("Deployment")}
    for name, service in described().items():
        mine = {f"prospo-prospo-m365-{name}"} | ({f"prospo-prospo-m365-{name}-worker"} if service.database else set())
        assert mine <= everything
        off = render(f"services.{camel(name)}.enabled=false")
        assert not mine & {o["metadata"]["name"] for o in off.objects}


def test_an_image_has_registry_tag_and_digest(render: Render) -> None:
    image = "services.meetings.image"
    digest = "sha256:" + "a" * 64
    for given, said in {
        (): "prospo-m365/meetings:0.1.0",
        ("image.registry=r.example", "image.tag=v2"): "r.example/prospo-m365/meetings:v2",
        (f"{image}.tag=v3",): "prospo-m365/meetings:v3",
        (f"{image}.tag=v3", f"{image}.digest={digest}"): f"prospo-m365/meetings@{digest}",
    }.items():
        found = container(render(*given).named("Deployment", "-meetings")["spec"]["template"]["spec"])
        assert found["image"] == said
        assert found["imagePullPolicy"] == "IfNotPresent"


def test_the_ingestion_scales_alone(render: Render) -> None:
    before, after = render(), render("services.recordingIngest.worker.replicas=7")
    changed = [o["metadata"]["name"] for o, p in zip(before.objects, after.objects, strict=True) if o != p]
    assert changed == ["prospo-prospo-m365-recording-ingest-worker"]


def test_a_workload_is_scaled_in_one_way(render: Render) -> None:
    for mode, kinds in {"none": set(), "hpa": {"HorizontalPodAutoscaler"}, "keda": {"ScaledObject"}}.items():
        scaling = "services.recordingIngest.worker.autoscaling"
        made = render(f"{scaling}.mode={mode}", f"{scaling}.connectionSecret=s", f"{scaling}.scaleDownSeconds=77")
        assert {kind for kind in ("HorizontalPodAutoscaler", "ScaledObject") if made.of(kind)} == kinds
        assert ("replicas" in made.named("Deployment", "-recording-ingest-worker")["spec"]) == (mode == "none")
        for one in [one for kind in kinds for one in made.of(kind)]:
            assert '"stabilizationWindowSeconds": 77' in json.dumps(one)


def test_keda_scales_between_one_and_the_partitions(render: Render) -> None:
    (one,) = render(values=EVERYTHING).of("ScaledObject")
    assert 1 <= one["spec"]["minReplicaCount"] <= one["spec"]["maxReplicaCount"] <= 12
    assert one["spec"]["fallback"]["replicas"] >= 1
    assert one["spec"]["triggers"][0]["authenticationRef"]


def test_more_than_one_pod_is_moved_one_at_a_time(render: Render) -> None:
    budgets = render().of("PodDisruptionBudget")
    assert len(budgets) == len(render().of("Deployment"))
    for one in budgets:
        assert one["spec"]["maxUnavailable"] == 1
        assert one["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert render("defaults.replicas=1").of("PodDisruptionBudget") == []


def test_pods_are_spread_and_placed(render: Render) -> None:
    pod = render("defaults.nodeSelector.a=b", "defaults.tolerations[0].key=k", "defaults.priorityClassName=p").named(
        "Deployment", "-mail"
    )["spec"]["template"]["spec"]
    assert (pod["nodeSelector"], pod["tolerations"], pod["priorityClassName"]) == ({"a": "b"}, [{"key": "k"}], "p")
    keys = {one["topologyKey"]: one["whenUnsatisfiable"] for one in pod["topologySpreadConstraints"]}
    assert keys == dict.fromkeys(["topology.kubernetes.io/zone", "kubernetes.io/hostname"], "ScheduleAnyway")


@BOTH
def test_every_pod_is_restricted(render: Render, values: Any) -> None:
    for one, pod in render(values=values).pods():
        who = one["metadata"]["name"]
        known = pod["securityContext"]
        assert known["runAsNonRoot"] is True, who
        assert known["runAsUser"] == known["runAsGroup"] == known["fsGroup"] == 10001
        assert known["fsGroupChangePolicy"] == "OnRootMismatch"
        assert known["seccompProfile"] == {"type": "RuntimeDefault"}
        own = container(pod)["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}} in pod["volumes"]


def test_nothing_is_allowed_to_ask_the_cluster(render: Render) -> None:
    made = render(values=EVERYTHING)
    assert [
        o["kind"] for o in made.objects if o["kind"] in {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    ] == []
    assert [o for o in made.of("ServiceAccount") if o["automountServiceAccountToken"] is not False] == []
    accounts = {o["spec"]["template"]["spec"]["serviceAccountName"] for o in made.of("Deployment")}
    assert accounts == {o["metadata"]["name"] for o in made.of("ServiceAccount")}


def test_memory_is_limited_to_what_is_asked_for(render: Render) -> None:
    for _, pod in render().pods():
        asked = container(pod)["resources"]
        assert asked["limits"] == {"memory": asked["requests"]["memory"]}
        assert asked["requests"]["cpu"]


def test_probes_ask_what_they_are_for(render: Render) -> None:
    for name, port in [
        (name + part, port) for name in SERVICES for part, port in (("", "http"), ("-worker", "health"))
    ]:
        asked = container(render().named("Deployment", f"-{name}")["spec"]["template"]["spec"])
        for probe, path in {"startup": "live", "liveness": "live", "readiness": "ready"}.items():
            assert asked[f"{probe}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": port}
        assert port in [one["name"] for one in asked["ports"]]


def test_a_pod_is_given_time_to_stop(render: Render) -> None:
    for one in render().of("Deployment"):
        worker = one["metadata"]["name"].endswith("-worker")
        assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 15
        rolling = one["spec"]["strategy"]["rollingUpdate"]
        assert rolling == ({"maxUnavailable": 1, "maxSurge": 0} if worker else {"maxUnavailable": 0, "maxSurge": 1})


def test_another_setting_makes_other_pods(render: Render) -> None:
    def sums(*given: str) -> set[str]:
        made = render(*given).of("Deployment")
        return {o["spec"]["template"]["metadata"]["annotations"]["checksum/values"] for o in made}

    assert not sums() & sums("platform.settings.PROSPO_LOG_LEVEL=DEBUG")


def test_secrets_are_files_and_the_owners_are_for_migrations_only(render: Render) -> None:
    for one, pod in render().pods():
        assert "secretKeyRef" not in json.dumps(pod), one["metadata"]["name"]
        given = json.dumps(pod["volumes"])
        assert ("owner-uri" in given) == (one["kind"] == "Job"), one["metadata"]["name"]
        assert ("PROSPO_REQUEST_DATABASE_URL" in given) == ("PROSPO_DATABASE_URL" in given), one["metadata"]["name"]
        assert ("PROSPO_DATABASE_DIRECT_URL" in given) == ("PROSPO_DATABASE_URL" in given), one["metadata"]["name"]
    for name in SERVICES:
        pod = render().named("Deployment", f"-{name}")["spec"]["template"]["spec"]
        others = [f"prospo-{other}-" for other in SERVICES if other not in name]
        assert [other for other in others if other in json.dumps(pod["volumes"])] == []


@BOTH
def test_migrations_need_nothing_of_the_release(render: Render, values: Any) -> None:
    made = render(values=values)
    jobs = made.of("Job")
    own = {o["metadata"]["name"] for o in made.objects if o["kind"] in {"Secret", "ConfigMap", "ServiceAccount"}}
    for job in jobs:
        about = job["metadata"]["annotations"]
        assert about["helm.sh/hook"] == "pre-install,pre-upgrade"
        pod = job["spec"]["template"]["spec"]
        assert "serviceAccountName" not in pod
        assert {name for name in own if f'"{name}"' in json.dumps(pod)} == set()
        (wrong_setting,) = job["spec"]["podFailurePolicy"]["rules"]
        assert wrong_setting == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}
    assert render("migrations.mode=none").of("Job") == []


def test_kafka_has_a_topic_for_each_event_and_a_user_for_each_service(render: Render) -> None:
    made = render(values=EVERYTHING)
    topics = {one["spec"]["topicName"]: one for one in made.of("KafkaTopic")}
    assert set(topics) >= {topic for topic, event in ALL.items() if event.emitter in SERVICES}
    for topic, one in topics.items():
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert settings_of(topic).items() <= one["spec"]["config"].items()
        assert one["spec"]["config"]["min.insync.replicas"] < one["spec"]["replicas"]
    users = {one["metadata"]["name"]: one["spec"]["authorization"]["acls"] for one in made.of("KafkaUser")}
    assert set(users) == {f"prospo-{name}" for name in SERVICES}
    for name in SERVICES:
        rules = users[f"prospo-{name}"]
        written = {rule["resource"]["name"] for rule in rules if "Write" in rule["operations"]}
        assert written == {topic for topic, event in ALL.items() if event.emitter == name}
        groups = {rule["resource"]["name"] for rule in rules if rule["resource"]["type"] == "group"}
        assert groups <= {name}


def test_nothing_goes_in_or_out_but_what_is_needed(render: Render) -> None:
    made = render()
    policies = {
        selected(one): one
        for one in made.of("NetworkPolicy")
        if "app.kubernetes.io/name" in json.dumps(one["spec"]["podSelector"])
    }
    (everything,) = [one for one in made.of("NetworkPolicy") if one["metadata"]["name"] == "prospo-prospo-m365"]
    assert everything["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everything["spec"]
    assert "egress" not in everything["spec"]
    for name, service in described().items():
        rules = json.dumps(policies[name]["spec"])
        for callee, other in described().items():
            calls = name in {caller for callers in other.internal.values() for caller in callers}
            shows = name == "console" and bool(other.routes)
            assert (f'"app.kubernetes.io/name": "{callee}"' in json.dumps(policies[name]["spec"]["egress"])) == (
                calls or shows
            )
        assert ("0.0.0.0/0" in rules) == service.database
        if service.database:
            (out,) = [
                p
                for r in policies[name]["spec"]["egress"]
                for p in r.get("to", [])
                if p.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
            ]
            assert {"10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8"} <= set(out["ipBlock"]["except"])


def test_routes_lead_to_what_is_public_and_nothing_else(render: Render) -> None:
    made = render(values=EVERYTHING)
    (route,) = made.of("HTTPRoute")
    led: dict[str, str] = {}
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            backends = rule.get("backendRefs", [{"name": ""}])
            led[match["path"]["value"]] = backends[0]["name"].removeprefix("prospo-prospo-m365-")
    on = ROUTES | {}
    hooks = {
        f"/{name}/webhooks/graph": name for name, one in described().items() if one.webhooks and name in on.values()
    }
    nowhere = dict.fromkeys(["/internal", "/v1", "/health", "/webhooks", "/metrics"], "")
    assert led == on | hooks | nowhere | {"/": "console"}
    (ingress,) = made.of("Ingress")
    assert "internal" not in json.dumps(ingress)


def test_metrics_have_a_port_of_their_own_and_alerts_are_tuned(render: Render) -> None:
    off = json.dumps([pod for _, pod in render().pods()])
    assert "9090" not in off
    made = render("monitoring.alerts.jobsFailed.enabled=false", values=EVERYTHING)
    assert made.of("PodMonitor")
    (rules,) = made.of("PrometheusRule")
    alerts = {rule["alert"] for rule in rules["spec"]["groups"][0]["rules"]}
    assert "ProspoOutboxOld" in alerts
    assert "ProspoJobsFailed" not in alerts


def test_what_is_not_foreseen_can_be_added(render: Render) -> None:
    made = render(values=EVERYTHING)
    (extra,) = [o for o in made.of("ConfigMap") if o["metadata"]["name"] == "prospo-extra"]
    assert extra["data"] == {"a": "b"}
    one = made.named("Deployment", "-meetings")["spec"]["template"]
    assert one["metadata"]["labels"]["team"] == "prospo"
    assert {"name": "TZ", "value": "UTC"} in container(one["spec"])["env"]


def test_helm_test_asks_every_service_and_sends_an_event_round(render: Render) -> None:
    (pod,) = render().of("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    asked = {one["name"]: one.get("value") for one in container(pod["spec"])["env"]}
    assert sorted(str(asked["SERVICES"]).split()) == sorted(SERVICES)
