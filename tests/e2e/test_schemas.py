"""Generated requests against every public operation: no 5xx, and what comes back is what OpenAPI says."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from .conftest import ROOT, RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EXAMPLES = 25
DOCUMENTS = sorted(path.stem for path in (ROOT / "contracts/openapi").glob("*.json"))


def success_is_described(_context: Any, response: Any, case: Any) -> None:
    """schemathesis takes every status for described where refusals are by ``default``."""
    if response.status_code < 400:
        described = case.operation.definition.raw["responses"]
        assert str(response.status_code) in described, f"{response.status_code} is not among {sorted(described)}"
        headers = {name.lower() for name in described[str(response.status_code)].get("headers", {})}
        assert headers <= {name.lower() for name in response.headers}


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, success_is_described]


@pytest.fixture(scope="module")
def described() -> Iterator[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="prospo-run-"))
    platform = RunningPlatform(folder)
    try:
        yield platform.start()
    finally:
        platform.end()


@pytest.fixture(scope="module")
def admin(described: dict[str, Any]) -> dict[str, str]:
    answer = httpx.post(
        described["simulator_url"] + "/prospo-issuer/token", json={"persona": "acme-admin"}, trust_env=False
    )
    return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


@pytest.mark.parametrize("service", DOCUMENTS)
def test_generated_requests_are_answered_as_described(
    service: str, described: dict[str, Any], admin: dict[str, str]
) -> None:
    document = json.loads((ROOT / "contracts/openapi" / f"{service}.json").read_text())
    schema = schemathesis.openapi.from_dict(document)
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=described["url"], headers=admin, checks=CHECKS)

        ask()
