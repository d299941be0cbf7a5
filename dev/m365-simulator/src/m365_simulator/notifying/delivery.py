"""Notifications on their way: queued when something changes, sent again until they are taken."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of
from m365_simulator.faults import fault
from m365_simulator.store import Row

if TYPE_CHECKING:
    from m365_simulator.core import Simulator

RETRY_FOR_S = 4 * 3600
DROP = fault("drop_notifications", "a notification is lost")
DUPLICATE = fault("duplicate_notifications", "a notification is sent twice")


class Delivery:
    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        simulator.changes.listen(self.changed)
        simulator.rounds.append(self.deliver)

    def changed(self, change: Change) -> None:
        """Queue the notification for each subscription that covers the change."""
        covering = {resource.lower() for resource in change.covered_by}
        now = self._simulator.clock.service()
        for subscription in self._simulator.store.all("subscriptions"):
            alive = moment_of(subscription["expires"]) > now
            alive = alive and (change.only_for is None or subscription["id"] in change.only_for)
            if alive and subscription["tenant"] == change.tenant and subscription["resource"].lower() in covering:
                self._queue(subscription, change)

    def _queue(self, subscription: Row, change: Change) -> None:
        faults = self._simulator.faults
        if faults.due(DROP, tenant=change.tenant):
            return
        copies = 2 if faults.due(DUPLICATE, tenant=change.tenant) else 1
        name = "#" + change.type_name.replace("microsoft.graph", "Microsoft.Graph")
        item = {
            "id": self._simulator.ids.guid("notification"),
            "subscriptionId": subscription["id"],
            "clientState": subscription.get("clientState"),
            "changeType": change.change_type,
            "resource": change.resource,
            "resourceData": {"@odata.type": name, "@odata.id": change.resource, "id": change.item_id},
            "tenantId": change.tenant,
            "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        }
        now = self._simulator.clock.service().timestamp()
        for _ in range(copies):
            key = self._simulator.ids.guid("delivery")
            row = {"id": key, "url": subscription["notificationUrl"], "item": item, "queued": now}
            self._simulator.store.put("deliveries", key, {**row, "attempts": 0, "next": now})

    async def deliver(self) -> None:
        """One round of the deliveries that are due."""
        now = self._simulator.clock.service().timestamp()
        due = [row for row in self._simulator.store.all("deliveries") if row["next"] <= now]
        await asyncio.gather(*(self._deliver(row) for row in due))

    async def _deliver(self, row: Row) -> None:
        status = None
        with contextlib.suppress(httpx.HTTPError):
            status = (await self._simulator.outbound.post(row["url"], json={"value": [row["item"]]})).status_code
        now = self._simulator.clock.service().timestamp()
        if (status is not None and 200 <= status < 300) or now - row["queued"] > RETRY_FOR_S:
            self._simulator.store.delete("deliveries", row["id"])
            return
        row["attempts"] += 1
        row["next"] = now + min(60.0, 0.25 * 2 ** min(row["attempts"], 10))
        self._simulator.store.put("deliveries", row["id"], row)
