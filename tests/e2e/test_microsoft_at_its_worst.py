"""The main job while Microsoft throttles, fails, hangs up and tells things twice, and what our calls looked like."""

from pathlib import Path
from typing import Any

import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.faults import Faults
from shared.testing.databases import Databases
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .in_process import InProcess, Journey, check_one_of_each

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
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


@pytest.mark.usefixtures("kept_certificates")
@pytest.mark.parametrize("chance", ["a storm", "another"])
async def test_the_main_job_ends_with_one_of_each_and_no_careless_call(
    chance: str, databases: Databases, platform_keys: PlatformKeys, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults = Faults(simulator.store, chance)
    place = InProcess(databases, platform_keys, simulator, tmp_path)
    async with serving(place.gateway) as place.url, serving(place.internal) as place.internal_url:
        await place.open()
        await place.start()
        async with SimulatorClient(simulator.settings.http_base_url) as microsoft:
            for name in STRIKING:
                await microsoft.fault(name, **{**ODDS[name], "probability": 1.0})
            for name, odds in ODDS.items():
                await microsoft.fault(name, times=None, **odds)
            await Journey(place, hurried=False).run()
            await microsoft.clear_faults()
            calls, findings = await microsoft.calls(), await microsoft.findings()
        await place.stop()
        assert set(STRIKING.values()) <= {call["status"] for call in calls}, "the storm did not reach us"
        # Meetings and recordings each list the person's subscriptions, and neither knows what the other was told.
        assert [one for one in findings if not one["call"]["path"].endswith("/subscriptions")] == []
        await check_one_of_each(place)
        await place.aclose()
