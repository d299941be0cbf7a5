"""``docs/events.md`` and what other teams read of the events: JSON schemas and the AsyncAPI document."""

import ast
import json
from pathlib import Path
from typing import Any

import yaml

from shared.events import ALL, Event

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- made by `make generate` -->"


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
        elif isinstance(node, ast.Call) and (event := _event_of(node.func)):
            pairs.append((event, ast.unparse(node.args[0])))
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
    return " ".join((event.__doc__ or "").split("\n\n")[0].split())


def schema(topic: str, event: type[Event]) -> dict[str, Any]:
    """The JSON schema of the event's data."""
    return event.model_json_schema(mode="serialization") | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:prospo:m365:{topic}:v1",
    }


def schema_file(topic: str, event: type[Event]) -> str:
    return json.dumps(schema(topic, event), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def asyncapi() -> str:
    """AsyncAPI 3.0: a channel, a message and an operation per topic; payloads are the schema files."""
    names = {topic: event.__name__ for topic, event in ALL.items()}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Microsoft 365 for Prospo: integration events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in binary mode on Kafka. At least once; order per key within a topic.",
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, ALL[topic]) for topic in sorted(ALL)},
        "operations": {
            f"receive{names[topic]}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic}"}}
            for topic in sorted(ALL)
        },
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _channel(topic: str, event: type[Event]) -> dict[str, Any]:
    message = {
        "name": event.__name__,
        "summary": _summary(event),
        "headers": {"type": "object", "required": _HEADERS, "properties": {n: {"type": "string"} for n in _HEADERS}},
        "payload": {"schemaFormat": "application/schema+json", "schema": {"$ref": f"events/{topic}.v1.schema.json"}},
    }
    return {
        "address": topic,
        "title": f"emitted by {event.emitter}",
        "messages": {event.__name__: message},
        "bindings": {"kafka": {"topic": topic}},
    }


_HEADERS = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_orgid", "ce_aggregateversion"]
