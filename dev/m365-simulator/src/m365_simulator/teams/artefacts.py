"""A meeting and what it leaves behind, all at once: for whoever does not care how it came about."""

from typing import TYPE_CHECKING

from m365_simulator.clock import moment_of
from m365_simulator.store import Row

from . import lifecycle
from .leftovers import KINDS, created, shown

if TYPE_CHECKING:
    from m365_simulator.core import Simulator


def let_happen(simulator: "Simulator", meeting: Row) -> None:
    """Push the clock past the meeting's end (of a series: the next occurrence's), its artefacts and their news."""
    if lifecycle.call_of(simulator, meeting["id"]) and meeting.get("steered"):
        lifecycle.end(simulator, meeting, simulator.now())
    lifecycle.plan(simulator, meeting)
    _pass(simulator, f"life/{meeting['id']}/", once=True)
    _pass(simulator, f"artefacts/{meeting['id']}/", once=False)


def _pass(simulator: "Simulator", begins: str, *, once: bool) -> None:
    while due := [row["due"] for row in simulator.store.all("timeline") if row["key"].startswith(begins)]:
        missing = (moment_of(max(due)) - simulator.now()).total_seconds()
        simulator.advance(max(0.0, missing))
        if once:
            return


__all__ = ["KINDS", "created", "let_happen", "shown"]
