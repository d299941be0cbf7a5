"""Our proposals beside those of splink, the best known probabilistic linker, over the same labelled address book.

splink gets what we give ourselves: names taken apart, folded and without titles, all addresses and numbers in normal
form and rules for candidates as wide as our blocks. It trains itself on the very book that it is asked about.
"""

import itertools
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from contacts.evidence import facts_of
from contacts.matching import Card, card_of_reading
from contacts.names import fold, formal
from contacts.normalising import normalise
from contacts.proposing import propose
from services.contacts.tests.address_book import Book, tell

pytest.importorskip(
    "splink", reason="not locked: splink, a peer of our proposals; pip install splink runs them beside each other"
)

import pyarrow as pa
import splink.comparison_library as compare
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

Scored = list[tuple[float, tuple[str, str]]]
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def cards(book: Book) -> list[Card]:
    both = [*book.incoming, *book.present]
    return [card_of_reading(payload["id"], normalise(payload, region="DE")) for payload in both]


def row(card: Card) -> dict[str, Any]:
    facts = facts_of(card)
    given, surname = " ".join(card.name.given), " ".join(card.name.surname)
    return {
        "unique_id": card.id,
        "given": given or None,
        "formal": formal(card.name.given[0]) if given else None,
        "surname": surname or None,
        "whole": card.name.whole or None,
        "emails": sorted(card.emails),
        "email": min(card.emails, default=None),
        "local": min(facts.locals, default=None),
        "phones": sorted(card.phones),
        "phone": min(card.phones, default=None),
        "company": facts.company or None,
        "birthday": card.birthday or None,
        "suffix": fold(card.suffix) or None,
    }


def of_splink(book: list[Card]) -> Scored:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("splink").setLevel(logging.ERROR)
        database = DuckDBAPI()
        table = database.register(pa.Table.from_pylist([row(card) for card in book]))
        names = ["email", "phone", "local", "whole"]
        rules = [*map(block_on, names), block_on("surname", "substr(given, 1, 1)"), block_on("surname", "formal")]
        rules += [block_on("formal", "substr(surname, 1, 3)"), block_on("formal", "company")]
        rules += [block_on("emails", arrays_to_explode=["emails"]), block_on("phones", arrays_to_explode=["phones"])]
        comparisons = [
            compare.NameComparison("given"),
            compare.NameComparison("surname").configure(term_frequency_adjustments=True),
            compare.JaroWinklerAtThresholds("whole", [0.95, 0.88]),
            compare.ArrayIntersectAtSizes("emails", [1]),
            compare.ArrayIntersectAtSizes("phones", [1]),
            compare.ExactMatch("local"),
            compare.ExactMatch("company"),
            compare.ExactMatch("birthday"),
            compare.ExactMatch("suffix"),
        ]
        settings = SettingsCreator(
            link_type="dedupe_only", comparisons=comparisons, blocking_rules_to_generate_predictions=rules
        )
        linker = Linker(table, settings)
        certain = [block_on("email", "surname"), block_on("phone", "whole")]
        linker.training.estimate_probability_two_random_records_match(certain, recall=0.5)
        linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
        for name in ("surname", "email", "formal"):
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(name))
        found = linker.inference.predict(threshold_match_probability=0.001).as_record_list()
    return [(one["match_probability"], _pair(one["unique_id_l"], one["unique_id_r"])) for one in found]


def _pair(one: str, two: str) -> tuple[str, str]:
    return (one, two) if one < two else (two, one)


def of_ours(book: list[Card]) -> Scored:
    return [(one.score, (one.one, one.other)) for one in propose(book, floor=0.01)]


def points(found: Scored, true: set[tuple[str, str]]) -> Iterator[tuple[float, float]]:
    """Precision and recall at every threshold."""
    right = seen = 0
    ranked = sorted(found, reverse=True)
    for _, same in itertools.groupby(ranked, key=lambda entry: entry[0]):
        for _, pair in same:
            seen, right = seen + 1, right + (pair in true)
        yield right / seen, right / len(true)


def recall_at(found: Scored, true: set[tuple[str, str]], precision: float) -> float:
    return max((recall for at, recall in points(found, true) if at >= precision), default=0.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_proposals_find_at_least_what_splink_finds_at_equal_precision(seed: int) -> None:
    book = tell(seed)
    everybody, true = cards(book), book.true_pairs()
    ours, theirs = of_ours(everybody), of_splink(everybody)
    found = {at: (recall_at(ours, true, at), recall_at(theirs, true, at)) for at in PRECISIONS}
    assert all(mine >= other for mine, other in found.values()), found
    assert max(other for _, other in found.values()) > 0.5, f"splink was set up badly: {found}"
