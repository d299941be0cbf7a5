"""Pairs of contacts that may be the same person, for a person to decide; the best first, each with its reasons.

Only cards that share something are compared: an address, a number, a surname, the words of the name, the local part of
an address, or a given name at one company. Each such block is read in order of names with a window, so that the work
grows with n log n and the memory with n, also where a thousand people share one number.
"""

import heapq
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contacts.evidence import WEIGHTS, Facts, Reason, facts_of, reason, signs
from contacts.matching import NOBODY_APART, Card, pair
from contacts.names import formal, loose

WINDOW: Final = 12
"""How many neighbours in a block a card is compared with; a block of up to so many is compared as a whole."""
BEFORE: Final = -4.0
"""What speaks against two cards that share a block before anything else is known, as a natural logarithm."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """``one`` and ``other`` are ids in order; ``score`` is from 0 to 1 and has no unit but its order."""

    one: str
    other: str
    score: float
    reasons: list[Reason]


def propose(
    cards: Sequence[Card],
    *,
    apart: Container[tuple[str, str]] = NOBODY_APART,
    floor: float = 0.5,
    per_card: int = 10,
) -> list[Proposal]:
    """The pairs among ``cards`` that score ``floor`` or more, at most ``per_card`` of each card, the best first.

    ``apart`` holds the pairs that a person said are not the same.
    """
    book = _Book(cards)
    best: dict[int, list[tuple[float, int, int]]] = {}
    for one, two in book.pairs():
        if pair(cards[one].id, cards[two].id) in apart or (score := book.score(one, two)) < floor:
            continue
        for at in (one, two):
            kept = best.setdefault(at, [])
            (heapq.heappush if len(kept) < per_card else heapq.heappushpop)(kept, (score, one, two))
    found = sorted({entry for kept in best.values() for entry in kept}, key=lambda entry: (-entry[0], entry[1:]))
    return [Proposal(*pair(cards[one].id, cards[two].id), score, book.reasons(one, two)) for score, one, two in found]


class _Book:
    """The cards with what is counted over all of them."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.facts = [facts_of(card) for card in cards]
        reached = Counter(value for card in cards for value in {*card.emails, *card.phones})
        self.shared = frozenset(value for value, count in reached.items() if count > 2)
        self.words = [_words(card) for card in cards]
        self.namesakes = Counter(self.words)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each pair of cards that shares a block, once, by their places."""
        blocks: dict[str, list[int]] = {}
        for at, facts in enumerate(self.facts):
            for key in {*_reached(facts), *_named(facts, self.words[at])}:
                blocks.setdefault(key, []).append(at)
        seen: set[int] = set()
        size = len(self.facts)
        for block in blocks.values():
            if len(block) > WINDOW:
                block.sort(key=self._order)
            for place, one in enumerate(block):
                for two in block[place + 1 : place + 1 + WINDOW]:
                    number = min(one, two) * size + max(one, two)
                    if number not in seen:
                        seen.add(number)
                        yield divmod(number, size)

    def _order(self, at: int) -> tuple[str, str, int]:
        name = self.facts[at].card.name
        return loose(" ".join(name.surname) or name.single), loose(" ".join(name.given)), at

    def score(self, one: int, two: int) -> float:
        found = [code for code, _ in signs(self.facts[one], self.facts[two], self.shared)]
        evidence = BEFORE + sum(WEIGHTS[code] for code in found)
        if self.words[one] == self.words[two] and (namesakes := self.namesakes[self.words[one]]) > 2:
            evidence -= math.log(namesakes / 2)
        return round(1 / (1 + math.exp(-evidence)), 4)

    def reasons(self, one: int, two: int) -> list[Reason]:
        return [reason(*sign) for sign in signs(self.facts[one], self.facts[two], self.shared)]


def _words(card: Card) -> str:
    """The words of the name in loose form, in order of the alphabet; empty without a name."""
    name = card.name
    return " ".join(sorted(map(loose, (*name.given, *name.surname, *name.single.split()))))


def _reached(facts: Facts) -> Iterable[str]:
    yield from (f"e {email}" for email in facts.emails)
    yield from (f"p {phone.partition(';')[0]}" for phone in facts.phones)
    yield from (f"l {local}" for local in facts.locals)


def _named(facts: Facts, words: str) -> Iterable[str]:
    """Blocks of names: equal words; a surname with a first letter; a given name with the beginning of the surname."""
    name = facts.card.name
    if words:
        yield f"w {words}"
    if not name.given or not name.surname:
        return
    first, whole = loose(name.given[0]), formal(name.given[0])
    for surname in map(loose, name.surname):
        yield from (f"s {surname} {first[:1]}", f"s {surname} {whole[:1]}", f"f {whole} {surname[:3]}")
    if facts.company:
        yield f"c {whole} {facts.company}"
    if facts.card.birthday:
        yield f"b {whole} {facts.card.birthday[-5:]}"
