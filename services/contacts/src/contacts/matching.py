"""Which contact a card of Outlook belongs to, where that is certain; ``proposing`` asks about the rest.

Automatic is only: the same source record, or one equal, valid address that is no role's, that one card has on each
side, between names that do not contradict. "Not the same person" is asked first and stays. The work grows with the
number of cards, whatever they look like.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Final, Literal

from contacts.names import Name, contradict, name_of
from contacts.reading import Reading
from contacts.records import Record, shown
from contacts.roles import is_role

NOTHING_KNOWN: Final[Mapping[str, str]] = MappingProxyType({})
NOBODY_APART: Final[frozenset[tuple[str, str]]] = frozenset()


@dataclass(frozen=True, slots=True)
class Card:
    """What matching reads of a contact or a source record; ``emails`` and ``phones`` are normal forms of valid ones."""

    id: str
    given: str = ""
    surname: str = ""
    display: str = ""
    nickname: str = ""
    title: str = ""
    suffix: str = ""
    company: str = ""
    birthday: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    name: Name = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        name = name_of(
            self.given, self.surname, self.display, title=self.title, suffix=self.suffix, company=self.company
        )
        object.__setattr__(self, "name", name)


def card_of_reading(key: str, reading: Reading) -> Card:
    keys = {name: [item["key"] for item in items if item["valid"]] for name, items in reading.sets.items()}
    return _card(key, reading.fields, keys.get("emails", ()), keys.get("phones", ()))


def card_of_record(key: str, record: Record) -> Card:
    seen = shown(record)
    return _card(key, seen["fields"], seen["email_keys"], seen["phone_keys"])


def _card(key: str, fields: Mapping[str, str], emails: Iterable[str], phones: Iterable[str]) -> Card:
    get = fields.get
    return Card(
        key,
        given=get("given_name", ""),
        surname=get("surname", ""),
        display=get("display_name", ""),
        nickname=get("nickname", ""),
        title=get("title", ""),
        suffix=get("suffix", ""),
        company=get("company", ""),
        birthday=get("birthday", ""),
        emails=tuple(emails),
        phones=tuple(phones),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """``card`` belongs to ``contact``; ``value`` is the address where that is the reason."""

    card: str
    contact: str
    why: Literal["same_source", "same_email"]
    value: str = ""


def pair(one: str, two: str) -> tuple[str, str]:
    """Two ids in order: how "not the same person" is written down."""
    return (one, two) if one <= two else (two, one)


def link(
    incoming: Sequence[Card],
    present: Sequence[Card],
    *,
    known: Mapping[str, str] = NOTHING_KNOWN,
    apart: Container[tuple[str, str]] = NOBODY_APART,
) -> list[Link]:
    """The certain links of ``incoming`` cards to ``present`` contacts, in the order of ``incoming``.

    ``incoming`` is every card of the run and ``present`` every contact that has one of their addresses, because an
    address has to be unique on both sides. ``known`` gives the contact of a card whose source record was seen before;
    ``apart`` holds pairs of a card's and a contact's id that are not the same person.
    """
    owners, holders = _sole(incoming), _sole(present)
    contacts = {card.id: card for card in present}
    found: dict[str, Link] = {}
    for card in incoming:
        new = Link(card.id, known[card.id], "same_source") if card.id in known else _by_email(card, owners, holders)
        if new is None or pair(card.id, new.contact) in apart:
            continue
        if new.why == "same_source" or not contradict(card.name, contacts[new.contact].name):
            found[card.id] = new
    doubtful = _several_people({card.id: card for card in incoming}, found)
    return [one for one in found.values() if one.why == "same_source" or one.contact not in doubtful]


def _several_people(cards: Mapping[str, Card], found: Mapping[str, Link]) -> set[str]:
    """The contacts that cards of contradicting names lead to."""
    groups: dict[str, list[str]] = {}
    for one in found.values():
        groups.setdefault(one.contact, []).append(one.card)
    return {
        contact
        for contact, group in groups.items()
        if any(contradict(cards[a].name, cards[b].name) for a, b in combinations(group, 2))
    }


def _sole(cards: Iterable[Card]) -> dict[str, str]:
    """Address → the only card that has it; addresses of roles and of several cards are left out."""
    owner: dict[str, str] = {}
    several: set[str] = set()
    for card in cards:
        for email in card.emails:
            if owner.setdefault(email, card.id) != card.id:
                several.add(email)
    return {email: key for email, key in owner.items() if email not in several and not is_role(email)}


def _by_email(card: Card, owners: Mapping[str, str], holders: Mapping[str, str]) -> Link | None:
    """None where no address leads to a contact, or two addresses lead to two contacts."""
    found = {holders[email]: email for email in reversed(card.emails) if email in owners and email in holders}
    if len(found) != 1:
        return None
    ((contact, email),) = found.items()
    return Link(card.id, contact, "same_email", email)
