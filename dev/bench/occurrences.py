"""B15: forty labelled histories of meetings, and which occurrence each recording and transcript is put into.

Ours is what recording-ingest decides with; beside it two simpler policies. Counts, no times, so one round says all.
"""

from collections import Counter

from dev import histories
from dev.bench.measuring import Outcome, ours_alone

PEERS = {"first of the series": histories.first_of_series, "nearest start": histories.nearest_start}


async def measure(_count: int) -> list[Outcome]:
    ours = histories.judged(histories.ours)
    outcomes = []
    for name, policy in PEERS.items():
        theirs = histories.judged(policy)
        outcome = Outcome(f"B15 {name}: wrong", "artefacts", "ours", 0, ours_alone, lower_is_better=True)
        outcome.add(ours["wrong"], theirs["wrong"])
        outcome.note = f"of {sum(ours.values())} artefacts: {_said(theirs)}; ours: {_said(ours)}"
        outcomes.append(outcome)
    outcome = Outcome("B15 left unassigned", "% of artefacts", "ours", 5, ours_alone, lower_is_better=True)
    outcome.add(100 * ours["unassigned"] / sum(ours.values()), 0)
    return [*outcomes, outcome]


def _said(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcomes[name]} {name}" for name in ("right", "wrong", "unassigned"))
