"""Pytest fixtures: one place for simulators in a test process, and a new simulator there for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .client import SimulatorClient
from .core import Simulator
from .testing import Hosting, make_state


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
