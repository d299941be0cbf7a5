"""What other teams rely on: every event has an example that the schema and today's class accept."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from shared.events import ALL
from shared.outbox import EventMeta, Outbox

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
ASYNCAPI: dict[str, Any] = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
CAUSE = EventMeta("e1", "meeting.ended", "acme:m1", datetime.now(UTC), "acme", 3, "c1", traceparent="00-1-1-01")


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
    assert set(ASYNCAPI["channels"]) == {*ALL, "dlq"}
    for topic, event in ALL.items():
        message = ASYNCAPI["channels"][topic]["messages"][event.__name__]
        assert (CONTRACTS / message["payload"]["schema"]["$ref"]).exists()


def described(topic: str, message: str, headers: dict[str, str]) -> list[str]:
    """What is wrong with the headers: missing, or not in the AsyncAPI document."""
    name = ASYNCAPI["channels"][topic]["messages"][message]["headers"]["$ref"].split("/")[-1]
    schema = ASYNCAPI["components"]["schemas"][name] | {"additionalProperties": False}
    return [error.message for error in Draft202012Validator(schema).iter_errors(headers)]


@pytest.mark.parametrize("cause", [None, CAUSE], ids=["first", "caused"])
@pytest.mark.parametrize("topic", sorted(ALL))
def test_an_event_is_published_with_the_described_headers_and_key(topic: str, cause: EventMeta | None) -> None:
    event, outbox = ALL[topic].model_validate(example(topic)), Outbox(source=ALL[topic].emitter, cause=cause)
    outbox.add(event)
    (row,) = outbox.rows
    headers = json.loads(row.headers)
    assert described(topic, type(event).__name__, headers) == []
    assert ("ce_causationid" in headers, headers["ce_subject"]) == (cause is not None, row.key)
    key = ASYNCAPI["channels"][topic]["messages"][type(event).__name__]["bindings"]["kafka"]["key"]["description"]
    assert row.key == key.split("`")[1].format(**example(topic))


@pytest.mark.parametrize("topic", sorted(topic for topic in ALL if topic.endswith(".state")))
def test_a_tombstone_is_published_with_the_described_headers_on_a_compacted_topic(topic: str) -> None:
    outbox = Outbox(source=ALL[topic].emitter)
    outbox.bury(ALL[topic], "acme", "acme:anna")
    (row,) = outbox.rows
    assert described(topic, f"{ALL[topic].__name__}Tombstone", json.loads(row.headers)) == []
    assert row.payload == b""
    assert ASYNCAPI["channels"][topic]["bindings"]["kafka"]["topicConfiguration"] == {"cleanup.policy": ["compact"]}
