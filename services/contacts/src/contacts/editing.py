"""What a person does to a contact by hand. What they type stays, whatever Outlook delivers later."""

from collections.abc import Callable, Sequence
from functools import partial

from contacts import contact_queries, merging
from contacts.contact_models import Address, ContactChange
from contacts.normalising import PARTS, address_key, email_key, phone_of
from contacts.planning import now
from contacts.reading import FIELDS, Item
from contacts.records import Change, Record, visible
from contacts.tables import Contact
from shared.problems import BadInput


def change(contact: Contact, wanted: ContactChange, person: str) -> bool:
    """Whether anything changes. Raises ``BadInput`` for a field that there is not."""
    record: Record = contact.record  # type: ignore[assignment]
    at, changes = now(), 0
    for step in _steps(wanted, person, at):
        merged = step(record)
        record, changes = merged.record, changes + len(merged.changes)
    shares = wanted.shared is not None and wanted.shared != contact.shared
    if shares:
        contact.shared = bool(wanted.shared)
    if changes or shares:
        contact_queries.write(contact, record)
    return bool(changes) or shares


Step = Callable[[Record], merging.Merged]


def _steps(wanted: ContactChange, person: str, at: str) -> list[Step]:
    for name in (*wanted.fields, *wanted.adopt, *wanted.dismiss):
        if name not in FIELDS:
            raise BadInput("unknown_field", f"A contact has no field {name}. Take one of {', '.join(FIELDS)}.")
    steps: list[Step] = [partial(_edit, name, value, person, at) for name, value in wanted.fields.items()]
    steps += [partial(_adopt, name, source, at) for name, source in wanted.adopt.items()]
    steps += [partial(_dismiss, name, source) for name, source in wanted.dismiss.items()]
    if wanted.emails is not None:
        items = [_email(one.address, one.label) for one in wanted.emails]
        steps.append(lambda r: _bring(r, "emails", items, person, at))
    if wanted.phones is not None:
        numbers = [_phone(one.number, one.label) for one in wanted.phones]
        steps.append(lambda r: _bring(r, "phones", numbers, person, at))
    if wanted.addresses is not None:
        places = [_address(one) for one in wanted.addresses]
        steps.append(lambda r: _bring(r, "addresses", places, person, at))
    return steps


def _edit(name: str, value: str, person: str, at: str, record: Record) -> merging.Merged:
    return merging.edit(record, name, value, person=person, at=at)


def _adopt(name: str, source: str, at: str, record: Record) -> merging.Merged:
    return merging.adopt(record, name, source, at=at)


def _dismiss(name: str, source: str, record: Record) -> merging.Merged:
    return merging.dismiss(record, name, source)


def _bring(record: Record, name: str, items: Sequence[Item], person: str, at: str) -> merging.Merged:
    """The set has these elements and no others."""
    changes: list[Change] = []
    wanted = {item["key"]: item for item in items}
    for held in visible(record, name):
        if held["key"] not in wanted:
            merged = merging.drop(record, name, held["key"], person=person, at=at)
            record, changes = merged.record, [*changes, *merged.changes]
    for item in wanted.values():
        known = next((one for one in visible(record, name) if one["key"] == item["key"]), None)
        if known is None or known["value"] != {**known["value"], **item["value"]}:
            merged = merging.put(record, name, item, person=person, at=at)
            record, changes = merged.record, [*changes, *merged.changes]
    return merging.Merged(record, changes, [])


def _email(address: str, label: str) -> Item:
    key = email_key(address)
    return Item(key=key or f"raw:{address.casefold()}", value=_said("address", address, label), valid=key is not None)


def _phone(number: str, label: str) -> Item:
    key, valid = phone_of(number)
    return Item(key=key, value=_said("number", number, label), valid=valid)


def _address(given: Address) -> Item:
    """Raises ``BadInput`` for one that has no part."""
    parts = {part: getattr(given, part) for _, part in PARTS}
    key = address_key(parts.values())
    if not key:
        raise BadInput("empty_address", "A postal address needs a street, a city or another part. Fill one in.")
    value = {part: text for part, text in parts.items() if text} | ({"label": given.label} if given.label else {})
    return Item(key=key, value=value, valid=True)


def _said(name: str, text: str, label: str) -> dict[str, str]:
    return {name: text} | ({"label": label} if label else {})
