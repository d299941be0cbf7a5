"""Which request goes next, when more wait than may go.

Two things are scarce: a mailbox's places and this process's connections. A request waits for both at once and holds
neither. Interactive goes before fresh before backfill; organisations take turns, then their mailboxes. A priority that
one mailbox passed over often enough has its turn there, so that none starves. Counting turns instead of time keeps the
order the same on a fast and on a slow machine.
"""

import asyncio
import itertools
from collections import Counter, deque
from typing import Final

from shared.database.work import PRIORITIES

CONNECTIONS = 100
PASSED_OVER: Final = (0, 4, 8)
"""How often a mailbox passes over interactive, fresh and backfill before they have a turn."""
_SHARES: Final = (1.0, 0.9, 0.75)
"""Share of the connections that each priority may fill. A download keeps one for minutes, while people wait."""
_ORGANISATION_SHARE = 0.6
_LEVELS = range(len(PRIORITIES))


class Line:
    """The requests to one mailbox, or those of one organisation to no mailbox: ``busy`` are under way, others wait."""

    def __init__(self, org_id: str, mailbox: str | None, served: int) -> None:
        self.org_id = org_id
        self.mailbox = mailbox
        self.busy = 0
        self.served = served
        self.passed = [0] * len(PRIORITIES)
        self.waiting: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in PRIORITIES)


class Turns:
    """One per process; ``enter`` before a request and ``leave`` after it. A mailbox has ``places``."""

    def __init__(self, places: int, connections: int = CONNECTIONS) -> None:
        self.lines: dict[tuple[str, str | None], Line] = {}
        self._places = places
        self._limits = [int(connections * share) or 1 for share in _SHARES]
        self._of_one = int(connections * _ORGANISATION_SHARE) or 1
        self._busy = Counter[str]()
        self._count = itertools.count()
        self._served: dict[str, int] = {}

    async def enter(self, org_id: str, mailbox: str | None, level: int) -> Line:
        """Wait for a turn. Returns what ``leave`` wants."""
        line = self.lines.get((org_id, mailbox))
        if line is None:
            line = self.lines[org_id, mailbox] = Line(org_id, mailbox, next(self._count))
            self._served.setdefault(org_id, line.served)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting[level].append(turn)
        self._dispatch()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # given the turn at the same moment
                self.leave(line)
            elif turn in line.waiting[level]:
                line.waiting[level].remove(turn)
                self._forget_idle()
            raise
        return line

    def leave(self, line: Line) -> None:
        """The request is over: its place and connection are free."""
        line.busy -= 1
        self._busy[line.org_id] -= 1
        self._dispatch()
        self._forget_idle()

    def _forget_idle(self) -> None:
        self.lines = {key: line for key, line in self.lines.items() if line.busy or any(line.waiting)}
        self._served = {line.org_id: self._served[line.org_id] for line in self.lines.values()}
        self._busy = +self._busy

    def _dispatch(self) -> None:
        """Let all go who may now."""
        while offers := [(level, line) for line in self.lines.values() if (level := self._offer(line)) is not None]:
            level, line = min(offers, key=lambda offer: (offer[0], self._served[offer[1].org_id], offer[1].served))
            turn = line.waiting[level].popleft()
            if turn.done():  # cancelled this moment
                continue
            for lower in _LEVELS[level + 1 :]:
                line.passed[lower] += bool(line.waiting[lower])
            line.passed[level] = 0
            line.busy += 1
            line.served = self._served[line.org_id] = next(self._count)
            self._busy[line.org_id] += 1
            turn.set_result(None)

    def _offer(self, line: Line) -> int | None:
        """The priority that goes next in this line: the highest, or a lower one that was passed over often enough."""
        if line.mailbox is not None and line.busy >= self._places:
            return None
        free = self._busy[line.org_id] < self._of_one
        levels = [at for at in _LEVELS if line.waiting[at] and free and self._busy.total() < self._limits[at]]
        overdue = [level for level in levels if line.passed[level] >= PASSED_OVER[level] > 0]
        return next(iter(overdue[::-1] or levels), None)
