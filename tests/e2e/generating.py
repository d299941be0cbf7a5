"""Generated requests against public operations, and what every answer to them is checked for."""

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from schemathesis.transport.requests import ManagedCookiesSession

from .conftest import ROOT

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


def ask_everything(service: str, url: str, headers: dict[str, str]) -> None:
    """Every operation of the service's description: no 5xx, and what comes back is what OpenAPI says."""
    document = json.loads((ROOT / "contracts/openapi" / f"{service}.json").read_text())
    schema = schemathesis.openapi.from_dict(document)
    session = ManagedCookiesSession()  # one connection; without it each request looks for a proxy and opens its own
    session.trust_env = False
    session.headers.clear()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=url, session=session, headers=headers, checks=CHECKS)

        ask()
