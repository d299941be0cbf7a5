"""What other teams rely on: every event has an example that the schema and today's class accept."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from shared.database.housekeeping import INBOX_KEEP_S
from shared.database.outbox import EventMeta, Outbox
from shared.events import ALL
from shared.events.tenant import Capability
from tenant_connector.readiness.verdicts import AFFECTS

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
ASYNCAPI: dict[str, Any] = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
CAUSE = EventMeta("e1", "meeting.ended", "acme:m1", datetime.now(UTC), "acme", 3, "c1", traceparent="00-1-1-01")


STATES = sorted(topic for topic in ALL if topic.endswith(".state"))
PERSONAL = {
    "addresses": "direct",
    "attendees": "direct",
    "changed_by": "pseudonym",
    "email": "direct",
    "join_url": "direct",
    "name": "direct",
    "oid": "pseudonym",
    "online_meeting_id": "pseudonym",
    "organizer_oid": "pseudonym",
    "speakers": "direct",
    "subject": "direct",
    "user_id": "pseudonym",
}
"""Every name of a field that is about a person, wherever it stands."""


def record(name: str) -> dict[str, Any]:
    """A Kafka record as other teams read of it: key, headers, value."""
    found: dict[str, Any] = json.loads((CONTRACTS / "examples" / f"{name}.json").read_text())
    return found


def example(topic: str) -> dict[str, Any]:
    value: dict[str, Any] = record(f"{topic}.v1")["value"]
    return value


def schema_of(topic: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / "events" / f"{topic}.v1.schema.json").read_text())
    return found


def fields(topic: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Name, schema and value in the example of every field, of parts too."""
    schema = schema_of(topic)
    for name, said in schema["properties"].items():
        yield name, said, example(topic).get(name)
    for part in schema.get("$defs", {}).values():
        for name, said in part["properties"].items():
            yield name, said, None


def inside(said: Any, name: str) -> list[Any]:
    """Every value under this name in a schema."""
    if isinstance(said, list):
        return [found for one in said for found in inside(one, name)]
    if not isinstance(said, dict):
        return []
    here = [said[name]] if name in said else []
    return here + [found for one in said.values() for found in inside(one, name)]


def validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(topic), format_checker=FormatChecker())


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
    assert unlike(record(f"{topic}.v1"), row.key, headers) == set()


@pytest.mark.parametrize("topic", STATES)
def test_a_tombstone_is_published_with_the_described_headers(topic: str) -> None:
    shown, outbox = record(f"{topic}.v1.tombstone"), Outbox(source=ALL[topic].emitter)
    outbox.bury(ALL[topic], "acme", shown["key"])
    (row,) = outbox.rows
    headers = json.loads(row.headers)
    assert described(topic, f"{ALL[topic].__name__}Tombstone", headers) == []
    assert (row.payload, shown["value"], unlike(shown, row.key, headers)) == (b"", None, set())


def unlike(shown: dict[str, Any], key: str, headers: dict[str, str]) -> set[str]:
    """In what an example differs from a published record: ids, time and cause are another's in each."""
    own = {"ce_id", "ce_time", "ce_correlationid", "ce_causationid", "traceparent"}
    wrong = {
        name
        for name in (shown["headers"].keys() | headers.keys()) - own
        if shown["headers"].get(name) != headers.get(name)
    }
    return wrong | ({"key"} if shown["key"] != key else set())


@pytest.mark.parametrize("topic", sorted(ALL))
def test_every_field_is_described_and_says_whether_it_is_personal(topic: str) -> None:
    for name, said, _ in fields(topic):
        assert said.get("description", "").endswith("."), name
        assert "title" not in said
        assert {*inside(said, "x-personal-data")} == ({PERSONAL[name]} if name in PERSONAL else set()), name
    assert "aggregate_version" in schema_of(topic)["required"]


@pytest.mark.parametrize("topic", sorted(ALL))
def test_an_example_holds_known_values_which_its_emitter_can_publish(topic: str) -> None:
    source = source_of(ALL[topic].emitter)
    for name, said, shown in fields(topic):
        values = {value for known in inside(said, "enum") for value in known}
        assert not values or shown is None or shown in values, name
        passed_on = source_of("recording-ingest") if name == "code" and topic == "meeting.state" else ""
        sources = source + passed_on
        assert {value for value in values if f'"{value}"' not in sources} <= TO_COME_VALUES, name


def test_the_boards_capabilities_are_those_of_the_contract() -> None:
    assert set(AFFECTS) == set(get_args(Capability))


TO_COME_VALUES = {"call_event"}
"""Settled, and nobody emits it yet."""


def source_of(service: str) -> str:
    """The source of its own modules, and of those whose codes it passes on."""
    root = Path(__file__).resolve().parents[2]
    passed_on = [
        root / "shared/src/shared/connections/obstacles.py",
        root / "shared/src/shared/subscriptions/leaving.py",
        root / "services/meetings/src/meetings/leaving.py",
    ]
    return "".join(path.read_text() for path in [*passed_on, *sorted(root.glob(f"services/{service}/src/**/*.py"))])


def test_a_consumer_reads_a_value_that_it_does_not_know() -> None:
    newer = example("tenant.readiness_changed") | {"verdict": "added_later"}
    assert ALL["tenant.readiness_changed"].model_validate(newer).model_dump()["verdict"] == "added_later"
    assert list(validator("tenant.readiness_changed").iter_errors(newer)) == []


def test_state_topics_keep_their_newest_and_their_tombstones() -> None:
    for topic in ALL:
        kept = ASYNCAPI["channels"][topic]["bindings"]["kafka"]["topicConfiguration"]
        if topic in STATES:
            assert (kept["cleanup.policy"], kept["max.compaction.lag.ms"] <= 24 * 3600 * 1000) == (["compact"], True)
            assert kept["delete.retention.ms"] >= 14 * 24 * 3600 * 1000
        else:
            assert (kept["cleanup.policy"], kept["retention.ms"] / 1000 < INBOX_KEEP_S) == (["delete"], True)
