"""Rounds of ours and the peer in turn, so that a slow minute of the machine meets both, and what they say."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

BENCHMARK_LIMIT_S = 50

Side = Callable[[], Awaitable[float]]
"""One round; returns what was measured."""


@dataclass
class Outcome:
    """The rounds of one benchmark; ``figure`` judges a pair (ours, peer), and the bar is for the median figure."""

    name: str
    unit: str
    figure_name: str
    bar: float
    figure: Callable[[float, float], float]
    lower_is_better: bool = False
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    note: str = ""
    """What else was found, printed under the table."""

    @property
    def figures(self) -> list[float]:
        return [self.figure(ours, peer) for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def meets(self) -> bool:
        middle = median(self.figures)
        return middle <= self.bar if self.lower_is_better else middle >= self.bar

    def add(self, ours: float, peer: float) -> None:
        self.ours.append(ours)
        self.peer.append(peer)

    def told(self) -> dict[str, Any]:
        """As JSON, with every round."""
        figures = self.figures
        said = {"benchmark": self.name, "unit": self.unit, "ours": self.ours, "peer": self.peer, "note": self.note}
        judged = {"figure": self.figure_name, "median": median(figures), "least": min(figures), "most": max(figures)}
        return said | judged | {"bar": self.bar, "lower_is_better": self.lower_is_better, "meets": self.meets}

    def row(self) -> list[str]:
        figures, sign = self.figures, "<=" if self.lower_is_better else ">="
        middle = median(self.ours)
        return [
            self.name,
            f"{middle:,.2f} {self.unit}" if middle < 100 else f"{middle:,.0f} {self.unit}",
            f"{median(self.peer):,.2f} {self.unit}" if middle < 100 else f"{median(self.peer):,.0f} {self.unit}",
            f"{median(figures):.2f} [{min(figures):.2f}..{max(figures):.2f}]",
            str(len(figures)),
            f"{self.figure_name} {sign} {self.bar:g}",
            "meets" if self.meets else "does not meet",
        ]


def ratio(ours: float, peer: float) -> float:
    return ours / peer


def difference(ours: float, peer: float) -> float:
    return ours - peer


def ours_alone(ours: float, _peer: float) -> float:
    """Where the bar is absolute; the peer tells what of it the machine is."""
    return ours


async def rounds(outcome: Outcome, ours: Side, peer: Side, count: int) -> Outcome:
    """One round of each to warm up, then ``count`` pairs, each pair in the other order than the one before.

    On a machine that is too busy it ends with fewer pairs, and the table says how many.
    """
    end = time.monotonic() + BENCHMARK_LIMIT_S
    await peer()
    await ours()
    for number in range(count):
        if outcome.ours and time.monotonic() > end:
            break
        if number % 2:
            mine, its = await ours(), await peer()
        else:
            its, mine = await peer(), await ours()
        outcome.add(mine, its)
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as aligned columns."""
    head = ["benchmark", "ours", "peer", "median [min..max]", "rounds", "bar", ""]
    lines = [head, *(outcome.row() for outcome in outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*rows, *(f"{outcome.name}: {outcome.note}" for outcome in outcomes if outcome.note)])
