"""What the API of contacts reads and shows."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints

from contacts.reading import FIELDS, LINE, NOTES, SETS
from contacts.records import Element, Record, visible
from contacts.tables import Contact
from shared.web.identity import Identity
from shared.web.routes import StrictModel
from shared.web.words import ONE_LINE, STORABLE

Name = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z_]+$")]
Value = Annotated[str, StringConstraints(strip_whitespace=True, max_length=NOTES), STORABLE]
Source = Annotated[str, StringConstraints(max_length=100), STORABLE]
LineText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LINE), ONE_LINE]
Part = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LINE), ONE_LINE]
Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40), ONE_LINE]


class Email(StrictModel):
    address: LineText
    label: Label = ""


class Phone(StrictModel):
    number: LineText
    label: Label = ""


class Address(StrictModel):
    """A postal address; at least one part of it besides the label."""

    street: Annotated[str, StringConstraints(strip_whitespace=True, max_length=LINE), STORABLE] = ""
    """May have several lines."""
    postal_code: Part = ""
    city: Part = ""
    state: Part = ""
    country: Part = ""
    label: Label = ""


class ContactChange(StrictModel):
    """What is left out stays as it is. Needs ``If-Match`` with the contact's ETag."""

    fields: dict[Name, Value] = Field(default_factory=dict, max_length=40)
    """Field → text that a person types; empty takes the value away."""
    emails: Annotated[list[Email], Field(max_length=100)] | None = None
    """All e-mail addresses that the contact is to have."""
    phones: Annotated[list[Phone], Field(max_length=100)] | None = None
    addresses: Annotated[list[Address], Field(max_length=100)] | None = None
    """All postal addresses that the contact is to have."""
    adopt: dict[Name, Source] = Field(default_factory=dict, max_length=40)
    """Field → the source (of ``conflicts``) whose value is taken."""
    dismiss: dict[Name, Source] = Field(default_factory=dict, max_length=40)
    """Field → the source whose value is not taken; the conflict is over until it delivers another one."""
    shared: bool | None = None
    """Whether everybody in the organisation sees the contact."""


class Policy(StrictModel):
    """What becomes of contacts that were removed in Outlook: ``keep`` them, or ``archive`` those nobody changed."""

    removed_in_outlook: Literal["keep", "archive"]


class PolicyShown(BaseModel):
    removed_in_outlook: str


class Counts(BaseModel):
    """Counts over the whole organisation; no names."""

    contacts: int
    shared: int
    archived: int
    people: int
    """People who have contacts."""
    imports: int


class ContactLine(BaseModel):
    """A contact in a list."""

    id: str
    name: str
    company: str
    job_title: str
    emails: list[str]
    phones: list[str]
    mine: bool
    shared: bool
    conflicts: int
    archived: bool
    version: int

    @classmethod
    def of(cls, row: Contact, caller: Identity) -> Self:
        mine = row.user_id == caller.user_id
        shown = row.model_dump(include={"id", "name", "company", "job_title", "emails", "phones", "shared", "version"})
        archived = row.archived_at is not None
        return cls(**shown, mine=mine, conflicts=row.conflicts if mine else 0, archived=archived)


class Provenance(BaseModel):
    """Where a value comes from. ``by`` is ``outlook`` or ``person``; ``source`` is named in ``sources``."""

    by: str
    source: str
    at: str


class ConflictShown(BaseModel):
    """A value that the source offers and that is not shown."""

    value: str
    source: str
    at: str


class FieldShown(BaseModel):
    name: str
    value: str
    provenance: Provenance
    conflicts: list[ConflictShown]


class ElementShown(BaseModel):
    key: str
    value: dict[str, str]
    valid: bool
    provenance: list[Provenance]


class SourceShown(BaseModel):
    """A contact in somebody's Outlook that this contact is made of."""

    id: str
    mine: bool
    why: str
    """``imported``, or ``same_email:`` and the address that it was joined by."""
    read_at: datetime
    removed_at: datetime | None
    """When it was seen to be gone from Outlook."""


class ContactShown(ContactLine):
    """A contact with where each value comes from."""

    fields: list[FieldShown]
    sets: dict[str, list[ElementShown]]
    sources: list[SourceShown]
    archived_because: str | None
    changed_at: datetime

    @classmethod
    def whole(cls, row: Contact, caller: Identity, sources: list[Any]) -> Self:
        record: Record = row.record  # type: ignore[assignment]
        line = ContactLine.of(row, caller)
        fields = [_field(name, record, mine=line.mine) for name in FIELDS if name in record["fields"]]
        return cls(
            **line.model_dump(),
            fields=[field for field in fields if field.value or field.conflicts],
            sets={name: [_element(one) for one in visible(record, name)] for name in SETS if name in record["sets"]},
            sources=[_source(source, caller) for source in sources],
            archived_because=row.archived_because,
            changed_at=row.changed_at,
        )


def _field(name: str, record: Record, *, mine: bool) -> FieldShown:
    held = record["fields"][name]
    offers = held["conflicts"].items() if mine else ()
    return FieldShown(
        name=name,
        value=held["value"],
        provenance=_provenance(held["source"], held["by"], held["at"]),
        conflicts=[ConflictShown(value=o["value"], source=source, at=o["at"]) for source, o in offers],
    )


def _element(element: Element) -> ElementShown:
    origins = [_provenance(source, one["by"], one["at"]) for source, one in element["origins"].items()]
    return ElementShown(key=element["key"], value=element["value"], valid=element["valid"], provenance=origins)


def _provenance(source: str, by: str, at: str) -> Provenance:
    return Provenance(by="person" if by == "person" else "outlook", source=source, at=at)


def _source(source: Any, caller: Identity) -> SourceShown:
    return SourceShown(
        id=source.id,
        mine=source.user_id == caller.user_id,
        why=source.why or "imported",
        read_at=source.read_at,
        removed_at=source.removed_at,
    )
