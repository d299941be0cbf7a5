"""Bring what a source delivers into a contact, field by field, against what the same source delivered last.

1. A source that delivers what it delivered last changes nothing.
2. What a person typed stays; a source that offers something else leaves a conflict, which a person adopts or dismisses.
3. A source changes the value that it gave itself. What only another source gave stays, and the offer is a conflict.
4. Nothing delivered takes away only what came from this source alone.
5. Sets keep an element as long as one source or person gives it; an element that a person removed does not come back
   while its source goes on delivering it.

Every function returns a new record and the journal of what changed; the record it was given stays as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contacts.reading import FIELDS, SETS, Item, Reading
from contacts.records import By, Change, Element, Field, Offer, Origin, Record

_NOTHING: Final[Mapping[str, str]] = {}
_IMPORT: Final[By] = "import"


@dataclass(frozen=True, slots=True)
class Merged:
    """No ``changes`` means that there is nothing to write. ``conflicts`` names the fields with a new conflict."""

    record: Record
    changes: list[Change]
    conflicts: list[str]


@dataclass(frozen=True, slots=True)
class _Giver:
    """Who delivers: a source record or a person."""

    name: str
    version: str
    at: str
    by: By = "import"

    @property
    def origin(self) -> Origin:
        return Origin(version=self.version, at=self.at, by=self.by)

    def offer(self, value: str) -> Offer:
        return Offer(value=value, version=self.version, at=self.at, by=self.by)

    def field(self, value: str, base: dict[str, str], conflicts: dict[str, Offer]) -> Field:
        return Field(
            value=value, by=self.by, source=self.name, version=self.version, at=self.at, base=base, conflicts=conflicts
        )


class _Draft:
    """A copy of a record that keeps the journal; lists are copied when they are first touched."""

    def __init__(self, record: Record) -> None:
        self.record = Record(fields=dict(record["fields"]), sets=dict(record["sets"]))
        self.changes: list[Change] = []
        self.conflicts: list[str] = []
        self._own: set[str] = set()

    def put(self, name: str, after: Field | None) -> None:
        before = self.record["fields"].get(name)
        if after is before or after == before:
            return
        if after is None:
            del self.record["fields"][name]
        else:
            self.record["fields"][name] = after
            if any(before is None or before["conflicts"].get(s) != o for s, o in after["conflicts"].items()):
                self.conflicts.append(name)
        self.changes.append(Change(field=name, key="", index=0, before=before, after=after))

    def elements(self, name: str) -> list[Element]:
        if name not in self._own:
            self._own.add(name)
            self.record["sets"][name] = list(self.record["sets"].get(name, ()))
        return self.record["sets"][name]

    def place(self, name: str, key: str, after: Element | None) -> None:
        """Put the element where the one of this key is, at the end if there is none; None takes it out."""
        elements = self.elements(name)
        index = next((at for at, element in enumerate(elements) if element["key"] == key), len(elements))
        before = elements[index] if index < len(elements) else None
        if after == before:
            return
        elements[index : index + 1] = [after] if after is not None else []
        self.changes.append(Change(field=name, key=key, index=index, before=before, after=after))

    def done(self) -> Merged:
        for name in self._own:
            if not self.record["sets"][name]:
                del self.record["sets"][name]
        return Merged(self.record, self.changes, self.conflicts)


def merge(record: Record, reading: Reading, *, source: str, at: str) -> Merged:
    """Bring a reading into the contact. ``source`` is the source record's own key, ``at`` the time as ISO 8601 in UTC.

    A reading that is not valid changes nothing.
    """
    if reading.status != "valid":
        return Merged(record, [], [])
    return _deliver(record, reading.fields, reading.sets, _Giver(source, reading.change_key, at))


def record_of(reading: Reading, *, source: str, at: str) -> Record:
    """The record that ``merge`` makes of an empty one, in a fifth of the time."""
    version, by = reading.change_key, _IMPORT
    fields: dict[str, Field] = {
        name: {
            "value": value,
            "by": by,
            "source": source,
            "version": version,
            "at": at,
            "base": {source: value},
            "conflicts": {},
        }
        for name, value in reading.fields.items()
    }
    origins: dict[str, Origin] = {source: {"version": version, "at": at, "by": by}}
    sets = {name: [_element(item, origins) for item in items] for name, items in reading.sets.items()}
    return {"fields": fields, "sets": sets}


def reading_in(record: Record, *, version: str) -> Reading:
    """What ``record_of`` made the record of, as far as merging and matching look at it."""
    fields = {name: field["value"] for name, field in record["fields"].items()}
    sets = {
        name: [Item(key=one["key"], value=one["value"], valid=one["valid"]) for one in elements]
        for name, elements in record["sets"].items()
    }
    return Reading("", version, "", "valid", fields, sets)


def changes_of_new(record: Record) -> list[Change]:
    """The journal of the merge that makes such a record of an empty one."""
    fields = [
        Change(field=name, key="", index=0, before=None, after=record["fields"][name])
        for name in FIELDS
        if name in record["fields"]
    ]
    elements = [
        Change(field=name, key=one["key"], index=at, before=None, after=one)
        for name in SETS
        for at, one in enumerate(record["sets"].get(name, ()))
    ]
    return [*fields, *elements]


def withdraw(record: Record, *, source: str, at: str) -> Merged:
    """The source gives nothing any more: what it alone gave goes, what a person typed or another source gives stays."""
    return _deliver(record, _NOTHING, {}, _Giver(source, "", at))


def _deliver(record: Record, fields: Mapping[str, str], sets: Mapping[str, Iterable[Item]], giver: _Giver) -> Merged:
    draft = _Draft(record)
    for name in FIELDS:
        if name in fields or name in record["fields"]:
            draft.put(name, _next(record["fields"].get(name), fields.get(name, ""), giver))
    for name in SETS:
        if name in sets or name in record["sets"]:
            _deliver_set(draft, name, sets.get(name, ()), giver)
    return draft.done()


def _next(before: Field | None, new: str, giver: _Giver) -> Field | None:
    """The three-way merge of one scalar; "" is nothing delivered."""
    if before is None:
        return giver.field(new, {giver.name: new}, {}) if new else None
    last = before["base"].get(giver.name, "")
    if last == new:
        return before
    base = {name: value for name, value in before["base"].items() if name != giver.name}
    conflicts = {name: offer for name, offer in before["conflicts"].items() if name != giver.name}
    if new:
        base[giver.name] = new
    after: Field = {**before, "base": base, "conflicts": conflicts}
    if new == before["value"] or (before["by"] == "person" and not new):
        return after
    if not new:
        return _without(after) if before["source"] == giver.name else after
    if before["by"] == "import" and (last == before["value"] or before["source"] == giver.name):
        return giver.field(new, base, conflicts)
    conflicts[giver.name] = giver.offer(new)
    return after


def _without(field: Field) -> Field | None:
    """The source took its value away: another that gives the same is its source now, else another's value shows."""
    base, value = field["base"], field["value"]
    same = sorted(name for name, other in base.items() if other == value)
    if same:
        return {**field, "source": same[0], "version": ""}
    for name, offer in sorted(field["conflicts"].items()):
        rest = {other: left for other, left in field["conflicts"].items() if other != name}
        return _Giver(name, offer["version"], offer["at"], offer["by"]).field(offer["value"], base, rest)
    for name in sorted(base):
        return {**field, "value": base[name], "source": name, "version": ""}
    return None


