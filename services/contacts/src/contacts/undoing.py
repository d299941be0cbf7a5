"""Take a merge back by its journal: what nobody touched since returns to what it was, the rest is kept and named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from contacts.reading import FIELDS, SETS
from contacts.records import Change, Element, Field, Record


class Outcome(TypedDict):
    """What became of one line of the journal."""

    field: str
    key: str
    outcome: Literal["reversed", "kept", "failed"]
    code: Literal["", "edited_since", "imported_since", "unreadable"]
    sentence: str


@dataclass(frozen=True, slots=True)
class Undone:
    record: Record
    outcomes: list[Outcome]


SENTENCES = {
    "": "Prospo put back what was there before the import.",
    "edited_since": "A person changed it after the import, so Prospo kept it.",
    "imported_since": "A later import changed it, so Prospo kept it. Undo the later import first.",
    "unreadable": "Prospo cannot read how it was before the import, so nothing was changed here.",
}


def undo(record: Record, changes: Sequence[Change]) -> Undone:
    """Reverse a journal of ``merging``, the last change first. The record given stays as it is.

    Doing it again changes nothing more: what was reversed is then kept, as if changed since.
    """
    fields = dict(record["fields"])
    sets = {name: list(elements) for name, elements in record["sets"].items()}
    outcomes = [_reverse(fields, sets, change) for change in reversed(changes)]
    left = Record(fields=fields, sets={name: elements for name, elements in sets.items() if elements})
    return Undone(left, outcomes[::-1])


def _reverse(fields: dict[str, Field], sets: dict[str, list[Element]], change: Change) -> Outcome:
    given: dict[str, Any] = dict(change)
    name, key, before, after = (given.get(part) for part in ("field", "key", "before", "after"))
    if name in FIELDS and _is(before, "base") and _is(after, "base"):
        return _reverse_field(fields, name, before, after)
    if name in SETS and isinstance(key, str) and _is(before, "origins") and _is(after, "origins"):
        return _reverse_element(sets.setdefault(name, []), given, before, after)
    return _outcome(str(name), str(key), "failed", "unreadable")


def _is(value: object, mark: str) -> bool:
    return value is None or (isinstance(value, dict) and mark in value)


def _outcome(name: str, key: str, outcome: Any, code: Any) -> Outcome:
    return Outcome(field=name, key=key, outcome=outcome, code=code, sentence=SENTENCES[code])


def _reverse_field(fields: dict[str, Field], name: str, before: Field | None, after: Field | None) -> Outcome:
    now = fields.get(name)
    if now != after:
        return _outcome(name, "", "kept", "edited_since" if _by_hand(now, after) else "imported_since")
    fields.pop(name, None)
    if before is not None:
        fields[name] = before
    return _outcome(name, "", "reversed", "")


def _by_hand(now: Field | None, after: Field | None) -> bool:
    """Whether a person typed the value, took the one that Outlook offered, or kept the one shown."""
    if now is None or after is None:
        return False
    offered = after["conflicts"].get(now["source"])
    took = offered is not None and (offered["value"], offered["version"]) == (now["value"], now["version"])
    left = {name: offer for name, offer in after["conflicts"].items() if name in now["conflicts"]}
    return now["by"] == "person" or took or now == {**after, "conflicts": left}


def _reverse_element(
    elements: list[Element], change: dict[str, Any], before: Element | None, after: Element | None
) -> Outcome:
    name, key = str(change["field"]), str(change["key"])
    at = next((place for place, element in enumerate(elements) if element["key"] == key), None)
    now = None if at is None else elements[at]
    if now != after:
        return _outcome(name, key, "kept", "edited_since" if _by_person(now, after) else "imported_since")
    if at is not None:
        elements[at : at + 1] = [] if before is None else [before]
    elif before is not None:
        elements.insert(int(change.get("index") or 0), before)
    return _outcome(name, key, "reversed", "")


def _by_person(now: Element | None, after: Element | None) -> bool:
    """Whether a person removed the element or wrote it; nothing else removes what an import had just given."""
    if now is None:
        return after is not None and any(origin["by"] == "person" for origin in after["origins"].values())
    return "hidden" in now or any(origin["by"] == "person" for origin in now["origins"].values())
