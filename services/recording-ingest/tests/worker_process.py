"""A worker of its own process: does what is due until the recording is imported, then says what memory it took."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from recording_ingest.main import create_service
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, StepRow
from shared.hosting.service import Service
from shared.telemetry import set_up_logs
from shared.testing.memory_bus import MemoryBus


def peak_kib() -> int:
    """Peak memory of this program. ``getrusage`` counts the parent before the exec too, so it is the last resort."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])


async def imported(service: Service, meeting_id: str) -> bool:
    query = select(ArtefactRow).where(ArtefactRow.meeting_id == meeting_id, col(ArtefactRow.kind) == "recording")
    async with service.db.system_work() as work:
        row = (await work.session.exec(query)).first()
    return row is not None and row.status == "imported"


async def begun(service: Service, meeting_id: str) -> int:
    """How often a job took the recording up."""
    query = select(StepRow).where(StepRow.meeting_id == meeting_id, col(StepRow.what) == "import_begun")
    async with service.db.system_work() as work:
        return len([step for step in await work.session.exec(query) if step.details["kind"] == "recording"])


async def longest_stall(worst: list[float]) -> None:
    """How long the event loop kept others waiting at most."""
    while True:
        since = time.monotonic()
        await asyncio.sleep(0)
        worst[0] = max(worst[0], time.monotonic() - since)
        await asyncio.sleep(0.05)


async def work(service: Service, meeting_id: str) -> dict[str, float]:
    await service.start(api=False, worker=False)
    idle, worst = peak_kib(), [0.0]
    watching = asyncio.create_task(longest_stall(worst))
    while not await imported(service, meeting_id):
        await service.runner.drain()
        await asyncio.sleep(0.2)
    watching.cancel()
    taken = {"idle_kib": idle, "peak_kib": peak_kib(), "stalled_s": worst[0]}
    taken["jobs_begun"] = await begun(service, meeting_id)
    await service.stop()
    return taken


def main() -> None:
    values: dict[str, Any] = json.load(sys.stdin)
    meeting_id = values.pop("meeting_id")
    set_up_logs("ERROR")
    service = create_service(Settings(**values), bus=MemoryBus())
    print(json.dumps(asyncio.run(work(service, meeting_id))))  # noqa: T201 - the answer


main()
