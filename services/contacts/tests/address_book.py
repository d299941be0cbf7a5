"""A made-up address book with the truth: who is who on two sides, and which pairs may be linked without asking.

Each scene is a way in which address books lie. It is told many times with other people, all from one seed. Addresses
and numbers of one telling stand in no other.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_GIVEN = """
    Anna Bernd Carla Dirk Emma Felix Greta Holger Ida Jonas Karin Lars Marta Nils Olga Pablo Quentin Rosa Sven Tomas Uta
    Vera Walid Yvonne Zoran Aino Chidi Dolores Farida Goran Ines Kofi Leila Mehmet Noor Oskar Priya Rahel Sofia Tariq
"""
_SURNAMES = """
    Abe Brandt Castillo Dorfler Eriksen Fischer Gupta Haddad Ibsen Jansen Keller Lindqvist Moreau Novak Okafor Petersen
    Quist Rossi Sandberg Tanaka Ulrich Vargas Weiss Yilmaz Zimmer Aalto Bianchi Cohen Duarte Engel Fontana Gruber Hansen
    Ivanko Jurgens Kowalczyk Lopez Marchetti Nowak Olsen Papadakis Reuter Schubert Thorsen Ustinov Vogel Winkler Zapata
"""
GIVEN, SURNAMES = _GIVEN.split(), _SURNAMES.split()
SPELLINGS = (
    ("Müller", "Mueller"), ("Jörg", "Joerg"), ("Dvořák", "Dvorak"), ("Łukasz", "Lukasz"), ("Søren", "Soeren"),
    ("Çelik", "Celik"), ("Émile", "Emile"), ("Größer", "Groesser"), ("Ångström", "Angstrom"), ("Nuñez", "Nunez"),
)  # fmt: skip
SCRIPTS = (
    ("Юлия", "Yulia"), ("Юлия", "Julia"), ("Сергей", "Sergei"), ("Михаил", "Mikhail"), ("Дмитрий", "Dmitri"),
    ("Γιώργος", "Giorgos"), ("Ольга", "Olga"), ("Наталья", "Natalya"), ("Андрей", "Andrey"), ("Елена", "Elena"),
)  # fmt: skip
SCRIPTS_OF_SURNAMES = (
    ("Чайковский", "Tchaikovsky"), ("Иванов", "Ivanov"), ("Петров", "Petrov"), ("Волков", "Wolkow"),
    ("Жуков", "Zhukov"),
    ("Παπαδόπουλος", "Papadopoulos"), ("Щербаков", "Shcherbakov"), ("Хрущёв", "Khrushchev"), ("Цветков", "Tsvetkov"),
)  # fmt: skip
SHORT = (
    ("Robert", "Bob"), ("William", "Bill"), ("Elizabeth", "Liz"), ("Katharina", "Kathi"), ("Michael", "Mike"),
    ("Johannes", "Hannes"), ("Margaret", "Peggy"), ("Alexander", "Sasha"), ("Wilhelm", "Willi"), ("José", "Pepe"),
)  # fmt: skip
SIBLINGS = (
    ("Martin", "Martina"), ("Alexander", "Alexandra"), ("Christian", "Christina"), ("Paul", "Paula"), ("Jan", "Jana"),
    ("Maria", "Marie"), ("Lena", "Lina"), ("Tim", "Tom"), ("Anna", "Hanna"), ("Daniel", "Daniela"),
)  # fmt: skip
ROLES = ("info", "sales", "office", "kontakt", "support", "buchhaltung", "hello", "team", "no-reply", "praxis")


@dataclass(slots=True)
class Book:
    """Payloads of Graph on both sides, who each of them is, and the pairs of the two sides that may be linked."""

    incoming: list[dict[str, Any]] = field(default_factory=list)
    present: list[dict[str, Any]] = field(default_factory=list)
    who: dict[str, str] = field(default_factory=dict)
    scene: dict[str, str] = field(default_factory=dict)
    allowed: set[tuple[str, str]] = field(default_factory=set)

    def same(self, one: str, two: str) -> bool:
        return self.who[one] == self.who[two]

    def true_pairs(self) -> set[tuple[str, str]]:
        people: dict[str, list[str]] = {}
        for key, person in sorted(self.who.items()):
            people.setdefault(person, []).append(key)
        return {(a, b) for keys in people.values() for at, a in enumerate(keys) for b in keys[at + 1 :]}


class Teller:
    """One telling of a scene: ``here`` and ``there`` put a card of a person on a side; unique words come from ``n``."""

    def __init__(self, book: Book, n: int, scene: str, draw: random.Random) -> None:
        self.book, self.n, self.scene, self.draw = book, n, scene, draw
        self.given, self.other = draw.sample(GIVEN, 2)
        self.surname, self.another = draw.sample(SURNAMES, 2)
        self.firm = f"firm{n}"
        self.mail = f"{self.given.lower()}.{self.surname.lower()}@{self.firm}.example"

    def number(self, at: int = 0) -> str:
        return f"+49 30 {1_000_000 + self.n * 10 + at}"

    def _card(self, side: list[dict[str, Any]], letter: str, person: str, values: dict[str, Any]) -> str:
        key = f"{letter}{len(side):05d}"
        given, surname = values.pop("given", self.given), values.pop("surname", self.surname)
        emails, phones = values.pop("emails", ()), values.pop("phones", ())
        names = {"givenName": given, "surname": surname, "displayName": f"{given} {surname}"} if given else {}
        card = {
            "id": key,
            **names,
            "emailAddresses": [{"address": text} for text in emails],
            "businessPhones": [*phones],
        }
        side.append(card | values)
        self.book.who[key], self.book.scene[key] = f"{self.n}/{person}", self.scene
        return key

    def here(self, person: str = "a", **values: Any) -> str:
        return self._card(self.book.incoming, "i", person, values)

    def there(self, person: str = "a", **values: Any) -> str:
        return self._card(self.book.present, "p", person, values)

    def allow(self, one: str, two: str) -> None:
        self.book.allowed.add((one, two))


Scene = Callable[[Teller], None]


def equal_address(t: Teller) -> None:
    t.allow(t.here(emails=[t.mail]), t.there(emails=[t.mail], phones=[t.number()]))


def address_written_otherwise(t: Teller) -> None:
    t.allow(t.here(emails=[f"mailto:{t.mail.upper()}"]), t.there(emails=[f" {t.mail}"]))


def diacritics(t: Teller) -> None:
    one, two = t.draw.choice(SPELLINGS)
    t.allow(t.here(surname=one, emails=[t.mail]), t.there(surname=two, emails=[t.mail]))


def another_script(t: Teller) -> None:
    one, two = zip(t.draw.choice(SCRIPTS), t.draw.choice(SCRIPTS_OF_SURNAMES), strict=True)
    here = t.here(given=one[0], surname=one[1], emails=[t.mail])
    t.allow(here, t.there(given=two[0], surname=two[1], emails=[t.mail]))


def nickname(t: Teller) -> None:
    one, two = t.draw.choice(SHORT)
    t.allow(t.here(given=one, emails=[t.mail]), t.there(given=two, emails=[t.mail]))


def initial(t: Teller) -> None:
    t.allow(t.here(given=f"{t.given[0]}.", emails=[t.mail]), t.there(emails=[t.mail]))


def display_name_only(t: Teller) -> None:
    shown = t.draw.choice((f"{t.surname}, {t.given}", f"Dr. {t.given} {t.surname}", f"{t.given} {t.surname} (Firm)"))
    t.allow(t.here(given="", displayName=shown, emails=[t.mail]), t.there(emails=[t.mail]))


def no_name(t: Teller) -> None:
    t.allow(t.here(given="", emails=[t.mail]), t.there(emails=[t.mail]))


def swapped_names(t: Teller) -> None:
    t.allow(t.here(given=t.surname, surname=t.given, emails=[t.mail]), t.there(emails=[t.mail]))


def middle_name(t: Teller) -> None:
    t.allow(t.here(given=f"{t.given} {t.other}", emails=[t.mail]), t.there(emails=[t.mail]))


def double_surname(t: Teller) -> None:
    t.allow(t.here(surname=f"{t.surname}-{t.another}", emails=[t.mail]), t.there(emails=[t.mail]))


def typing_error(t: Teller) -> None:
    at = t.draw.randrange(1, len(t.surname) - 1)
    wrong = t.surname[:at] + t.surname[at + 1 :] if len(t.surname) > 5 else t.surname
    t.allow(t.here(surname=wrong, emails=[t.mail]), t.there(emails=[t.mail]))


def second_address_equal(t: Teller) -> None:
    home = f"{t.given.lower()}@private{t.n}.example"
    t.allow(t.here(emails=[t.mail, home]), t.there(emails=[home]))


def twins_with_a_family_address(t: Teller) -> None:
    one, two = t.draw.choice(SIBLINGS)
    t.here("a", given=one, emails=[t.mail], birthday="1990-05-05")
    t.there("b", given=two, emails=[t.mail], birthday="1990-05-05")


def twins_with_a_shared_line(t: Teller) -> None:
    one, two = t.draw.choice(SIBLINGS)
    for person, given in (("a", one), ("b", two)):
        own = f"{given.lower()}@{t.firm}.example"
        here = t.here(person, given=given, emails=[own], phones=[t.number()])
        t.allow(here, t.there(person, given=given, emails=[own], phones=[t.number()]))


def couple_with_one_address(t: Teller) -> None:
    t.here("a", emails=[t.mail], phones=[t.number()])
    t.here("b", given=t.other, emails=[t.mail], phones=[t.number()])
    t.there("a", emails=[t.mail], phones=[t.number()])


def couple_as_one_card(t: Teller) -> None:
    t.here("both", given="", displayName=f"{t.given} & {t.other} {t.surname}", emails=[t.mail])
    t.there("a", emails=[t.mail])


def role_of_two_people(t: Teller) -> None:
    role = f"{t.draw.choice(ROLES)}@{t.firm}.example"
    t.here("a", emails=[role])
    t.there("b", given=t.other, surname=t.another, emails=[role])


def role_of_one_person(t: Teller) -> None:
    role = f"{t.draw.choice(ROLES)}@{t.firm}.example"
    t.here(emails=[role], companyName="Firm")
    t.there(emails=[role], companyName="Firm")


def land_line_of_colleagues(t: Teller) -> None:
    for at, (given, surname) in enumerate(zip(t.draw.sample(GIVEN, 5), t.draw.sample(SURNAMES, 5), strict=True)):
        mail = f"{given.lower()}@{t.firm}.example"
        side = t.here if at % 2 else t.there
        side(str(at), given=given, surname=surname, emails=[mail], phones=[t.number()], companyName=t.firm)


def equal_names_of_two_people(t: Teller) -> None:
    t.here("a", emails=[t.mail], companyName="Litware", phones=[t.number()])
    t.there("b", emails=[f"{t.given[0].lower()}{t.n}@other.example"], companyName="Fabrikam", phones=[t.number(1)])


def another_job_same_mobile(t: Teller) -> None:
    t.here(emails=[t.mail], mobilePhone=t.number())
    t.there(emails=[f"{t.given.lower()}@new{t.n}.example"], mobilePhone=t.number().replace(" ", "-"))


def another_provider_same_local_part(t: Teller) -> None:
    local = t.mail.partition("@")[0]
    t.here(emails=[f"{local}{t.n}@gmail.com"])
    t.there(emails=[f"{local}{t.n}@{t.firm}.example"])


def nickname_and_phone(t: Teller) -> None:
    one, two = t.draw.choice(SHORT)
    t.here(given=one, phones=[t.number()], emails=[t.mail])
    t.there(given=two, phones=[t.number()])


def typing_error_and_phone(t: Teller) -> None:
    t.here(surname=f"{t.surname[:-1]}", phones=[t.number()])
    t.there(phones=[t.number()])


def married(t: Teller) -> None:
    t.here(surname=t.another, emails=[t.mail])
    t.there(emails=[t.mail])


def father_and_son(t: Teller) -> None:
    t.here("father", generation="Sr.", emails=[t.mail], phones=[t.number()])
    t.there("son", generation="Jr.", emails=[t.mail], phones=[t.number()])


def address_given_to_a_successor(t: Teller) -> None:
    t.here("a", emails=[f"desk{t.n}.lead@{t.firm}.example"])
    t.there("b", given=t.other, surname=t.another, emails=[f"desk{t.n}.lead@{t.firm}.example"])


def two_addresses_of_two_contacts(t: Teller) -> None:
    second = f"second.{t.mail}"
    t.here("a", emails=[t.mail, second])
    t.there("a", emails=[t.mail])
    t.there("a", emails=[second])


def company_card(t: Teller) -> None:
    t.here("firm", given="", companyName=f"Firm {t.n} GmbH", displayName=f"Firm {t.n} GmbH", emails=[t.mail])
    t.there("a", emails=[t.mail], companyName=f"Firm {t.n} GmbH")


def two_cards_of_one_contact_that_differ(t: Teller) -> None:
    second = f"second.{t.mail}"
    t.here("a", emails=[t.mail])
    t.here("b", given=t.other, surname=t.another, emails=[second])
    t.there("a", given="", emails=[t.mail, second])


def address_inside_exchange(t: Teller) -> None:
    inside = f"/o=ExchangeLabs/ou=x/cn={t.n}"
    t.here(emails=[inside], companyName=t.firm)
    t.there(emails=[inside], companyName=t.firm)


def name_and_company_only(t: Teller) -> None:
    t.here(companyName=f"Firm {t.n} GmbH")
    t.there(companyName=f"Firm {t.n}", emails=[t.mail])


def namesakes_of_a_family(t: Teller) -> None:
    t.here("a", phones=[t.number()])
    t.there("b", given=t.other, phones=[t.number()])


SCENES: tuple[Scene, ...] = (
    equal_address, address_written_otherwise, diacritics, another_script, nickname, initial, display_name_only, no_name,
    swapped_names, middle_name, double_surname, typing_error, second_address_equal, twins_with_a_family_address,
    twins_with_a_shared_line, couple_with_one_address, couple_as_one_card, role_of_two_people, role_of_one_person,
    land_line_of_colleagues, equal_names_of_two_people, another_job_same_mobile, another_provider_same_local_part,
    nickname_and_phone, typing_error_and_phone, married, father_and_son, address_given_to_a_successor,
    two_addresses_of_two_contacts, company_card, two_cards_of_one_contact_that_differ, address_inside_exchange,
    name_and_company_only, namesakes_of_a_family,
)  # fmt: skip


def tell(seed: int, times: int = 20) -> Book:
    """Every scene ``times`` over, in one book."""
    draw, book = random.Random(seed), Book()
    for n, scene in enumerate(_order(draw, times)):
        scene(Teller(book, n, scene.__name__, draw))
    return book


def _order(draw: random.Random, times: int) -> Iterator[Scene]:
    scenes = [scene for scene in SCENES for _ in range(times)]
    draw.shuffle(scenes)
    yield from scenes
