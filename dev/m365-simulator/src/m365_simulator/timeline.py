"""What will happen by itself: actions at moments of one of the two clocks, in order, each once."""

import datetime
import heapq
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from .clock import Clock, ClockName, moment_of, stamp
from .store import Row, Store

if TYPE_CHECKING:
    from .core import Simulator

Action = Callable[["Simulator", Row], None]
ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    """Register what the timeline may do; stored by the function's name."""
    ACTIONS[function.__name__] = function
    return function


class Timeline:
    """Rows of the store, so a killed process forgets nothing. The same ``key`` again moves what was planned."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counted = itertools.count()
        self._numbers: dict[str, int] = {}
        self._coming: dict[str, list[tuple[str, int, str]]] = {"world": [], "service": []}
        for row in store.all("timeline"):
            self._await(row)

    def _await(self, row: Row) -> None:
        """Moment, number and key in order; what was moved or cancelled has another number, or none, by then."""
        number = self._numbers[row["key"]] = next(self._counted)
        heapq.heappush(self._coming[row["clock"]], (row["due"], number, row["key"]))

    def at(self, moment: datetime.datetime, act: Action, payload: Row, *, key: str, clock: ClockName = "world") -> None:
        row = {"key": key, "due": stamp(moment), "act": act.__name__, "payload": payload, "clock": clock}
        self._store.delete("timeline", key)  # the newest stands last among equals
        self._await(self._store.put("timeline", key, row))

    def cancel(self, key: str) -> None:
        self._store.delete("timeline", key)
        self._numbers.pop(key, None)

    def next_due(self, clock: ClockName) -> datetime.datetime | None:
        row = self._first(clock)
        return moment_of(row["due"]) if row else None

    def _first(self, clock: ClockName) -> Row | None:
        coming = self._coming[clock]
        while coming and self._numbers.get(coming[0][2]) != coming[0][1]:
            heapq.heappop(coming)
        return self._store.get("timeline", coming[0][2]) if coming else None

    def run_due(self, simulator: "Simulator", clock: ClockName) -> None:
        """Every action whose moment has come, earliest first; what an action plans for now is done as well."""
        while (row := self._first(clock)) is not None and moment_of(row["due"]) <= self._clock.now(clock):
            with self._store.together():
                self.cancel(row["key"])
                ACTIONS[row["act"]](simulator, row["payload"])
