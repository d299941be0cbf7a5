"""Quotes found by ours, by mail-parser-reply and by quotequail in the same corpus."""

from collections.abc import Callable
from importlib import import_module

import pytest

from services.mail.tests.corpora import Quoting
from services.mail.tests.test_quotes import CASES, folded_lines, read

pytest.importorskip("mailparser_reply", reason="needs the packages of others: make test fetches them")
pytest.importorskip("quotequail", reason="needs the packages of others: make test fetches them")
LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da"]


def ours(case: Quoting) -> list[bool]:
    return folded_lines(read(case))


def mail_parser_reply(case: Quoting) -> list[bool]:
    """What is not in its latest reply; it is told every language of the corpus and gets the text that ours shows."""
    parser = import_module("mailparser_reply").EmailReplyParser(languages=list(LANGUAGES))
    text = read(case).text
    kept = [line.strip() for line in (parser.read(text).replies[0].full_body or "").split("\n")]
    return without(text, kept)


def quotequail(case: Quoting) -> list[bool]:
    """What it would not expand; of HTML it gets the text, as ours does."""
    text = read(case).text
    found = import_module("quotequail").quote(text, quote_intro_line=True)
    hidden = sum(part.count("\n") + 1 for expanded, part in found if not expanded)
    lines = text.count("\n") + 1
    return [False] * (lines - hidden) + [True] * hidden


def without(text: str, kept: list[str]) -> list[bool]:
    """For each line whether it is left out; ``kept`` has the others in their order."""
    folded = []
    for line in text.split("\n"):
        here = bool(kept) and line.strip() in kept
        if here:
            del kept[: kept.index(line.strip()) + 1]
        folded.append(not here)
    return folded


def score(peer: Callable[[Quoting], list[bool]]) -> tuple[float, int]:
    """F1 of the folded lines, and how many of senders' own were folded away; ``uniqueBody`` helps nobody here."""
    right = wrong = missed = 0
    for case in (case for case in CASES if case.unique is None):
        folded = [fold for line, fold in zip(read(case).text.split("\n"), peer(case), strict=True) if line.strip()]
        told = [is_quoted for line, is_quoted in zip(case.lines, case.quoted, strict=True) if line.strip()]
        pairs = list(zip(told, folded, strict=True))
        right += pairs.count((True, True))
        wrong += pairs.count((False, True))
        missed += pairs.count((True, False))
    return 2 * right / (2 * right + wrong + missed), wrong


def test_quotes_are_found_at_least_as_well_as_by_either_peer() -> None:
    scores = {peer.__name__: score(peer) for peer in (ours, mail_parser_reply, quotequail)}
    best, eaten = scores.pop("ours")
    assert eaten == 0
    assert best >= max(f1 for f1, _ in scores.values()), scores
