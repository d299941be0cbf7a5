"""Microsoft's limits: what a request waits for before it goes, and what its answer teaches.

Outlook takes four requests at a time per application and mailbox. The services share them: a service's
``graph_mailbox_share`` is how many are its own, over all its processes (``slots``); who goes next is decided in
``turns``. A service without a share asks mailboxes so seldom that it takes no place; Microsoft's 429 covers that.

A refusal with ``Retry-After`` is for all who ask the same Microsoft service for the same person (or as the
application) in the same organisation: they wait as well, instead of each earning a refusal that counts against the
limit again. SharePoint says beforehand that a limit is near; backfill then stands back, and fresh when it is nearly
reached. What is learned is kept in this process, bounded; what is forgotten costs one more refusal.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.database.unit_of_work import Database
from shared.database.work import PRIORITIES, Priority
from shared.graph.errors import GraphRetry
from shared.graph.refusals import read_seconds, said_wait_s
from shared.graph.slots import Slots
from shared.graph.turns import Turns

PER_MAILBOX = 4
WAIT_S = 30.0
KEPT_AT_MOST = 4096
BELIEVED_S = 900.0
"""A longer wait is probed once more after this."""
LEFT: Final[dict[Priority, float]] = {"backfill": 0.2, "fresh": 0.05}
"""A request of this priority waits when no more than this part of SharePoint's limit is left; interactive never."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The limits that a request counts against. ``who`` is the person, empty for the application; ``mailbox`` is None
    outside Outlook.

    ``read`` names what is read, so that another read of it waits as well; empty for a write.
    """

    org_id: str
    who: str
    service: str
    mailbox: str | None = None
    priority: Priority = "fresh"
    read: str = ""


class Limits:
    """One per process. Wait for ``due``, ``enter`` around one request, ``learn`` from its answer.

    ``share`` is how many requests at a time a mailbox takes from this service. Moments are those of ``clock``.
    """

    def __init__(self, db: Database | None, share: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.turns = Turns(share)
        self.clock = clock
        self._share = share
        self._slots = Slots(db.connect, share) if db is not None else None
        self._until: dict[tuple[str, ...], float] = {}

    @asynccontextmanager
    async def enter(self, scope: Scope) -> AsyncIterator[None]:
        """A place of the mailbox and a connection. Raises ``GraphRetry`` when there is none within ``WAIT_S``."""
        mailbox = scope.mailbox if self._share else None
        with ExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_S):
                    line = await self.turns.enter(scope.org_id, mailbox, PRIORITIES[scope.priority])
                    held.callback(self.turns.leave, line)
                    if self._slots is not None and mailbox is not None:
                        held.callback(self._slots.give_back, await self._slots.take(scope.org_id, mailbox))
            except TimeoutError as error:
                whose = "a connection" if mailbox is None else "this mailbox"
                raise GraphRetry(f"Too many requests wait for {whose}. It is tried again.", after_s=5) from error
            yield

    def due(self, scope: Scope) -> float:
        """The moment before which Microsoft does not want to be asked; one in the past when it may be asked now."""
        if not self._until:
            return 0.0
        whose = (scope.org_id, scope.who, scope.service)
        keys: list[tuple[str, ...]] = [whose, (scope.org_id, scope.service, "near", scope.priority)]
        if scope.read:
            keys.append((*whose, scope.read))
        return max(self._until.get(key, 0.0) for key in keys)

    def learn(self, scope: Scope, status: int, headers: Mapping[str, str]) -> float:
        """Keep what an answer says of limits. Returns when the request that was refused may come again, or 0.

        429 is for all who share the limit, and SharePoint's 503 too; another's 503 is for who reads the same.
        """
        self._notice(scope, headers)
        whose = (scope.org_id, scope.who, scope.service)
        shared = status == 429 or (status == 503 and scope.service == "files")
        seconds = said_wait_s(headers) if shared or (status == 503 and scope.read) else None
        if seconds is None:
            return 0.0
        self._keep(whose if shared else (*whose, scope.read), min(seconds, BELIEVED_S))
        return self.clock() + seconds

    def _notice(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """SharePoint's ``RateLimit-*``: how much of the organisation's limit is left, and for how long."""
        if "ratelimit-limit" not in headers:
            return
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        limit, left, reset = (read_seconds(headers.get(name, "")) for name in names)
        if not limit or left is None or reset is None:
            return
        for priority, part in LEFT.items():
            if left <= limit * part:
                self._keep((scope.org_id, scope.service, "near", priority), min(reset, BELIEVED_S))

    def _keep(self, key: tuple[str, ...], seconds: float) -> None:
        self._until[key] = max(self.clock() + seconds, self._until.pop(key, 0.0))
        if len(self._until) > KEPT_AT_MOST:
            del self._until[next(iter(self._until))]

    async def aclose(self) -> None:
        if self._slots is not None:
            await self._slots.aclose()