def _deliver_set(draft: _Draft, name: str, items: Iterable[Item], giver: _Giver) -> None:
    wanted = {item["key"]: item for item in items}
    held = {element["key"]: element for element in draft.record["sets"].get(name, ())}
    for key, element in held.items():
        if giver.name in element["origins"] and key not in wanted:
            origins = {other: origin for other, origin in element["origins"].items() if other != giver.name}
            draft.place(name, key, {**element, "origins": origins} if origins else None)
    for key, item in wanted.items():
        known = held.get(key)
        if known is None:
            draft.place(name, key, _element(item, {giver.name: giver.origin}))
        elif giver.name not in known["origins"]:
            draft.place(name, key, {**known, "origins": {**known["origins"], giver.name: giver.origin}})
        elif len(known["origins"]) == 1 and known["value"] != item["value"]:
            draft.place(name, key, {**known, "value": item["value"], "origins": {giver.name: giver.origin}})


def _element(item: Item, origins: dict[str, Origin]) -> Element:
    return Element(key=item["key"], value=item["value"], valid=item["valid"], origins=origins)


def absorb(record: Record, other: Record, *, at: str) -> Merged:
    """Two contacts are one person: the second's values and sources come into the first.

    Where both have a value, a typed one wins over an imported one, else the first's; the other is left as a conflict.
    ``undo`` of the changes takes them apart again.
    """
    draft = _Draft(record)
    for name in FIELDS:
        if name in other["fields"]:
            draft.put(name, _both(record["fields"].get(name), other["fields"][name]))
    for name in SETS:
        held = {element["key"]: element for element in record["sets"].get(name, ())}
        for element in other["sets"].get(name, ()):
            known = held.get(element["key"])
            joined = element if known is None else {**known, "origins": {**element["origins"], **known["origins"]}}
            draft.place(name, element["key"], joined)
    return draft.done()


