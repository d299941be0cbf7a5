"""``compose.yaml``: every service of ``services.toml``, each with its own keys and nothing of another."""

from typing import Any

import yaml

from dev.services import ROOT, SERVICES, described

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


def test_only_the_gateway_the_simulator_and_kafka_are_reached_from_this_machine() -> None:
    opened = {name: one["ports"] for name, one in COMPOSED.items() if "ports" in one}
    assert set(opened) == {"gateway", "simulator", "kafka"}
    assert [port for ports in opened.values() for port in ports if not port.startswith("127.0.0.1:")] == []
