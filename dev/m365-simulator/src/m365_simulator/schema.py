"""Checks request bodies against the Graph v1.0 metadata: unknown properties and wrong types are refused."""

import functools
import json
from importlib import resources
from typing import Any


@functools.cache
def types() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("metadata-v1.0.json").read_text()
    found: dict[str, Any] = json.loads(text)["types"]
    return found


def properties(name: str) -> dict[str, str]:
    """Own and inherited properties of ``graph.x``, as name to type."""
    found: dict[str, str] = {}
    kind = types().get(name.replace("graph.", "microsoft.graph.", 1))
    while kind is not None:
        found = {**kind["properties"], **found}
        kind = types().get(kind.get("base", "").replace("graph.", "microsoft.graph.", 1))
    return found


def first_fault(body: Any, name: str) -> str | None:
    """What is wrong with ``body`` as ``name`` (``graph.event``), or None."""
    if not isinstance(body, dict):
        return f"A JSON object of type {name} is expected."
    known = properties(name)
    for key, value in body.items():
        if key.startswith("@") or "@odata" in key:
            continue
        if key not in known:
            return f"The property '{key}' does not exist on type 'microsoft.{name}'."
        fault = _value_fault(key, value, known[key].rstrip("!"))
        if fault is not None:
            return fault
    return None


PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "Edm.Boolean": bool,
    "Edm.Int32": int,
    "Edm.Int64": int,
    "Edm.Double": (int, float),
}


def _value_fault(key: str, value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if kind.startswith("Collection("):
        inner = kind[len("Collection(") :].rstrip("!)")
        if not isinstance(value, list):
            return f"'{key}' must be a collection of {inner}."
        return next((fault for item in value if (fault := _value_fault(key, item, inner))), None)
    if kind.startswith("Edm."):
        right = isinstance(value, PRIMITIVES.get(kind, str)) and (kind == "Edm.Boolean" or not isinstance(value, bool))
        return None if right else f"Cannot convert the value of '{key}' to {kind}."
    return _declared_fault(key, value, kind)


def _declared_fault(key: str, value: Any, kind: str) -> str | None:
    declared = types().get(kind.replace("graph.", "microsoft.graph.", 1))
    if declared is None:
        return None
    if declared["kind"] == "enum":
        return None if value in declared["members"] else f"'{value}' is not a valid value of '{key}' ({kind})."
    return first_fault(value, kind)
