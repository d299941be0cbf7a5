"""Checks bodies against the Graph v1.0 metadata: unknown properties, wrong types, null where none may be.

Requests are refused for it; an answer of the simulator's own that fails is a fault of the simulator and raises.
"""

import base64
import binascii
import datetime
import functools
import json
import re
import uuid
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from .clock import moment_of


@functools.cache
def types() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("metadata-v1.0.json").read_text()
    found: dict[str, Any] = json.loads(text)["types"]
    return found


def full_name(name: str) -> str:
    """``graph.event``, ``event`` and ``#microsoft.graph.event`` as the metadata spells it."""
    return "microsoft.graph." + name.lstrip("#").removeprefix("microsoft.").removeprefix("graph.")


@functools.cache
def properties(name: str) -> Mapping[str, str]:
    """Own and inherited properties and navigations, as name to type."""
    kind = types().get(full_name(name))
    found: dict[str, str] = {}
    while kind is not None:
        found = {**kind.get("properties", {}), **kind.get("navigation", {}), **found}
        kind = types().get(full_name(kind["base"])) if kind.get("base") else None
    return found


@functools.cache
def _bases(name: str) -> frozenset[str]:
    found, kind = {full_name(name)}, types().get(full_name(name))
    while kind is not None and kind.get("base"):
        found.add(full_name(kind["base"]))
        kind = types().get(full_name(kind["base"]))
    return frozenset(found)


def _takes(name: str, key: str) -> bool:
    """Outlook's and the directory's entities are declared open, yet refuse what they do not know, but extensions."""
    kinds = [types().get(base, {}) for base in _bases(name)]
    return any(kind.get("open") and (kind["kind"] == "complex" or key.startswith("extension_")) for kind in kinds)


def first_fault(body: Any, name: str) -> str | None:
    """What is wrong with ``body`` as ``name`` (``graph.event``), or None."""
    if not isinstance(body, dict):
        return f"A JSON object of type {full_name(name)} is expected."
    given = body.get("@odata.type")
    if given is not None:
        if not isinstance(given, str) or full_name(name) not in _bases(given):
            return f"The type '{given}' is not a {full_name(name)}."
        name = given
    known = properties(name)
    for key, value in body.items():
        if "@" in key:
            continue
        if key not in known:
            if _takes(name, key):
                continue
            return f"The property '{key}' does not exist on type '{full_name(name)}'."
        fault = _value_fault(key, value, known[key])
        if fault is not None:
            return fault
    return None


def _moment(value: str) -> None:
    if not re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d", value):
        raise ValueError(value)
    moment_of(value)


def _matching(pattern: str) -> Callable[[str], None]:
    compiled = re.compile(pattern)

    def check(value: str) -> None:
        if not compiled.fullmatch(value):
            raise ValueError(value)

    return check


def _base64(value: str) -> None:
    """With or without the padding, as Microsoft's own samples have it."""
    base64.b64decode(value + "=" * (-len(value) % 4), validate=True)


TEXTS: dict[str, Callable[[str], Any]] = {
    "Edm.String": str,
    "Edm.Stream": str,
    "Edm.DateTimeOffset": _moment,
    "Edm.Date": datetime.date.fromisoformat,
    "Edm.TimeOfDay": _matching(r"\d\d:\d\d(:\d\d(\.\d+)?)?"),
    "Edm.Duration": _matching(r"-?P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"),
    "Edm.Guid": uuid.UUID,
    "Edm.Binary": _base64,
}
WHOLE = {"Edm.Byte": 2**8, "Edm.Int16": 2**15, "Edm.Int32": 2**31, "Edm.Int64": 2**63}


def _value_fault(key: str, value: Any, kind: str) -> str | None:
    if value is None:
        return f"'{key}' may not be null." if kind.endswith("!") else None
    kind = kind.rstrip("!")
    if kind.startswith("Collection("):
        inner = kind[len("Collection(") : -1]
        if not isinstance(value, list):
            return f"'{key}' must be a collection of {inner}."
        return next((fault for item in value if (fault := _value_fault(key, item, inner))), None)
    if kind.startswith("Edm."):
        return None if _is_primitive(value, kind) else f"Cannot convert the value of '{key}' to {kind}."
    return _declared_fault(key, value, kind)


def _is_primitive(value: Any, kind: str) -> bool:
    if kind == "Edm.Boolean":
        return isinstance(value, bool)
    if kind in WHOLE:
        return isinstance(value, int) and not isinstance(value, bool) and -WHOLE[kind] <= value < WHOLE[kind]
    if kind in ("Edm.Double", "Edm.Single", "Edm.Decimal"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    try:
        TEXTS.get(kind, str)(value)
    except (ValueError, binascii.Error):
        return False
    return True


def _declared_fault(key: str, value: Any, kind: str) -> str | None:
    declared = types().get(full_name(kind))
    if declared is None:
        return None
    if declared["kind"] != "enum":
        return first_fault(value, kind)
    words = value.split(",") if isinstance(value, str) and declared.get("flags") else [value]
    wrong = [word for word in words if not isinstance(word, str) or word.strip() not in declared["members"]]
    return f"'{value}' is not a valid value of '{key}' ({full_name(kind)})." if wrong else None


TRUTHS = {"true": True, "false": False}


def spelled(body: Any, name: str) -> Any:
    """The body with members of enumerations in their own case; callers may write ``HTML`` for ``html``.

    Messages, events and contacts may have ``"true"`` for ``true``: a sample of Microsoft's and O365 write it so.
    """
    if not isinstance(body, dict):
        return body
    given = body.get("@odata.type")
    name = given if isinstance(given, str) and full_name(given) in types() else name
    known, quoted = properties(name), full_name("outlookItem") in _bases(name)
    found = {key: _spelled(value, known[key]) if key in known else value for key, value in body.items()}
    flags = [key for key in found if quoted and known.get(key, "").rstrip("!") == "Edm.Boolean"]
    return found | {key: TRUTHS.get(found[key], found[key]) for key in flags if isinstance(found[key], str)}


def _spelled(value: Any, kind: str) -> Any:
    kind = kind.rstrip("!")
    if kind.startswith("Collection("):
        inner = kind[len("Collection(") : -1]
        return [_spelled(item, inner) for item in value] if isinstance(value, list) else value
    declared = types().get(full_name(kind))
    if declared is None or declared["kind"] != "enum":
        return value if declared is None else spelled(value, kind)
    members = {member.lower(): member for member in declared["members"]}
    words = value.split(",") if isinstance(value, str) else []
    return ",".join(members.get(word.strip().lower(), word) for word in words) if words else value
