"""A recording of 256 mebibytes takes no more memory than one of thirty-two, and no disk."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

MIB = 1024 * 1024
ALLOWED_KIB = 64 * 1024


@pytest.fixture
def chunk_max_bytes() -> int:
    return 10 * MIB


async def moved(house: Any, booked: dict[str, Any], meeting_id: str, size: int) -> dict[str, int]:
    """Peak memory of a worker process that moves one recording of this size."""
    await house.microsoft.recording_size(size)
    await house.hear(house.scheduled(booked, meeting_id))
    await house.happen(booked)
    values = house.service.settings.model_dump(mode="json") | {"client_secret": "", "meeting_id": meeting_id}
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("worker_process.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await worker.communicate(json.dumps(values).encode())
    assert worker.returncode == 0
    sizes = [event["size_bytes"] for event in await house.published("recording.imported")]
    assert sizes[-1] == size
    found: dict[str, int] = json.loads(said)
    return found


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_recording(house: Any) -> None:
    await house.connect()
    first, second = await house.book(), await house.book()
    small = await moved(house, first, "m1", 32 * MIB)
    large = await moved(house, second, "m2", 256 * MIB)
    print({"small": small, "large": large})  # noqa: T201 - shown with -s
    assert large["peak_kib"] - small["peak_kib"] < ALLOWED_KIB / 4
    assert large["peak_kib"] - large["idle_kib"] < ALLOWED_KIB
