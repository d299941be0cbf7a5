"""A contact as Graph delivers it → the fields of Prospo; what does not fit becomes an issue, never an exception."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

import orjson
import phonenumbers
from email_validator import EmailNotValidError, validate_email

from contacts.reading import LINE, MOST_ITEMS, NOTES, NOUNS, SCALARS, Issue, IssueCode, Item, Reading
from contacts.roles import is_role

__all__ = [
    "PARTS", "address_key", "email_key", "is_role", "normalise", "phone_key", "phone_of", "said", "storable", "stored"
]  # fmt: skip

VOLATILE: Final = frozenset(("@odata.etag", "@odata.type", "@odata.context", "changeKey", "lastModifiedDateTime"))
NAMES: Final = ("display_name", "given_name", "surname", "nickname", "company")
HTML: Final = re.compile(r"</?[a-zA-Z][^<>]*>")
CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
UNSEEN: Final = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Marks without a form of their own that turn the direction of text or split equal words; the joiners of emoji stay."""
SURROGATES: Final = re.compile("[\ud800-\udfff]")
UNSTORABLE: Final = re.compile(r"\\u(0000|d[89a-f])")
"""In JSON in ASCII: NUL, or half of a pair; emoji are two halves and are looked at closely."""
PLAIN_LOCAL: Final = re.compile(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*", re.ASCII)
PREFIX: Final = re.compile(r"(mailto|smtp|sip):", re.IGNORECASE)
IN_BRACKETS: Final = re.compile(r"[^<>]*<([^<>@\s]+@[^<>\s]+)>")
RANKS: Final = ("primary", "secondary", "tertiary", "other")
RANKED: Final = ("primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress")
PHONES: Final = (("mobilePhone", "mobile"), ("businessPhones", "business"), ("homePhones", "home"))
ADDRESSES: Final = (("businessAddress", "business"), ("homeAddress", "home"), ("otherAddress", "other"))
PARTS: Final = (
    ("street", "street"),
    ("postalCode", "postal_code"),
    ("city", "city"),
    ("state", "state"),
    ("countryOrRegion", "country"),
)
TEXTS: Final = (("categories", "categories"), ("imAddresses", "messengers"), ("children", "children"))
DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T.*)?")
DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
NO_YEAR: Final = ("1604", "0001")
NO_DATE: Final = "4501"
"""Outlook writes the year 4501 for "none"; 1604 stands for a birthday without its year (a leap year)."""


def normalise(payload: object, *, region: str | None = None, text: str | None = None) -> Reading:
    """Read one contact of Graph; never raises, whatever ``payload`` is.

    ``region`` is the ISO 3166 code of the person's country, for telephone numbers without ``+``; ``text`` is what the
    contact ``said``, where the caller has it.
    """
    if not isinstance(payload, dict):
        return _refused("", "", "", "not_a_contact", "", "Outlook sent something that is not a contact. Import again.")
    own = [_text(payload.get(name)) for name in ("id", "changeKey", "parentFolderId")]
    if not own[0]:
        return _refused("", own[1], own[2], "no_id", "id", "Outlook sent a contact without an id. Import again.")
    reader = _Reader(payload, region)
    issues = reader.issues
    if over := reader.over:
        return _refused(own[0], own[1], own[2], "too_many", *over)
    if not any(reader.fields.get(name) for name in NAMES) and not (
        reader.sets.get("emails") or reader.sets.get("phones")
    ):
        sentence = "The contact has no name, company, e-mail address or phone number. Add one in Outlook to import it."
        return _refused(own[0], own[1], own[2], "nothing_to_import", "displayName", sentence, skipped=True)
    return Reading(own[0], own[1], own[2], "valid", reader.fields, reader.sets, issues, digest(text or said(payload)))


def _refused(
    key: str, change: str, folder: str, code: IssueCode, field: str, sentence: str, *, skipped: bool = False
) -> Reading:
    issue = Issue(code=code, field=field, sentence=sentence)
    return Reading(key, change, folder, "skipped" if skipped else "invalid", issues=[issue])


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value if value.isprintable() else SURROGATES.sub("\ufffd", value.replace("\x00", ""))


def said(payload: dict[Any, Any]) -> str:
    """Everything but the change key, the tag and the time of the last change, as JSON in order of names."""
    kept = payload.copy()
    for name in VOLATILE:
        kept.pop(name, None)
    return _json(kept)


def _json(value: dict[Any, Any]) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # half of a surrogate pair, a number of more than 64 bits, or a name that is no text
        named = {str(name): part for name, part in value.items()}
        return json.dumps(storable(named), sort_keys=True, default=repr)


