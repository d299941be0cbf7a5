"""``docs/events.md`` and what other teams read of the events: JSON schemas and the AsyncAPI document."""

import ast
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from shared.bus.topics import settings_of
from shared.events import ALL, Event, schema_id

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- made by `make generate` -->"


_OF_CONNECTIONS = {"keep", "follow"}
"""Functions of ``shared.connections`` that register handlers of both state topics."""


def handlers_by_event() -> dict[str, list[str]]:
    """Event class name → ``service: handler`` of everything in a ``handlers.py``, read without importing it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "services").glob("*/src/*/handlers.py")):
        service = path.relative_to(ROOT / "services").parts[0]
        for event, handler in _registrations(ast.parse(path.read_text())):
            found.setdefault(event, []).append(f"{service}: `{handler}`")
    return found


def _registrations(tree: ast.Module) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            pairs += [(event, node.name) for decorator in node.decorator_list if (event := _event_of(decorator))]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _OF_CONNECTIONS:
            pairs += [(event, f"{node.func.id}_connections") for event in ("TenantState", "UserState")]
    return pairs


def _event_of(node: ast.AST) -> str | None:
    """``MeetingEnded`` of the expression ``on(MeetingEnded)``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "on" and node.args:
        return ast.unparse(node.args[0])
    return None


def events_page() -> str:
    handlers = handlers_by_event()
    lines = [
        "# Events",
        "",
        NOTE,
        "",
        "Topic = event type. CloudEvents 1.0, binary mode. Schemas are in `contracts/events/`.",
        "",
        "| event | what happened | emitted by | handled by |",
        "|---|---|---|---|",
    ]
    for topic, event in sorted(ALL.items()):
        handled = ", ".join(handlers.get(event.__name__, [])) or "–"
        lines.append(f"| `{topic}` | {_summary(event)} | {event.emitter} | {handled} |")
    return "\n".join(lines) + "\n"


def _summary(event: type[Event]) -> str:
    return " ".join((event.__doc__ or "").split())


def schema(topic: str, event: type[Event]) -> dict[str, Any]:
    """The JSON schema of the event's data."""
    return event.model_json_schema(mode="serialization", schema_generator=_WithoutTitles) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_id(topic),
    }


class _WithoutTitles(GenerateJsonSchema):
    """A title on every property gives each a type of its own in generated code."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_file(topic: str, event: type[Event]) -> str:
    return json.dumps(schema(topic, event), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def asyncapi() -> str:
    """AsyncAPI 3.0: a channel, its messages and an operation per topic; payloads are the schema files."""
    names = {topic: event.__name__ for topic, event in ALL.items()}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Microsoft 365 for Prospo: integration events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in binary mode on Kafka. At least once; order per key within a topic.",
        },
        "servers": {
            "run": {"host": "localhost:9092", "protocol": "kafka", "description": "Of `make run`."},
            "composed": {"host": "localhost:9094", "protocol": "kafka", "description": "Of `make up`."},
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, ALL[topic]) for topic in sorted(ALL)} | {"dlq": _dead_letters()},
        "operations": {
            f"receive{names[topic]}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic}"}}
            for topic in sorted(ALL)
        },
        "components": {"schemas": {"Event": _headers(_EVENT), "Tombstone": _headers(_TOMBSTONE)}},
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _channel(topic: str, event: type[Event]) -> dict[str, Any]:
    message = {
        "name": event.__name__,
        "summary": _summary(event),
        "headers": {"$ref": "#/components/schemas/Event"},
        "payload": {"schemaFormat": "application/schema+json", "schema": {"$ref": f"events/{topic}.v1.schema.json"}},
        "bindings": _keyed(event),
        "examples": [_example(f"{topic}.v1.json")],
    }
    state = topic.endswith(".state")
    tombstone = {
        "name": f"{event.__name__}Tombstone",
        "summary": "The aggregate was erased: delete what is held under its key, its version too.",
        "headers": {"$ref": "#/components/schemas/Tombstone"},
        "payload": {"type": "null"},
        "bindings": _keyed(event),
        "examples": [_example(f"{topic}.v1.tombstone.json")] if state else [],
    }
    return {
        "address": topic,
        "title": f"emitted by {event.emitter}",
        "messages": {event.__name__: message} | ({tombstone["name"]: tombstone} if state else {}),
        "bindings": {"kafka": {"topic": topic, "topicConfiguration": _kept(topic), "bindingVersion": "0.5.0"}},
    }


def _example(name: str) -> dict[str, Any]:
    record = json.loads((ROOT / "contracts/examples" / name).read_text())
    return {"headers": record["headers"], "payload": record["value"]}


def _kept(topic: str) -> dict[str, Any]:
    return {name: [value] if name == "cleanup.policy" else value for name, value in settings_of(topic).items()}


def _keyed(event: type[Event]) -> dict[str, Any]:
    """The key of an event whose fields hold their names is ``{org_id}:{meeting_id}``."""
    names: dict[str, Any] = {name: f"{{{name}}}" for name in event.model_fields}
    key = event.model_construct(**names).key
    return {"kafka": {"key": {"type": "string", "description": f"`{key}`, the aggregate."}}}


def _dead_letters() -> dict[str, Any]:
    services = sorted({handled.split(":")[0] for found in handlers_by_event().values() for handled in found})
    added = {
        "dlq_topic": {"type": "string", "description": "Where the record was read."},
        "dlq_reason": {"type": "string", "description": "Why it was not handled."},
    }
    message = {
        "name": "DeadLetter",
        "summary": "A record that the service could not handle, with its key, headers and value as they came.",
        "headers": {"type": "object", "required": sorted(added), "properties": added},
        "payload": {},
    }
    return {
        "address": "dlq.{service}",
        "title": "emitted by each service that handles events",
        "parameters": {"service": {"enum": services, "description": "Who could not handle it."}},
        "messages": {"DeadLetter": message},
        "bindings": {"kafka": {"topicConfiguration": _kept("dlq."), "bindingVersion": "0.5.0"}},
    }


def _headers(required: dict[str, str]) -> dict[str, Any]:
    words = required | _SOMETIMES
    properties = {name: {"type": "string", "description": says} for name, says in words.items()}
    return {"type": "object", "required": list(required), "properties": properties}


_TOMBSTONE = {
    "ce_specversion": "1.0",
    "ce_id": "UUIDv7, the same in every delivery.",
    "ce_type": "`com.prospo.m365.<topic>.v1`",
    "ce_source": "`/<service>`",
    "ce_time": "When it happened, RFC 3339.",
    "ce_subject": "The aggregate, as in the key.",
    "ce_orgid": "The organisation.",
    "ce_partitionkey": "The key.",
    "ce_correlationid": "The chain: the `ce_id` of its first event, or the id of the request with a notification.",
}
_EVENT = _TOMBSTONE | {
    "ce_aggregateversion": "A number; comparable with others of one `ce_source` under one key.",
    "ce_dataschema": "The `$id` of the JSON Schema of the data.",
    "content-type": "application/json",
}
_SOMETIMES = {
    "ce_causationid": "The `ce_id` of the event that led to this one.",
    "traceparent": "W3C trace context of what the event comes from.",
}
