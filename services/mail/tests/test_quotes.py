"""The corpus of quotes: nothing of the sender's own is folded away, and what repeats an earlier mail is."""

from mail.display import Shown, shown
from services.mail.tests.corpora import Quoting, quotes

CASES = quotes()


def read(case: Quoting) -> Shown:
    return shown(case.html, case.text if case.html is None else None, case.unique, "held", {})


def folded_lines(mail: Shown) -> list[bool]:
    """For each line of the text that is shown, whether a fold has it."""
    lines, at = [], 0
    for line in mail.text.split("\n"):
        lines.append(any(fold.start <= at and at + len(line) <= fold.end for fold in mail.folds))
        at += len(line) + 1
    return lines


def test_every_case_is_shown_with_the_lines_that_it_has() -> None:
    for case in CASES:
        shown_lines = [line for line in read(case).text.split("\n") if line.strip()]
        assert [" ".join(line.split()) for line in shown_lines] == [
            " ".join(line.split()) for line in case.lines if line.strip()
        ], case.name


def counted(case: Quoting) -> tuple[int, int, int]:
    """Lines folded rightly, wrongly, and missed; empty ones are nobody's."""
    told = [is_quoted for line, is_quoted in zip(case.lines, case.quoted, strict=True) if line.strip()]
    mail = read(case)
    texts = mail.text.split("\n")
    folded = [fold for line, fold in zip(texts, folded_lines(mail), strict=True) if line.strip()]
    pairs = list(zip(told, folded, strict=True))
    return pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False))


def test_no_line_of_the_senders_own_is_folded_away() -> None:
    """M12: lines such as "From: Berlin" and "To: Munich" among them."""
    assert [case.name for case in CASES if counted(case)[1]] == []


def test_nearly_every_line_that_repeats_an_earlier_mail_is_folded() -> None:
    """M12, in ten languages."""
    missed = {case.name: counted(case)[2] for case in CASES if counted(case)[2]}
    assert sum(missed.values()) <= sum(counted(case)[0] for case in CASES) // 100, missed