def digest(text: str) -> str:
    """32 hex digits over what a contact ``said``."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def stored(payload: dict[Any, Any], text: str) -> str:
    """The payload as JSON for PostgreSQL, of what it ``said`` and the rest, so that it is written out once."""
    rest = _json({name: payload[name] for name in VOLATILE if name in payload})
    whole = rest if text == "{}" else text if rest == "{}" else f"{rest[:-1]}, {text[1:]}"
    return json.dumps(storable(payload), default=repr) if UNSTORABLE.search(whole) else whole


def storable(payload: Any) -> Any:
    """The payload as it is, but for what PostgreSQL takes neither in ``jsonb`` nor in ``text``.

    NUL becomes its picture U+2400, half of a surrogate pair U+FFFD, and a number without end null.
    """
    if isinstance(payload, float):
        return payload if isfinite(payload) else None
    if isinstance(payload, str):
        return payload if payload.isprintable() else SURROGATES.sub("\ufffd", payload.replace("\x00", "\u2400"))
    if isinstance(payload, dict):
        return {storable(name): storable(value) for name, value in payload.items()}
    return [storable(value) for value in payload] if isinstance(payload, list) else payload


def email_key(text: str) -> str | None:
    """The address in lower case with its domain in Unicode, by which addresses are equal; None if it reaches nobody.

    Mail servers may tell upper from lower case before the ``@``; none in use does (RFC 5321 2.4 advises against it).
    """
    local, at, domain = text.strip().lower().rpartition("@")
    if not PLAIN_LOCAL.fullmatch(local):
        text = PREFIX.sub("", text.strip(), count=1)
        if found := IN_BRACKETS.fullmatch(text):
            text = found[1]
        local, at, domain = text.lower().rpartition("@")
    if at and len(local) <= 64 and PLAIN_LOCAL.fullmatch(local):
        known = _domain(domain)
        return f"{local}@{known}" if known and len(local) + len(known) < 254 else None
    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None


@lru_cache(maxsize=8192)
def _domain(domain: str) -> str | None:
    """An address book names few domains often, and a check of one takes longer than all else about an address."""
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).domain.lower()
    except EmailNotValidError:
        return None


@lru_cache(maxsize=8192)
def phone_key(text: str, region: str | None = None) -> str | None:
    """The number as E.164, ``;ext=`` behind it; None for what cannot be a telephone number of its country."""
    if not region and "+" not in text and "\uff0b" not in text:
        return None  # no country is known; asking is dear, and most of what people keep is written so
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else plain


def phone_of(text: str, region: str | None = None) -> tuple[str, bool]:
    """The key of a number as an element of a set, and whether it is valid."""
    if key := phone_key(text, region):
        return key, True
    digits = "".join(filter(str.isdigit, text))
    return f"raw:{digits if len(digits) > 2 else text.casefold()}", False


def address_key(parts: Iterable[str]) -> str:
    """The key of a postal address of street, postal code, city, state and country; empty where all of them are."""
    return "|".join(" ".join(text.casefold().split()) for text in parts).strip("|")


def _quoted(text: str) -> str:
    return f"“{text[:77]}…”" if len(text) > 80 else f"“{text}”"


def _the(name: str) -> str:
    return f"The {NOUNS[name]}"


def _without(name: str) -> str:
    return f"The contact is imported without the {NOUNS[name]}."


class _Reader:
    """One pass over one payload; ``over`` is the property with too many elements and the sentence about it."""

    def __init__(self, payload: dict[str, Any], region: str | None) -> None:
        self.payload, self.region = payload, region
        self.fields: dict[str, str] = {}
        self.sets: dict[str, list[Item]] = {}
        self.issues: list[Issue] = []
        self.over: tuple[str, str] | None = None
        self._scalars()
        self._birthday()
        self._emails()
        self._phones()
        self._addresses()
        for name, kind in TEXTS:
            found = [(text.casefold(), {"text": text}, True) for text in self._lines(name)]
            self._keep(kind, name, found)
        if not any(self.fields.get(name) for name in NAMES):
            self._issue(
                "no_name", "displayName", "The contact has no name. Prospo shows its address or number instead."
            )

    def _issue(self, code: IssueCode, field: str, sentence: str) -> None:
        self.issues.append(Issue(code=code, field=field, sentence=sentence))

    def _clean(self, value: object, name: str, *, most: int = LINE, lines: bool = False) -> str:
        """The text on one line, or on its ``lines``, without control characters; empty if it does not fit."""
        if value is None:
            return ""
        if isinstance(value, str) and len(value) <= most and value.isprintable():
            return value.strip()
        if not isinstance(value, str):
            is_ = "are" if name == "personalNotes" else "is"
            self._issue("wrong_type", name, f"{_the(name)} {is_} not a text. {_without(name)}")
            return ""
        if len(value) > most:
            has, it = ("have", "them") if name == "personalNotes" else ("has", "it")
            size = f"{_the(name)} {has} {len(value):,} characters; Prospo keeps {most:,}."
            self._issue("too_long", name, f"{size} {_without(name)} Shorten {it} in Outlook.")
            return ""
        text, removed = CONTROLS.subn("", SURROGATES.sub("\ufffd", value))
        if removed:
            many = "a control character. Prospo removed it."
            many = f"{removed:,} control characters. Prospo removed them." if removed > 1 else many
            self._issue("control_characters", name, f"{_the(name)} had {many}")
        text = UNSEEN.sub("", text)
        return "\n".join(text.splitlines()).strip() if lines else " ".join(text.split())

    def _scalars(self) -> None:
        get = self.payload.get
        for name, field in SCALARS.items():
            if (value := get(name)) and (text := self._clean(value, name)):
                self.fields[field] = text
                if "<" in text and HTML.search(text):
                    self._issue(
                        "html", name, f"{_the(name)} holds HTML: {_quoted(text)}. Prospo shows it as plain text."
                    )
        if text := self._clean(get("personalNotes"), "personalNotes", most=NOTES, lines=True):
            self.fields["notes"] = text

    def _birthday(self) -> None:
        value = self._clean(self.payload.get("birthday"), "birthday")
        if not value or value.startswith(NO_DATE):
            return
        found = DATE.fullmatch(value)
        month, day = (int(found[2]), int(found[3])) if found else (0, 0)
        if not found or not 1 <= month <= 12 or not 1 <= day <= DAYS[month - 1]:
            self._issue("bad_birthday", "birthday", f"{_quoted(value)} is not a date. Correct the birthday in Outlook.")
            return
        self.fields["birthday"] = f"-{value[4:10]}" if found[1] in NO_YEAR else value[:10]

    def _list(self, name: str) -> list[Any]:
        """A collection, one value as a list of it, nothing for null."""
        value = self.payload.get(name)
        if isinstance(value, list):
            return value
        return [] if value is None or value == "" else [value]

    def _lines(self, name: str) -> list[str]:
        values = self._list(name)
        return [text for value in values if (text := self._clean(value, name))] if values else values

    def _keep(self, kind: str, name: str, found: list[tuple[str, dict[str, str], bool]]) -> None:
        """The elements of one set, each key once; the first label counts."""
        if not found:
            return
        items = {key: Item(key=key, value=value, valid=valid) for key, value, valid in reversed(found)}
        if len(items) > MOST_ITEMS:
            remedy = "Remove some in Outlook and import again."
            self.over = name, f"The contact has {len(items)} {kind}; Prospo keeps at most {MOST_ITEMS}. {remedy}"
        else:
            self.sets[kind] = list(reversed(items.values()))

    def _emails(self) -> None:
        found: list[tuple[str, dict[str, str], bool]] = []
        for at, entry in enumerate(self._list("emailAddresses")):
            self._email(entry, RANKS[min(at, 3)], "emailAddresses", found)
        for name, label in zip(RANKED, RANKS, strict=False):
            if (entry := self.payload.get(name)) and not self.payload.get("emailAddresses"):
                self._email(entry, label, name, found)
        self._keep("emails", "emailAddresses", found)

    def _email(self, entry: object, label: str, name: str, found: list[tuple[str, dict[str, str], bool]]) -> None:
        given = entry if isinstance(entry, dict) else {"address": entry}
        address, called = self._clean(given.get("address"), name), self._clean(given.get("name"), name)
        if not address:
            if called:
                self._issue(
                    "email_missing", name, f"The e-mail entry {_quoted(called)} has no address. Add it in Outlook."
                )
            return
        key = email_key(address)
        if key is None:
            self._unreachable(address, name)
        value = {"address": address, "label": label}
        if called and called.lower() != address.lower():
            value["name"] = called
        found.append((key or f"raw:{address.casefold()}", value, key is not None))

    def _unreachable(self, address: str, name: str) -> None:
        rest = "Prospo keeps the text but does not send to it. Correct it in Outlook."
        if "@" not in address and re.match(r"(ex:)?/o=", address, re.IGNORECASE):
            self._issue("email_not_smtp", name, f"{_quoted(address)} is an address inside Exchange only. {rest}")
        else:
            self._issue("email_invalid", name, f"{_quoted(address)} is not a valid e-mail address. {rest}")

    def _phones(self) -> None:
        found = []
        for name, label in PHONES:
            for text in self._lines(name):
                key, valid = phone_of(text, self.region)
                if not valid and sum(map(str.isdigit, text)) < 3:
                    self._issue(
                        "phone_not_a_number", name, f"{_quoted(text)} is not a phone number. Prospo keeps the text."
                    )
                found.append((key, {"number": text, "label": label}, valid))
        self._keep("phones", "businessPhones", found)

    def _addresses(self) -> None:
        found = []
        for name, label in ADDRESSES:
            given = self.payload.get(name)
            if not given:
                continue
            if not isinstance(given, dict):
                self._issue("wrong_type", name, f"{_the(name)} is not an address. {_without(name)}")
                continue
            value = {ours: self._clean(given.get(part), name, lines=part == "street") for part, ours in PARTS}
            if key := address_key(value.values()):
                found.append((key, {part: text for part, text in value.items() if text} | {"label": label}, True))
        self._keep("addresses", "businessAddress", found)
