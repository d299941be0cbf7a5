"""What this process has learned of limits: nobody asks again before Microsoft said so, and rare lists are spread.

A refusal with ``Retry-After`` is for all who ask the same service for the same person (or as the application) in the
same organisation: they wait as well, instead of each earning a refusal that counts against the limit again.
SharePoint says beforehand that a limit is near; backfill then stands back, and fresh when it is nearly reached.
Memory is bounded; what is forgotten costs one more refusal.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shared.database.work import Priority
from shared.graph.refusals import read_seconds

KEPT_AT_MOST = 4096
BELIEVED_S = 900.0
"""A longer wait is probed once more after this."""
LEFT: Final[dict[Priority, float]] = {"backfill": 0.2, "fresh": 0.05}
"""Who stands back when no more than this part of SharePoint's limit is left; interactive never does."""

_Scope = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose limits a request counts against; ``who`` is empty for the application."""

    org_id: str
    who: str
    service: str


class Throttles:
    """Until when whom to spare. Moments are those of ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._until: dict[_Scope, float] = {}

    def learn(self, scope: Scope, status: int, seconds: float | None) -> float:
        """A refusal told to come back after ``seconds``. Returns the moment, or one in the past.

        429 is for all who share the limit, and SharePoint's 503 too; another's 503 is for what was asked.
        """
        shared = status == 429 or (status == 503 and scope.service == "files")
        if not shared or seconds is None:
            return 0.0
        now = self.clock()
        self._keep((scope.org_id, scope.who, scope.service), now + min(seconds, BELIEVED_S))
        return now + seconds

    def notice(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """SharePoint's ``RateLimit-*``: how much of the organisation's limit is left, and for how long."""
        if "ratelimit-limit" not in headers:
            return
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        limit, left, reset = (read_seconds(headers.get(name, "")) for name in names)
        if not limit or left is None or reset is None:
            return
        for priority, part in LEFT.items():
            if left <= limit * part:
                self._keep((scope.org_id, scope.service, "near", priority), self.clock() + min(reset, BELIEVED_S))

    def until(self, scope: Scope, priority: Priority) -> float:
        """The moment to wait for; one in the past when there is none."""
        if not self._until:
            return 0.0
        learned = self._until.get((scope.org_id, scope.who, scope.service), 0.0)
        return max(learned, self._until.get((scope.org_id, scope.service, "near", priority), 0.0))

    def _keep(self, key: _Scope, moment: float) -> None:
        self._until[key] = max(moment, self._until.pop(key, 0.0))
        if len(self._until) > KEPT_AT_MOST:
            now = self.clock()
            self._until = {key: until for key, until in self._until.items() if until > now}
        if len(self._until) > KEPT_AT_MOST:
            del self._until[next(iter(self._until))]


@dataclass(frozen=True, slots=True)
class Limit:
    """``count`` requests in ``window_s`` for each of what ``per`` names: app, organisation or path."""

    count: int
    window_s: float
    per: str


LIMITS: Final[dict[str, tuple[Limit, ...]]] = {
    "GET /subscriptions": (Limit(40, 20.0, "app"), Limit(25, 20.0, "organisation")),
    "GET /teams/{id}/channels": (Limit(4, 1.0, "path"),),
}
"""Documented limits low enough that one process can meet them alone. Of several processes each keeps to them by
itself; what they do together is left to Microsoft's refusals."""


class Rates:
    """Moments at which a request that ``LIMITS`` names may go; each is given once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._given: dict[tuple[str, str, str], deque[float]] = {}

    def reserve(self, name: str, org_id: str, path: str, patience_s: float) -> float:
        """How long to wait before it may go. A wait beyond ``patience_s`` is told and not reserved."""
        limits = LIMITS.get(name)
        if limits is None:
            return 0.0
        now = self.clock()
        named = {"app": "", "organisation": org_id, "path": f"{org_id} {path.partition('?')[0]}"}
        windows = [(self._window((name, limit.per, named[limit.per]), limit, now), limit) for limit in limits]
        due = [window[0] + limit.window_s for window, limit in windows if len(window) == limit.count]
        moment = max([now, *due])
        if moment - now <= patience_s:
            for window, _ in windows:
                window.append(moment)
        return moment - now

    def _window(self, key: tuple[str, str, str], limit: Limit, now: float) -> deque[float]:
        """The last moments given, in order; those of others are forgotten when they are past."""
        window = self._given.get(key)
        if window is None:
            if len(self._given) >= KEPT_AT_MOST:
                longest = max(one.window_s for limits in LIMITS.values() for one in limits)
                self._given = {key: given for key, given in self._given.items() if given and given[-1] > now - longest}
            window = self._given[key] = deque(maxlen=limit.count)
        return window
