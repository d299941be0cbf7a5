"""What only somebody else than Graph would send, and what Graph sends at the worst moment."""

import json
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from m365_simulator.changes import Change
from m365_simulator.core import Simulator
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

from .lifecycle import subscription_row
from .queueing import covers, enqueue, identity, tell
from .striking import strikes

BEFORE_ANSWER = fault("deliver_before_answer", "a notification arrives before POST /subscriptions is answered")
NEWEST = 200


class Recent:
    """The newest changes, for a notification that needs something to tell of."""

    def __init__(self, simulator: Simulator) -> None:
        self._changes: deque[Change] = deque(maxlen=NEWEST)
        simulator.changes.listen(self._changes.append)

    def of(self, subscription: Row) -> Change | None:
        return next((change for change in reversed(self._changes) if covers(subscription, change)), None)


async def deliver_before_answer(simulator: Simulator, recent: Recent, subscription: Row) -> None:
    """Tell the new subscription of the newest change it covers, or of an item nobody will find, and deliver it."""
    if not strikes(simulator, BEFORE_ANSWER, subscription["tenant"], subscription=subscription["id"]):
        return
    tell(simulator, subscription, recent.of(subscription) or _invented(simulator, subscription))
    for one in simulator.rounds:
        await one()


def _invented(simulator: Simulator, subscription: Row) -> Change:
    kind, key = subscription["changeType"].split(",")[0], simulator.ids.text("invented", 24)
    path = f"{subscription['resource'].partition('?')[0].lstrip('/')}/{key}"
    return Change(kind, "microsoft.graph.entity", subscription["tenant"], path, key, (subscription["resource"],))


@verb
def notification_forge(
    simulator: "Simulator",
    *,
    url: str = "",
    body: str | None = None,
    subscription: str = "",
    item: dict[str, Any] | None = None,
) -> None:
    """Somebody else sends to an address: a `body` as it is, or a subscription's item with some of it replaced."""
    row = subscription_row(simulator, subscription) if subscription else None
    address = url or (row or {}).get("notificationUrl", "")
    if urlsplit(address).scheme not in ("http", "https"):
        raise Refused("Give a url to send to, or a subscription.")
    if body is None:
        guessed: Row = {"changeType": "created", "resource": "communications/onlineMeetings('x')/recordings('y')"}
        known = {name: value for name, value in identity(row).items() if name != "clientState"} if row else {}
        body = json.dumps({"value": [{**known, **guessed, **(item or {})}]})
    enqueue(simulator, address, {"body": body}, kind="forged", subscription=(row or {}).get("id"))
