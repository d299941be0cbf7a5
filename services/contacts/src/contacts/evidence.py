"""What speaks for and against two cards being of one person, how much each sign weighs, and how a page says it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from contacts.matching import Card
from contacts.names import Name, contradict, distinct, fold, loose, nicknamed, same_given, same_surname, similarity
from contacts.roles import is_role

_PROVIDERS: Final = """
    gmail.com googlemail.com outlook.com hotmail.com live.com yahoo.com icloud.com me.com gmx.de gmx.net web.de aol.com
    t-online.de proton.me protonmail.com mail.ru yandex.ru orange.fr free.fr libero.it
"""
FREE: Final = frozenset(_PROVIDERS.split())
"""Domains of providers that everybody uses: an equal one says nothing."""
_FORMS: Final = "gmbh ag kg ohg ltd limited inc llc corp co sa sarl srl spa bv ab oy plc"
LEGAL_FORMS: Final = frozenset(_FORMS.split())
SIMILAR: Final = 0.88
"""Jaro-Winkler similarity, 0 to 1. Below this, names of other people outnumber typing errors."""

Code = Literal[
    "same_email", "shared_email", "role_email", "same_phone", "shared_phone", "same_name", "swapped_name", "nickname",
    "initial", "similar_surname", "similar_given", "other_surname", "other_given", "other_name", "same_company",
    "other_company", "same_domain", "same_local_part", "same_birthday", "other_birthday", "other_title",
]  # fmt: skip
WEIGHTS: Final[dict[Code, float]] = {
    "same_email": 6.5,
    "shared_email": 2.5,
    "role_email": 0.5,
    "same_phone": 4.0,
    "shared_phone": 1.0,
    "same_name": 5.0,
    "swapped_name": 4.0,
    "nickname": 4.0,
    "initial": 2.0,
    "similar_surname": 3.5,
    "similar_given": 0.5,
    "other_surname": -2.0,
    "other_given": -5.5,
    "other_name": -6.5,
    "same_company": 1.5,
    "other_company": -1.5,
    "same_domain": 1.0,
    "same_local_part": 2.0,
    "same_birthday": 3.0,
    "other_birthday": -4.0,
    "other_title": -14.0,
}
"""How much likelier a sign is between two cards of one person than of two (Fellegi, Sunter), as natural logarithms."""
SENTENCES: Final[dict[Code, str]] = {
    "same_email": "Both have the address {}.",
    "shared_email": "Both have the address {}, as others do.",
    "role_email": "Both have {}, which several people may read.",
    "same_phone": "Both have the number {}.",
    "shared_phone": "Both have the number {}, as others do.",
    "same_name": "The names are the same.",
    "swapped_name": "The names have the same words in another order.",
    "nickname": "One given name is short for the other, and the surnames are the same.",
    "initial": "One given name is the initial of the other, and the surnames are the same.",
    "similar_surname": "The given names are the same, the surnames are similar.",
    "similar_given": "The surnames are the same, the given names are similar.",
    "other_surname": "The given names are the same, the surnames are not.",
    "other_given": "The surnames are the same, the given names are not.",
    "other_name": "The names differ.",
    "same_company": "Both are with {}.",
    "other_company": "They are with different companies.",
    "same_domain": "Both have an address at {}.",
    "same_local_part": "Both have an address that begins with {}.",
    "same_birthday": "Both have the same birthday.",
    "other_birthday": "The birthdays differ.",
    "other_title": "The titles or generations differ, as with Mr and Mrs or Jr. and Sr.",
}
OF_OTHERS: Final[frozenset[Code]] = frozenset(("other_given", "other_name"))
"""Signs of two people, beside whom an equal birthday is that of twins."""


class Reason(TypedDict):
    code: Code
    sentence: str


Sign = tuple[Code, str]
"""The value is what the sentence names, empty where it names none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A card taken apart once, because it is compared with many."""

    card: Card
    emails: frozenset[str]
    phones: frozenset[str]
    locals: frozenset[str]
    domains: frozenset[str]
    company: str


def facts_of(card: Card) -> Facts:
    return Facts(
        card,
        frozenset(card.emails),
        frozenset(card.phones),
        frozenset(local for email in card.emails if (local := _local(email))),
        frozenset(email.partition("@")[2] for email in card.emails) - FREE,
        " ".join(word for word in fold(card.company).replace(".", " ").split() if word.strip(",") not in LEGAL_FORMS),
    )


def _local(email: str) -> str:
    """The part before the ``@`` where it says something: no role, no short word."""
    local = email.partition("@")[0].partition("+")[0]
    return "" if len(local) < 5 or is_role(email) else local


def signs(left: Facts, right: Facts, shared: frozenset[str]) -> Iterator[Sign]:
    """Everything that speaks for or against. ``shared`` are the addresses and numbers that a third card has too."""
    named = list(_names(left.card, right.card))
    yield from _reached(left, right, shared)
    yield from named
    if left.company and right.company:
        yield ("same_company" if left.company == right.company else "other_company"), left.card.company
    if (one := left.card.birthday) and (two := right.card.birthday):
        if not (one == two or (one[-5:] == two[-5:] and "-" in (one[0], two[0]))):
            yield "other_birthday", ""
        elif not any(code in OF_OTHERS for code, _ in named):
            yield "same_birthday", ""


def _reached(left: Facts, right: Facts, shared: frozenset[str]) -> Iterator[Sign]:
    """One sign of each: an equal address (the most telling), else an equal part of one; an equal number."""
    emails = left.emails & right.emails
    if emails:
        email = min(emails, key=lambda email: (is_role(email), email in shared, email))
        yield ("role_email" if is_role(email) else "shared_email" if email in shared else "same_email"), email
    else:
        if same := left.locals & right.locals:
            yield "same_local_part", min(same)
        if same := left.domains & right.domains:
            yield "same_domain", min(same)
    if phones := left.phones & right.phones:
        phone = min(phones, key=lambda phone: (phone in shared, phone))
        yield ("shared_phone" if phone in shared else "same_phone"), phone


def _names(left: Card, right: Card) -> Iterator[Sign]:
    """What the names say; nothing where one of the cards has none."""
    one, two = left.name, right.name
    if (one.sex and two.sex and one.sex != two.sex) or (one.suffix and two.suffix and one.suffix != two.suffix):
        yield "other_title", ""
    if not one or not two:
        return
    if one.whole == two.whole:
        yield "same_name", ""
    elif one.single or two.single or one.group or two.group:
        if contradict(one, two):
            yield "other_name", ""
    else:
        yield _compared(one, two, {fold(left.nickname), fold(right.nickname)} - {""}), ""


def _compared(one: Name, two: Name, called: set[str]) -> Code:
    first, second = one.given[0], two.given[0]
    given, surname = same_given(one.given, two.given), same_surname(one, two)
    if sorted(map(loose, one.given + one.surname)) == sorted(map(loose, two.given + two.surname)):
        return "same_name" if given and surname else "swapped_name"
    initial = min(len(first), len(second)) == 1
    if given and surname:
        return _given(first, second, initial=initial)
    if surname and called & {first, second}:
        return "nickname"
    if given and not initial:
        return (
            "similar_surname" if similarity("".join(one.surname), "".join(two.surname)) >= SIMILAR else "other_surname"
        )
    if not surname:
        return "other_name"
    alike = not initial and not distinct(first, second) and similarity(first, second) >= SIMILAR
    return "similar_given" if alike else "other_given"


def _given(first: str, second: str, *, initial: bool) -> Code:
    """How two given names that go together do so, the surnames being the same."""
    if loose(first) == loose(second):
        return "same_name"
    return "initial" if initial else "nickname" if nicknamed(first, second) else "similar_given"


def reason(code: Code, value: str) -> Reason:
    return Reason(code=code, sentence=SENTENCES[code].format(value))
