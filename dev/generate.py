"""``make generate``: the files made from the code. ``--check`` says which are stale and changes nothing."""

import ast
import json
import sys
from pathlib import Path

from shared.events import ALL, Event

ROOT = Path(__file__).resolve().parent.parent
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


def generated() -> dict[Path, str]:
    """Path → content of every generated file."""
    files = {ROOT / "docs/events.md": events_page()}
    for topic, event in ALL.items():
        schema = event.model_json_schema(mode="serialization") | {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:prospo:m365:{topic}:v1",
        }
        path = ROOT / "contracts/events" / f"{topic}.v1.schema.json"
        files[path] = json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return files


def stale() -> list[str]:
    """The generated files that differ from what the code says now."""
    return [
        str(path.relative_to(ROOT))
        for path, content in generated().items()
        if not path.exists() or path.read_text() != content
    ]


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        sys.exit("Stale, run `make generate`: " + ", ".join(stale()) if stale() else 0)
    for path, content in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
