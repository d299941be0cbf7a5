"""The main job while Microsoft throttles, fails, hangs up and tells things twice, and what our calls looked like."""

import asyncio
from typing import Any

import pytest

from m365_simulator.client import SimulatorClient

from .conftest import RunningPlatform
from .test_main_job import check_one_of_each, demo_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ODDS: dict[str, dict[str, Any]] = {
    "throttle": {"probability": 0.15, "retry_after": 1},
    "server_error": {"probability": 0.1},
    "done_but_error": {"probability": 0.05},
    "reset": {"probability": 0.05},
    "done_but_reset": {"probability": 0.05},
    "duplicate_notifications": {"probability": 0.5},
    "cut_download": {"probability": 0.5},
}

STRIKING = {"throttle": 429, "server_error": 503}
"""Once for sure, however the odds fall."""


@pytest.mark.parametrize("seed", ["a storm", "another"])
async def test_the_main_job_ends_with_one_of_each_and_no_careless_call(platform: RunningPlatform, seed: str) -> None:
    platform.environment["SIMULATOR_SEED"] = seed
    described = platform.start()
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        for name in STRIKING:
            await microsoft.fault(name, **{**ODDS[name], "probability": 1.0})
        for name, odds in ODDS.items():
            await microsoft.fault(name, times=None, **odds)
        lines = await asyncio.to_thread(demo_lines, platform)
        assert lines[-1] == "The main job is done, every step of it."
        await microsoft.clear_faults()
        calls, findings = await microsoft.calls(), await microsoft.findings()
    assert set(STRIKING.values()) <= {call["status"] for call in calls}, "the storm did not reach us"
    assert findings == []
    await check_one_of_each(described)
