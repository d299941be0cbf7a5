"""A contact as Prospo holds it: each value with where it came from. Every shape is JSON as it stands."""

from collections.abc import Iterable, Mapping
from typing import Literal, NotRequired, TypedDict

from contacts.reading import FIELDS

By = Literal["import", "person"]


class Origin(TypedDict):
    """Who gave an element, when (ISO 8601). ``version`` is the change key at the source, empty for a person."""

    version: str
    at: str
    by: By


class Offer(TypedDict):
    """A value that lost against the one shown; a person may adopt it."""

    value: str
    version: str
    at: str
    by: By


class Field(TypedDict):
    """One scalar. ``source`` is whose value it is: a source record's key, or the person's id when ``by`` is a person.

    ``base`` holds what each source delivered last, which is what the next delivery is compared with. An empty value
    stands only where a person emptied a field that a source fills.
    """

    value: str
    by: By
    source: str
    version: str
    at: str
    base: dict[str, str]
    conflicts: dict[str, Offer]


class Element(TypedDict):
    """One element of a set. It stays as long as anybody in ``origins`` gives it; ``hidden`` is who removed it here."""

    key: str
    value: dict[str, str]
    valid: bool
    origins: dict[str, Origin]
    hidden: NotRequired[Origin]


class Record(TypedDict):
    """``fields`` by the names of ``contacts.reading.FIELDS``, ``sets`` by those of ``SETS``; nothing empty is kept."""

    fields: dict[str, Field]
    sets: dict[str, list[Element]]


class Change(TypedDict):
    """One line of the journal that an undo reads backwards; scalars have no ``key`` and the ``index`` 0."""

    field: str
    key: str
    index: int
    before: Field | Element | None
    after: Field | Element | None


class Shown(TypedDict):
    """What lists and searches use: texts as people see them, and the normal forms of valid addresses and numbers."""

    name: str
    fields: dict[str, str]
    emails: list[str]
    phones: list[str]
    email_keys: list[str]
    phone_keys: list[str]


def empty() -> Record:
    return Record(fields={}, sets={})


def is_empty(record: Record) -> bool:
    """Whether nothing is left to show, as after the undo of the import that made it."""
    seen = any(field["value"] for field in record["fields"].values())
    return not seen and not any(visible(record, name) for name in record["sets"])


def visible(record: Record, name: str) -> list[Element]:
    """The elements of a set but those that a person removed."""
    return [element for element in record["sets"].get(name, ()) if "hidden" not in element]


def typed(record: Record) -> set[str]:
    """The fields and sets that a person wrote in, or removed something from."""
    scalars = {name for name, field in record["fields"].items() if field["by"] == "person"}
    return scalars | {name for name, elements in record["sets"].items() if any(map(_touched, elements))}


def _touched(element: Element) -> bool:
    return "hidden" in element or any(origin["by"] == "person" for origin in element["origins"].values())


def name_of(fields: Mapping[str, str], reached: Iterable[str]) -> str:
    """A contact without a display name is shown by its names, company, address or number, in this order."""
    whole = " ".join(filter(None, (fields.get("given_name"), fields.get("surname"))))
    names = (fields.get("display_name"), whole, fields.get("nickname"), fields.get("company"), *reached)
    return next(filter(None, names), "")


def shown(record: Record) -> Shown:
    fields = {name: record["fields"][name]["value"] for name in FIELDS if name in record["fields"]}
    emails, phones = visible(record, "emails"), visible(record, "phones")
    texts = [element["value"].get("address", "") for element in emails]
    numbers = [element["value"].get("number", "") for element in phones]
    return Shown(
        name=name_of(fields, [*texts, *numbers]),
        fields={name: value for name, value in fields.items() if value},
        emails=texts,
        phones=numbers,
        email_keys=[element["key"] for element in emails if element["valid"]],
        phone_keys=[element["key"] for element in phones if element["valid"]],
    )
