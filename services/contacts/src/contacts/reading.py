"""What Prospo takes from one contact of Outlook: the shapes that normalising makes, and merging and matching read."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict

Status = Literal["valid", "invalid", "skipped"]
IssueCode = Literal[
    "not_a_contact",
    "no_id",
    "nothing_to_import",
    "too_many",
    "too_long",
    "no_name",
    "control_characters",
    "html",
    "wrong_type",
    "email_missing",
    "email_not_smtp",
    "email_invalid",
    "phone_not_a_number",
    "bad_birthday",
]

LINE: Final = 1_000
NOTES: Final = 65_536
MOST_ITEMS: Final = 50
"""A contact with more elements of one kind than this is refused whole; Outlook's own form has places for three."""

SCALARS: Final[dict[str, str]] = {
    "displayName": "display_name",
    "givenName": "given_name",
    "middleName": "middle_name",
    "surname": "surname",
    "nickName": "nickname",
    "title": "title",
    "generation": "suffix",
    "yomiGivenName": "phonetic_given_name",
    "yomiSurname": "phonetic_surname",
    "companyName": "company",
    "department": "department",
    "jobTitle": "job_title",
    "profession": "profession",
    "officeLocation": "office",
    "manager": "manager",
    "assistantName": "assistant",
    "spouseName": "spouse",
    "businessHomePage": "website",
}
"""Graph's one-line properties and the fields they become; ``birthday`` and ``notes`` have forms of their own."""
NOUNS: Final[dict[str, str]] = {name: field.replace("_", " ") for name, field in SCALARS.items()} | {
    "displayName": "name",
    "yomiGivenName": "phonetic given name",
    "manager": "manager's name",
    "assistantName": "assistant's name",
    "spouseName": "spouse's name",
    "companyName": "company name",
    "birthday": "birthday",
    "personalNotes": "notes",
    "emailAddresses": "e-mail address",
    "primaryEmailAddress": "first e-mail address",
    "secondaryEmailAddress": "second e-mail address",
    "tertiaryEmailAddress": "third e-mail address",
    "mobilePhone": "mobile number",
    "businessPhones": "business number",
    "homePhones": "home number",
    "businessAddress": "business address",
    "homeAddress": "home address",
    "otherAddress": "other address",
    "categories": "category",
    "imAddresses": "messenger address",
    "children": "child's name",
}
"""What people call Graph's properties; of a collection, one of its elements."""
FIELDS: Final = (*SCALARS.values(), "birthday", "notes")
SETS: Final = ("emails", "phones", "addresses", "categories", "messengers", "children")


class Item(TypedDict):
    """One element of a set. ``key`` is the normal form: equal keys are one element; ``raw:…`` where there is none.

    ``value`` holds Outlook's own text: emails ``address``, ``label``, ``name``; phones ``number``, ``label``; addresses
    ``street``, ``city``, ``state``, ``postal_code``, ``country``, ``label``; the others ``text``.
    """

    key: str
    value: dict[str, str]
    valid: bool


class Issue(TypedDict):
    """Why a row, or a part of it, was not taken as it stands. ``field`` is Graph's name of the property."""

    code: IssueCode
    field: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One contact as it was read. Nothing of an invalid or skipped one is stored; its first issue says why.

    A valid reading may have issues too: the contact is imported, with a remark. ``digest`` is equal where nothing
    changed but change key, tag and time.
    """

    source_id: str
    change_key: str
    folder_id: str
    status: Status
    fields: dict[str, str] = field(default_factory=dict)
    sets: dict[str, list[Item]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    digest: str = ""
