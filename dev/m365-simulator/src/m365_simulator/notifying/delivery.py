"""Notifications on their way: sent in order of their moments, in batches per address, again until they are taken."""

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import httpx

from m365_simulator.clock import stamp
from m365_simulator.faults import fault
from m365_simulator.store import Row

from . import endpoints, log
from .figures import Figures, figures
from .queueing import held, missed, told
from .sealing import validation_tokens

if TYPE_CHECKING:
    from m365_simulator.core import Simulator

TOOK = fault("delivery_took", "an address's answer counts as having taken `seconds`, but nobody waits", "seconds")
REORDER = fault("reorder_notifications", "the notifications of one batch come in the opposite order")
Batch = list[Row]


class Delivery:
    """Hears of changes, and delivers what is due when the simulator goes its rounds; one round at a time."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._round = asyncio.Lock()
        _forget_older(simulator)
        simulator.changes.listen(lambda change: told(simulator, change))
        simulator.rounds.append(self.deliver)

    async def deliver(self) -> None:
        """One round of the deliveries that are due: addresses beside one another, each one's batches in order."""
        async with self._round:
            turns: dict[str, list[Batch]] = {}
            for batch in self._due():
                turns.setdefault(batch[0]["url"], []).append(batch)
            await asyncio.gather(*(self._in_turn(batches) for batches in turns.values()))

    async def _in_turn(self, batches: list[Batch]) -> None:
        for batch in batches:
            await self._send(batch)

    def _due(self) -> list[Batch]:
        now = self._simulator.clock.service().timestamp()
        rows = [row for row in self._simulator.store.all("deliveries") if row["next"] <= now]
        rows.sort(key=lambda row: (row["next"], row["number"]))
        return _batches([row for row in rows if not self._held(row, now)], figures(self._simulator))

    def _held(self, row: Row, now: float) -> bool:
        """Waits, within its hours, for an authorisation that ended."""
        if "basis" not in row or row["kind"] == "lifecycle":
            return False
        if not held(self._simulator, row["subscription"], row["basis"]):
            return False
        if now - row["queued"] > figures(self._simulator).retry_for_s:
            self._end(row, "lost")
        else:
            log.note(self._simulator, row["number"], "held")
        return True

    def _end(self, row: Row, status: str, attempt: Row | None = None) -> None:
        self._simulator.store.delete("deliveries", row["id"])
        log.note(self._simulator, row["number"], status, attempt)
        if status == "lost":
            missed(self._simulator, row.get("subscription"))

    async def _send(self, batch: Batch) -> None:
        simulator, numbers, url = self._simulator, figures(self._simulator), batch[0]["url"]
        again = batch[0]["attempts"] > 0
        allowance = numbers.retry_allowance_s if again else numbers.first_allowance_s
        at = stamp(simulator.clock.service())
        status, took, problem = await self._post(url, self._body(batch), allowance)
        late = took > allowance
        endpoints.note(
            simulator,
            url,
            over_first=took > numbers.first_allowance_s,
            over_retry=took > numbers.retry_allowance_s or (late and again),
        )
        attempt = {"at": at, "status": status, "seconds": round(took, 3), "together": len(batch)}
        attempt |= {"problem": problem} if problem else {}
        with simulator.store.together():
            for row in batch:
                if status is not None and 200 <= status < 300 and not late:
                    self._end(row, "delivered", attempt)
                else:
                    self._again(row, attempt, numbers)

    def _again(self, row: Row, attempt: Row, numbers: Figures) -> None:
        """Later, twice as long after each attempt, while its hours last. What is lost then is not told again."""
        now = self._simulator.clock.service().timestamp()
        wait = min(numbers.backoff_most_s, numbers.backoff_first_s * 2 ** min(row["attempts"], 30))
        if now + wait - row["queued"] > numbers.retry_for_s:
            self._end(row, "lost", attempt)
            return
        kept = {**row, "attempts": row["attempts"] + 1, "next": now + wait}
        self._simulator.store.put("deliveries", row["id"], kept)
        log.note(self._simulator, row["number"], "waiting", attempt)

    def _body(self, batch: Batch) -> bytes:
        if "body" in batch[0]:
            return str(batch[0]["body"]).encode("utf-8", "surrogatepass")
        items = [row["item"] for row in batch]
        if len(items) > 1 and self._simulator.faults.due(REORDER, url=batch[0]["url"]):
            items.reverse()
        body: dict[str, Any] = {"value": items}
        if batch[0]["kind"] == "rich":
            body["validationTokens"] = validation_tokens(
                self._simulator, [(row["app"], row["tenant"]) for row in batch]
            )
        return json.dumps(body).encode()

    async def _post(self, url: str, body: bytes, allowance: float) -> tuple[int | None, float, str]:
        """The status or None, how long it took, and what kept an answer away."""
        began, status, problem, least = time.monotonic(), None, "", 0.0
        try:
            async with asyncio.timeout(allowance):
                headers = {"Content-Type": "application/json; charset=utf-8"}
                status = (await self._simulator.outbound.post(url, content=body, headers=headers)).status_code
        except (TimeoutError, httpx.TimeoutException):
            problem, least = "no answer in time", allowance + 0.001
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
        if (found := self._simulator.faults.due(TOOK, url=url)) is not None:
            least = float(found.get("seconds", 4))
        return status, max(time.monotonic() - began, least), problem


def _forget_older(simulator: "Simulator") -> None:
    """Rows that an older version left in a kept state say too little."""
    for kind, name in (("subscriptions", "watched"), ("deliveries", "number")):
        for row in simulator.store.all(kind):
            if name not in row:
                simulator.store.delete(kind, row["id"])


def _batches(rows: list[Row], numbers: Figures) -> list[Batch]:
    """What goes together: one address, one kind, first tries apart from repeats; a forged body stands alone."""
    open_for: dict[tuple[Any, ...], Batch] = {}
    found: list[Batch] = []
    alone = itertools.count()
    for row in rows:
        key = (row["url"], row["kind"], row["attempts"] > 0, next(alone) if "body" in row else -1)
        batch = open_for.get(key)
        if batch is None or len(batch) >= numbers.batch:
            batch = open_for[key] = []
            found.append(batch)
        batch.append(row)
    return found
