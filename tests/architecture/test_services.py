"""``services.toml`` says what is so."""

import re
from pathlib import Path

from dev.services import described

ROOT = Path(__file__).resolve().parents[2]


def test_every_service_is_described() -> None:
    assert set(described()) == {
        path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists()
    }


def test_a_service_with_migrations_is_said_to_have_a_database() -> None:
    has = {path.parts[-4] for path in (ROOT / "services").glob("*/src/*/migrations")}
    assert {name for name, service in described().items() if service.database} == has


def test_the_switches_are_those_that_a_service_reads() -> None:
    for name, service in described().items():
        source = "".join(path.read_text() for path in (ROOT / "services" / name / "src").rglob("*.py"))
        assert set(service.switches) == set(re.findall(r'^SWITCH: Switch = "(\w+)"', source, re.MULTILINE)), name


def test_no_prefix_of_a_route_leads_to_two_services() -> None:
    routes = [prefix for service in described().values() for prefix in service.routes]
    assert sorted(set(routes)) == sorted(routes)
    assert [prefix for prefix in routes if not re.fullmatch(r"/v1/[a-z-]+", prefix)] == []


def test_only_services_call_internal_routes() -> None:
    for service in described().values():
        for route, callers in service.internal.items():
            assert re.fullmatch(r"POST /internal/[a-z-]+", route)
            assert set(callers) <= set(described()) - {service.name}
