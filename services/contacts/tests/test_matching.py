"""Who is linked without asking, who is proposed, over a labelled address book."""

import random
from collections import Counter

import pytest

from contacts.matching import Card, Link, card_of_reading, card_of_record, link, pair
from contacts.merging import drop, merge
from contacts.normalising import normalise
from contacts.proposing import Proposal, propose
from contacts.records import empty
from services.contacts.tests.address_book import Book, tell

SEEDS = (1, 2, 3, 4)


def cards(payloads: list[dict[str, object]]) -> list[Card]:
    return [card_of_reading(str(payload["id"]), normalise(payload, region="DE")) for payload in payloads]


@pytest.fixture(scope="module", params=SEEDS)
def book(request: pytest.FixtureRequest) -> Book:
    return tell(request.param)


def test_every_automatic_link_is_right_and_hardly_any_is_missed(book: Book) -> None:
    links = {(one.card, one.contact) for one in link(cards(book.incoming), cards(book.present))}
    wrong = Counter(book.scene[card] for card, contact in links if not book.same(card, contact))
    assert not wrong
    beyond = Counter(book.scene[card] for card, _ in links - book.allowed)
    assert not beyond, "the same person, but the rule asks first"
    missed = Counter(book.scene[card] for card, _ in book.allowed - links)
    assert len(links & book.allowed) >= 0.95 * len(book.allowed), missed


def test_links_do_not_depend_on_the_order_of_the_cards(book: Book) -> None:
    incoming, present = cards(book.incoming), cards(book.present)
    first = set(link(incoming, present))
    draw = random.Random(5)
    draw.shuffle(incoming)
    draw.shuffle(present)
    assert set(link(incoming, present)) == first


def test_proposals_find_the_same_people_and_put_them_first(book: Book) -> None:
    """Namesakes of other tellings are proposed too, with less evidence, so that they stand behind."""
    true = book.true_pairs()
    found = [pair(one.one, one.other) for one in propose(cards(book.incoming + book.present))]
    assert len(found) == len(set(found))
    missed = Counter(book.scene[one] for one, _ in true - set(found))
    assert len(true & set(found)) >= 0.95 * len(true), missed
    first = found[: len(true) * 2 // 3]
    wrong = Counter(book.scene[one] for one, other in first if (one, other) not in true)
    assert wrong.total() <= 0.1 * len(first), wrong


ANNA = Card("c1", given="Anna", surname="Meyer", emails=("anna@x.example",))
SAME = Card("i1", given="Anna", surname="Meyer", emails=("anna@x.example",))
MANY = [Card("i2", given="Anna", surname="Meyer", emails=("anna@x.example",)), SAME]


def test_a_source_seen_before_keeps_its_contact() -> None:
    other = Card("i1", given="Bert", surname="Otto", emails=("bert@x.example",))
    assert link([other], [ANNA], known={"i1": "c1"}) == [Link("i1", "c1", "same_source")]


def test_people_who_are_not_the_same_are_neither_linked_nor_proposed_again() -> None:
    assert link([SAME], [ANNA]) == [Link("i1", "c1", "same_email", "anna@x.example")]
    apart = {pair("i1", "c1")}
    assert link([SAME], [ANNA], apart=apart) == []
    assert link([SAME], [ANNA], known={"i1": "c1"}, apart=apart) == []
    assert propose([SAME, ANNA], apart=apart) == []
    assert [(one.one, one.other) for one in propose([SAME, ANNA])] == [("c1", "i1")]


def test_an_address_has_to_be_unique_on_both_sides() -> None:
    assert link(MANY, [ANNA]) == []
    assert link([SAME], [ANNA, Card("c2", emails=("anna@x.example",))]) == []
    assert link([SAME], [Card("c1", given="Anna", surname="Meyer")]) == []


def test_an_address_that_was_removed_or_is_not_valid_links_nobody() -> None:
    payload = {"id": "AAMk", "displayName": "x", "emailAddresses": [{"address": "a@x.example"}, {"address": "at home"}]}
    reading = normalise(payload)
    record = merge(empty(), reading, source="s", at="2026-11-29T10:00:00Z").record
    assert card_of_reading("i", reading).emails == card_of_record("c", record).emails == ("a@x.example",)
    left = drop(record, "emails", "a@x.example", person="p", at="2026-11-29T10:00:00Z").record
    assert card_of_record("c", left).emails == ()


def test_a_proposal_says_what_speaks_for_and_against_it() -> None:
    one = Card("a", given="Robert", surname="Meyer", company="Litware GmbH", phones=("+49301",), birthday="1990-01-02")
    two = Card("b", given="Bob", surname="Meyer", company="Litware", phones=("+49301",), birthday="--01-02")
    (proposal,) = propose([one, two])
    assert [reason["code"] for reason in proposal.reasons] == [
        "same_phone",
        "nickname",
        "same_company",
        "same_birthday",
    ]
    assert proposal.reasons[0]["sentence"] == "Both have the number +49301."


def test_a_thousand_cards_with_one_number_and_one_name_stay_affordable() -> None:
    """Every card shares number, firm and surname with every other: of half a million pairs, few are compared."""
    crowd = [
        Card(
            f"c{n}",
            given=f"G{n % 7}",
            surname="Meyer",
            company="Litware",
            phones=("+49301",),
            emails=("info@x.example",),
        )
        for n in range(1_000)
    ]
    compared = 0

    class Counting(frozenset[tuple[str, str]]):
        def __contains__(self, _: object) -> bool:
            nonlocal compared
            compared += 1
            return False

    proposals: list[Proposal] = propose(crowd, apart=Counting(), floor=0.0, per_card=5)
    assert compared < 100 * len(crowd)
    assert len(proposals) <= 5 * len(crowd)
