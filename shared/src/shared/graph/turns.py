"""Which request goes next, when more wait than may go.

Two things are scarce: a mailbox's places and this process's connections. A request waits for both at once and holds
neither. Of those that could go, interactive goes before fresh before backfill; organisations take turns, then their
mailboxes. A priority that one mailbox passed over often enough has its turn there, so that none starves. Counting turns
instead of time keeps the order the same on a fast and on a slow machine.
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
"""What each may fill of the connections: a download keeps one for minutes, and a person must not wait for it."""
_ORGANISATION_SHARE = 0.6
_LEVELS = range(len(PRIORITIES))
_NO_LIMIT = 1 << 30


class Line:
    """Those who wait for one mailbox, or for no mailbox in one organisation; ``room`` is how many may go now."""

    def __init__(self, org_id: str, mailbox: str | None, places: int, served: int) -> None:
        self.org_id = org_id
        self.mailbox = mailbox
        self.room = _NO_LIMIT if mailbox is None else places
        self.numbers = set(range(places))
        self.users = 0
        self.held = False
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

    def join(self, org_id: str, mailbox: str | None) -> Line:
        """The line to wait in; ``quit`` when done with it."""
        line = self.lines.get((org_id, mailbox))
        if line is None:
            line = self.lines[org_id, mailbox] = Line(org_id, mailbox, self._places, next(self._count))
            self._served.setdefault(org_id, line.served)
        line.users += 1
        return line

    def quit(self, line: Line) -> None:
        line.users -= 1
        if not line.users:
            del self.lines[line.org_id, line.mailbox]
            if not any(org_id == line.org_id for org_id, _ in self.lines):
                del self._served[line.org_id]

    async def enter(self, line: Line, level: int, *, first: bool = False) -> None:
        """Wait for a turn. With ``first`` the caller had its turn, got no place, and goes before those who wait."""
        if line.room > 0 and not line.held and not any(line.waiting) and self._connects(line, level):
            self._go(line)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = line.waiting[level]
        (queue.appendleft if first else queue.append)(turn)
        self._dispatch()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # given the turn at the same moment
                self.leave(line)
            elif turn in queue:
                queue.remove(turn)
                self._dispatch()
            raise

    def leave(self, line: Line) -> None:
        """The request is over: its place and connection are free."""
        line.room += 1
        self._busy[line.org_id] -= 1
        if not self._busy[line.org_id]:
            del self._busy[line.org_id]
        self._dispatch()

    def hold(self, line: Line, seconds: float) -> None:
        """Let nobody of this line go for ``seconds``: other processes have its places."""
        line.held = True
        line.users += 1
        asyncio.get_running_loop().call_later(seconds, self._let_go, line)

    def _let_go(self, line: Line) -> None:
        line.held = False
        self._dispatch()
        self.quit(line)

    def _connects(self, line: Line, level: int) -> bool:
        return self._busy.total() < self._limits[level] and self._busy[line.org_id] < self._of_one

    def _go(self, line: Line) -> None:
        line.room -= 1
        line.served = self._served[line.org_id] = next(self._count)
        self._busy[line.org_id] += 1

    def _dispatch(self) -> None:
        """Let all go who may now."""
        while offers := [(level, line) for line in self.lines.values() if (level := self._offer(line)) is not None]:
            level, line = min(offers, key=lambda offer: (offer[0], self._served[offer[1].org_id], offer[1].served))
            turn = line.waiting[level].popleft()
            if not turn.done():  # one that was cancelled this moment has no turn
                for lower in _LEVELS[level + 1 :]:
                    line.passed[lower] += bool(line.waiting[lower])
                line.passed[level] = 0
                self._go(line)
                turn.set_result(None)

    def _offer(self, line: Line) -> int | None:
        """The priority that goes next in this line: the highest, or a lower one that was passed over often enough."""
        if line.room <= 0 or line.held:
            return None
        levels = [level for level in _LEVELS if line.waiting[level] and self._connects(line, level)]
        overdue = [level for level in levels if line.passed[level] >= PASSED_OVER[level] > 0]
        return next(iter(overdue[::-1] or levels), None)
