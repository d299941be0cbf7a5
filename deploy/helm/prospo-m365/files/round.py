# ruff: noqa: INP001, S310, T201 - a program of the test's pod, not a package
"""``helm test``: every service is ready, and an event goes from tenant-connector's database by Kafka to meetings."""

import asyncio
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from meetings.settings import Settings
from shared.database.unit_of_work import Database
from shared.events import TenantState
from shared.hosting.engine_security import database_security

PATIENCE_S = 120
NOBODY = "prospo-helm-test"
"""An organisation that is nobody's: a switch of it that is off changes nothing."""


def ready(settings: Settings, service: str) -> None:
    url = settings.internal_url.format(service=service) + "/health/ready"
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                print(f"{service} is ready", flush=True)
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > until:
                sys.exit(f"{service} is not ready at {url}: {error}")
            time.sleep(1)


async def round_trip(settings: Settings, emitting: str) -> None:
    security = database_security(settings)
    emitter = Database(emitting, source="tenant-connector", security=security)
    heard = Database(settings.database_url, source="meetings", security=security)
    async with emitter.unit_of_work(NOBODY) as work:
        state = {"connected": False, "tid": None, "features": {}, "changed_at": datetime.now(UTC)}
        event_id = work.outbox.add(
            TenantState.model_validate({"org_id": NOBODY, "aggregate_version": int(time.time()), **state})
        )
    until = time.monotonic() + PATIENCE_S
    found = text("SELECT 1 FROM inbox WHERE event_id = :event_id")
    while not await heard.at_once(found, {"event_id": event_id}):
        if time.monotonic() > until:
            sys.exit(f"tenant.state {event_id} did not reach meetings. See the logs of tenant-connector and meetings.")
        await asyncio.sleep(0.5)
    print(f"tenant.state {event_id} went from tenant-connector through Kafka to meetings", flush=True)
    await emitter.close()
    await heard.close()


if __name__ == "__main__":
    known = Settings()
    for name in os.environ["SERVICES"].split():
        ready(known, name)
    asyncio.run(round_trip(known, Settings(database_url=Path("/emitter/uri").read_text().strip()).database_url))
