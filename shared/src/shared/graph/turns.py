"""Whose request goes next, when more want to go than may.

Two things are scarce: a mailbox's four places and this process's connections. A request waits for both at once and
holds neither. Of those that could go, interactive goes before fresh before backfill, but a priority that was passed
over often enough has its turn, so that none starves; within a priority organisations take turns, then their mailboxes.
Counting turns instead of time keeps the order the same on a fast and on a slow machine.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.database.work import PRIORITIES

CONNECTIONS = 100
PER_MAILBOX = 4
PASSED_OVER: Final = (0, 4, 8)
"""How often interactive, fresh and backfill are passed over before they have a turn."""
_SHARES: Final = (1.0, 0.9, 0.75)
"""What each may fill of the connections: a download keeps one for minutes, and a person must not wait for it."""
_ORGANISATION_SHARE = 0.6
_LEVELS = range(len(PRIORITIES))
_NO_LIMIT = 1 << 30


class Line:
    """Those who wait for one mailbox, or for no mailbox in one organisation; ``room`` is how many may go now."""

    def __init__(self, org_id: str, mailbox: str | None) -> None:
        self.org_id = org_id
        self.mailbox = mailbox
        self.room = _NO_LIMIT if mailbox is None else PER_MAILBOX
        self.numbers = set(range(PER_MAILBOX))
        self.users = 0
        self.held = False
        self.served = 0
        self.passed = [0] * len(PRIORITIES)
        self.offer: int | None = None
        self.waiting: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in PRIORITIES)

    @property
    def place(self) -> tuple[str, str | None]:
        return self.org_id, self.mailbox

    def levels(self) -> list[int]:
        return [level for level in _LEVELS if self.waiting[level]]


class Turns:
    """One per process; ``enter`` before a request and ``leave`` after it."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self.lines: dict[tuple[str, str | None], Line] = {}
        self._limits = [int(connections * share) or 1 for share in _SHARES]
        self._of_one = int(connections * _ORGANISATION_SHARE) or 1
        self._busy = 0
        self._busy_of: dict[str, int] = {}
        self._passed = [0] * len(PRIORITIES)
        self._open: tuple[dict[str, dict[Line, None]], ...] = tuple({} for _ in PRIORITIES)

    def join(self, org_id: str, mailbox: str | None) -> Line:
        """The line to wait in; ``quit`` when done with it."""
        line = self.lines.get((org_id, mailbox))
        if line is None:
            line = self.lines[org_id, mailbox] = Line(org_id, mailbox)
        line.users += 1
        return line

    def quit(self, line: Line) -> None:
        line.users -= 1
        if not line.users:
            del self.lines[line.place]

    def at_once(self, line: Line, level: int) -> bool:
        """Go when nobody waits and there is room; as cheap as it can be, for this is how most requests go."""
        free = line.room > 0 and not line.held and not any(line.waiting) and self._connects(line, level)
        if free:
            self._go(line)
        return free

    async def enter(self, line: Line, level: int, *, first: bool = False) -> None:
        """Wait until it is one's turn; ``first``: it was already, and has to be taken up again."""
        if self.at_once(line, level):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = line.waiting[level]
        (queue.appendleft if first else queue.append)(turn)
        self._dispatch(line)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                if turn in queue:
                    queue.remove(turn)
                self._dispatch(line)
            else:  # given the turn at the same moment
                self.leave(line)
            raise

    def leave(self, line: Line) -> None:
        """The request is over: its place and connection are free."""
        line.room += 1
        self._busy -= 1
        self._busy_of[line.org_id] -= 1
        if not self._busy_of[line.org_id]:
            del self._busy_of[line.org_id]
        self._dispatch(line)

    def hold(self, line: Line, seconds: float) -> None:
        """Nobody of this line goes for so long: other processes have its places."""
        line.held = True
        line.users += 1
        asyncio.get_running_loop().call_later(seconds, self._let_go, line)

    def rest(self, line: Line, number: int, seconds: float) -> None:
        """Keep a place that was given back empty for so long, for other processes to take."""
        line.room -= 1
        line.users += 1
        asyncio.get_running_loop().call_later(seconds, self._rested, line, number)

    def _let_go(self, line: Line) -> None:
        line.held = False
        self._dispatch(line)
        self.quit(line)

    def _rested(self, line: Line, number: int) -> None:
        line.numbers.add(number)
        line.room += 1
        self._dispatch(line)
        self.quit(line)

    def _connects(self, line: Line, level: int) -> bool:
        return self._busy < self._limits[level] and self._busy_of.get(line.org_id, 0) < self._of_one

    def _go(self, line: Line) -> None:
        line.room -= 1
        line.served += 1
        self._busy += 1
        self._busy_of[line.org_id] = self._busy_of.get(line.org_id, 0) + 1

    def _dispatch(self, changed: Line) -> None:
        """Let all go who may now."""
        self._list(changed)
        while (level := self._next_level()) is not None:
            line = self._first(level)
            if line is None:
                return
            turn = line.waiting[level].popleft()
            if not turn.done():  # one that was cancelled this moment has no turn
                _count(line.passed, line.levels(), level)
                self._go(line)
                turn.set_result(None)
            self._list(line)

    def _next_level(self) -> int | None:
        offered = [level for level in _LEVELS if self._open[level] and self._first(level)]
        if not offered:
            return None
        level = _choice(offered, self._passed)
        _count(self._passed, offered, level)
        return level

    def _first(self, level: int) -> Line | None:
        """The line whose turn it is, of the organisation whose turn it is."""
        for lines in self._open[level].values():
            line = next(iter(lines))
            if self._connects(line, level):
                return line
        return None

    def _list(self, line: Line) -> None:
        """Note what a line offers, at the end of its organisation's lines, and the organisation at the end of all."""
        if line.offer is not None:
            lines = self._open[line.offer].pop(line.org_id)
            del lines[line]
            if lines:
                self._open[line.offer][line.org_id] = lines
            line.offer = None
        levels = line.levels()
        if levels and line.room > 0 and not line.held:
            line.offer = _choice(levels, line.passed)
            self._open[line.offer].setdefault(line.org_id, {})[line] = None


def _choice(levels: Sequence[int], passed: Sequence[int]) -> int:
    """The highest priority, or a lower one that was passed over often enough."""
    return next((level for level in reversed(levels) if passed[level] >= PASSED_OVER[level] > 0), levels[0])


def _count(passed: list[int], levels: Sequence[int], chosen: int) -> None:
    passed[chosen] = 0
    for level in levels:
        passed[level] += level > chosen
