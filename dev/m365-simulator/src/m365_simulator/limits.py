"""Throttling: requests per window, and the four at a time that Outlook takes per mailbox and application.

The figures are Microsoft's published ones where there are any; ``limit_set`` adds or changes one. Throttled requests
count as well, so a client that hammers stays throttled.
"""

import fnmatch
import math
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Literal

from .store import Row
from .verbs import verb

if TYPE_CHECKING:
    from .core import Simulator

PER_MAILBOX = 4
SIGNAL_FROM = 0.8
"""SharePoint tells what is left from this share of its limit on."""
PUBLISHED: list[Row] = [
    {"name": "outlook", "path": "outlook", "requests": 10_000, "seconds": 600, "scope": "user"},
    {"name": "list-subscriptions", "path": "GET /subscriptions", "requests": 25, "seconds": 20, "scope": "tenant"},
    {"name": "change-subscriptions", "path": "* /subscriptions*", "requests": 500, "seconds": 20, "scope": "tenant"},
    {"name": "sharepoint", "path": "sharepoint", "requests": 3_000, "seconds": 300, "scope": "user"},
]
OUTLOOK = frozenset(
    [
        "events",
        "calendar",
        "calendars",
        "calendarview",
        "messages",
        "mailfolders",
        "contacts",
        "contactfolders",
        "sendmail",
        "outlook",
        "mailboxsettings",
        "translateexchangeids",
    ]
)
SHAREPOINT = frozenset(["drive", "drives", "sites", "shares"])


def workload(path: str) -> str:
    """``outlook``, ``sharepoint`` or ``other``, from a path without ``/v1.0``."""
    parts = path.lower().strip("/").split("/")
    if parts[0] == "users" and len(parts) > 1:
        parts = parts[1:]
    head = (parts[1] if len(parts) > 1 and parts[0] not in SHAREPOINT else parts[0]).partition("(")[0]
    if head in OUTLOOK:
        return "outlook"
    return "sharepoint" if head in SHAREPOINT or parts[-1] == "filesfolder" else "other"


class Limits:
    """In memory: a restarted Microsoft has forgotten who hammered it."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._seen: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self.in_flight: dict[str, int] = defaultdict(int)
        self.most_in_flight: dict[str, int] = defaultdict(int)

    def rows(self) -> list[Row]:
        changed = {row["name"]: row for row in self._simulator.store.all("limits")}
        return [*(row for row in PUBLISHED if row["name"] not in changed), *changed.values()]

    def count(self, method: str, path: str, about: dict[str, str]) -> tuple[int | None, dict[str, str]]:
        """Seconds to wait when a limit is reached, and SharePoint's headers about what is left."""
        kind = workload(path)
        wait: int | None = None
        headers: dict[str, str] = {}
        for row in self.rows():
            if not (row["path"] == kind or fnmatch.fnmatch(f"{method} {path}", row["path"])):
                continue
            used, until = self._used(row, about)
            if used > row["requests"]:
                wait = max(wait or 0, math.ceil(until))
            if kind == "sharepoint" and used >= SIGNAL_FROM * row["requests"]:
                headers |= _signal(row, used, until)
        return wait, headers

    def _used(self, row: Row, about: dict[str, str]) -> tuple[int, float]:
        now = self._simulator.clock.service().timestamp()
        times = self._seen[row["name"], about.get(row["scope"], "")]
        while times and times[0] <= now - row["seconds"]:
            times.popleft()
        times.append(now)
        if len(times) > 2 * row["requests"] + 10:  # a flood costs no memory
            times.popleft()
        return len(times), times[0] + row["seconds"] - now

    def enter(self, mailbox: str) -> bool:
        """Whether there is room; ``leave`` in any case."""
        self.in_flight[mailbox] += 1
        self.most_in_flight[mailbox] = max(self.most_in_flight[mailbox], self.in_flight[mailbox])
        return self.in_flight[mailbox] <= PER_MAILBOX

    def leave(self, mailbox: str) -> None:
        self.in_flight[mailbox] -= 1
        if not self.in_flight[mailbox]:
            del self.in_flight[mailbox]


def _signal(row: Row, used: int, until: float) -> dict[str, str]:
    left = max(0, row["requests"] - used)
    return {
        "RateLimit-Limit": str(row["requests"]),
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": str(math.ceil(until)),
    }


@verb
def limit_set(
    simulator: "Simulator",
    *,
    name: str,
    path: str,
    requests: int,
    seconds: float,
    scope: Literal["app", "tenant", "user"] = "tenant",
) -> Row:
    """Throttle requests that match path: outlook, sharepoint, or a glob such as 'GET /me/contacts*'."""
    row = {"name": name, "path": path, "requests": requests, "seconds": seconds, "scope": scope}
    return simulator.store.put("limits", name, row)