def _both(one: Field | None, two: Field) -> Field:
    if one is None:
        return two
    wins, loses = (two, one) if two["by"] == "person" and one["by"] == "import" else (one, two)
    conflicts = {**loses["conflicts"], **wins["conflicts"]}
    if loses["value"]:
        conflicts.setdefault(
            loses["source"],
            Offer(value=loses["value"], version=loses["version"], at=loses["at"], by=loses["by"]),
        )
    left = {name: offer for name, offer in conflicts.items() if offer["value"] != wins["value"]}
    return {**wins, "base": {**loses["base"], **wins["base"]}, "conflicts": left}


def edit(record: Record, name: str, value: str, *, person: str, at: str) -> Merged:
    """A person types a scalar, or empties it."""
    draft, before = _Draft(record), record["fields"].get(name)
    if before is None:
        draft.put(name, _Giver(person, "", at, "person").field(value, {}, {}) if value else None)
    elif before["value"] != value:
        conflicts = {source: offer for source, offer in before["conflicts"].items() if offer["value"] != value}
        after = _Giver(person, "", at, "person").field(value, before["base"], conflicts)
        draft.put(name, after if value or before["base"] or conflicts else None)
    return draft.done()


def put(record: Record, name: str, item: Item, *, person: str, at: str) -> Merged:
    """A person adds an element or writes over the one of this key."""
    draft, giver = _Draft(record), _Giver(person, "", at, "person")
    known = next((element for element in record["sets"].get(name, ()) if element["key"] == item["key"]), None)
    if known is None or known["value"] != item["value"] or "hidden" in known:
        origins = {**(known["origins"] if known else {}), person: giver.origin}
        draft.place(name, item["key"], _element(item, origins))
    return draft.done()


def drop(record: Record, name: str, key: str, *, person: str, at: str) -> Merged:
    """A person removes an element; while a source delivers it, it stays hidden so that it does not come back."""
    draft = _Draft(record)
    known = next((element for element in record["sets"].get(name, ()) if element["key"] == key), None)
    if known is not None and "hidden" not in known:
        origins = {source: origin for source, origin in known["origins"].items() if origin["by"] == "import"}
        hidden: Element = {**known, "origins": origins, "hidden": _Giver(person, "", at, "person").origin}
        draft.place(name, key, hidden if origins else None)
    return draft.done()


def adopt(record: Record, name: str, source: str, *, at: str) -> Merged:
    """Take the value that the source offers; it is the source's from now on, which may change it again."""
    draft, before = _Draft(record), record["fields"].get(name)
    if before is not None and (offer := before["conflicts"].get(source)) is not None:
        rest = {other: left for other, left in before["conflicts"].items() if other != source}
        giver = _Giver(source, offer["version"], at, offer["by"])
        draft.put(name, giver.field(offer["value"], before["base"], rest))
    return draft.done()


def dismiss(record: Record, name: str, source: str) -> Merged:
    """Keep the value that is shown; the source is heard again when it delivers another one."""
    draft, before = _Draft(record), record["fields"].get(name)
    if before is not None and source in before["conflicts"]:
        rest = {other: left for other, left in before["conflicts"].items() if other != source}
        draft.put(name, {**before, "conflicts": rest})
    return draft.done()
