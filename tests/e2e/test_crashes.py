"""The main job goes on after death at every commit, write and publication of it, and leaves one of each."""

import itertools
import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from m365_simulator import Simulator
from shared.testing.databases import Databases
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .crashing import Housed, Life, MortalBus, Watched, living, mortal
from .in_process import LATER, ONCE, InProcess, Journey, check_one_of_each

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AT_MICROSOFT = re.compile(r"^/v1\.0/|/oauth2/v2\.0/token$|^/v1/uploads/")
EVERYTHING = re.compile("/")


class Mortals:
    """The services in this process, whose lives end at chosen points."""

    def __init__(self, place: InProcess) -> None:
        self.place = place
        microsoft = Watched(place.simulator.app, "Microsoft", AT_MICROSOFT)
        our_own = Watched(place.internal, "our own", EVERYTHING)
        place.simulator.app = microsoft
        self.public, self.internal = Housed(place.gateway), Housed(our_own)
        self.doors: list[Watched | Housed] = [microsoft, our_own, self.public, self.internal]

    async def live(self, deadly: Callable[[str], bool]) -> Life:
        """New services on what the last ones left; until the main job is done, or until a deadly point."""
        life = Life(deadly)
        for door in self.doors:
            door.life = life
        with living(life):
            await life.run(self._main_job(life))
        for door in self.doors:
            door.life = None
        await self.place.stop()
        return life

    async def _main_job(self, life: Life) -> None:
        await self.place.sql(*LATER)
        await self.place.start(MortalBus(self.place.bus, life), lambda service: mortal(service, life))
        await Journey(self.place).run()


@pytest.fixture
async def mortals(
    databases: Databases, platform_keys: PlatformKeys, simulator: Simulator, tmp_path: Path
) -> AsyncIterator[Mortals]:
    place = InProcess(databases, platform_keys, simulator, tmp_path)
    made = Mortals(place)
    async with serving(made.public) as place.url, serving(made.internal) as place.internal_url:
        await place.open()
        yield made
        await place.aclose()


async def test_death_at_every_point_of_the_main_job_leaves_one_of_each(mortals: Mortals) -> None:
    """One job, one death after another: each life ends at the first point that has not been deadly yet."""
    survived: set[str] = set()
    while (died_at := (await mortals.live(lambda point: point not in survived)).died_at) is not None:
        survived.add(died_at)
        print("DIED", died_at)  # noqa
    await check_one_of_each(mortals.place)
    assert_all_is_tried(survived)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_death_in_the_middle_of_a_job_leaves_one_of_each(mortals: Mortals, seed: int) -> None:
    """Anywhere among the points of a job, with nothing before it that could make good what it breaks."""
    chosen, points = random.Random(seed).randrange(150), itertools.count()
    died_at = (await mortals.live(lambda _point: next(points) == chosen)).died_at
    assert died_at is not None
    await mortals.live(lambda _point: False)
    await check_one_of_each(mortals.place)


def assert_all_is_tried(survived: set[str]) -> None:
    """Every service, every event and every kind of write has been in it, on both sides."""
    sides = {
        side: {point.replace(side, "", 1) for point in survived if side in point} for side in ("before ", "after ")
    }
    assert sides["before "] == sides["after "]
    words = " ".join(survived)
    for name in ("tenant-connector", "user-auth", "meetings", "recording-ingest", "storage"):
        assert f"{name}: before commit" in words
    for topic in ONCE:
        assert topic in words
    for write in ("POST /v1.0/me/events", "POST /v1.0/subscriptions", "PATCH /v1.0/me/onlineMeetings", "PUT /storage"):
        assert write in words
