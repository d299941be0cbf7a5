"""What other teams rely on: every event has an example that the schema and today's class accept."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from shared.events import ALL

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


def example(topic: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / "examples" / f"{topic}.v1.json").read_text())
    return found


def validator(topic: str) -> Draft202012Validator:
    schema = json.loads((CONTRACTS / "events" / f"{topic}.v1.schema.json").read_text())
    return Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.mark.parametrize("topic", sorted(ALL))
def test_the_example_fits_the_schema_and_is_read_without_loss(topic: str) -> None:
    assert list(validator(topic).iter_errors(example(topic))) == []
    assert json.loads(ALL[topic].model_validate(example(topic)).model_dump_json()) == example(topic)


@pytest.mark.parametrize("topic", sorted(ALL))
def test_an_older_consumer_reads_a_newer_event(topic: str) -> None:
    newer = example(topic) | {"added_later": {"deep": [1, 2]}}
    assert ALL[topic].model_validate(newer) == ALL[topic].model_validate(example(topic))
    assert list(validator(topic).iter_errors(newer)) == []


@pytest.mark.parametrize("topic", sorted(ALL))
def test_a_missing_organisation_is_refused_by_schema_and_class(topic: str) -> None:
    broken = {name: value for name, value in example(topic).items() if name != "org_id"}
    assert list(validator(topic).iter_errors(broken))
    with pytest.raises(ValueError, match="org_id"):
        ALL[topic].model_validate(broken)


def test_asyncapi_names_every_topic_and_existing_schemas() -> None:
    document = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
    assert set(document["channels"]) == set(ALL)
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            assert (CONTRACTS / message["payload"]["schema"]["$ref"]).exists()
