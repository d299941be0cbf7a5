"""Pytest fixtures: one place for simulators in a test process, and a new simulator there for each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .client import SimulatorClient
from .core import Simulator
from .testing import Hosting, make_state, sign_in

SIGNED_IN = "signed-in"
PEOPLE = ("anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example")


@pytest.fixture(scope="session")
def new_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State of a new simulator, with keys and certificates, to copy."""
    return make_state(tmp_path_factory.mktemp("simulator") / "new")


@pytest.fixture(scope="session")
async def hosting(new_state: Path) -> AsyncIterator[Hosting]:
    made = Hosting(new_state.parent)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture(scope="session")
async def signed_in(hosting: Hosting) -> dict[str, dict[str, Any]]:
    """People's tokens by address, from consents that every simulator with the seed ``SIGNED_IN`` starts with."""
    async with hosting.seeding(SIGNED_IN), SimulatorClient(hosting.settings.http_base_url) as client:
        return {address: await sign_in(client, hosting.settings, address) for address in PEOPLE}


@pytest.fixture
def seed() -> str:
    """What the simulator starts with; a folder of tests overrides it with a seed of its own."""
    return "new"


@pytest.fixture
async def simulator(hosting: Hosting, seed: str, tmp_path: Path) -> AsyncIterator[Simulator]:
    async with hosting.simulator(tmp_path / "simulator", seed) as made:
        yield made


@pytest.fixture
async def microsoft(simulator: Simulator) -> AsyncIterator[SimulatorClient]:
    """Drives the simulator."""
    async with SimulatorClient(simulator.settings.http_base_url) as client:
        yield client
