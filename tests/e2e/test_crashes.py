"""The main job goes on after death at every commit, write and publication of it, and leaves one of each."""

import asyncio
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

from .crashing import Death, Housed, Life, MortalBus, Watched, living, mortal, tasks_noted
from .in_process import LATER, LEASES, ONCE, SERVICES, InProcess, Journey, check_one_of_each

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AT_MICROSOFT = re.compile(r"^/v1\.0/|/oauth2/v2\.0/token$|^/v1/uploads/")
WRITES = (
    *("POST /v1.0/me/events", "PATCH /v1.0/me/onlineMeetings", "POST /v1.0/subscriptions"),
    *("POST /storage/internal/upload-sessions", "PUT /storage/", "POST /user-auth/internal/tokens"),
)
AS_WELL = {"after PUT /storage/": "storage: after commit of update stored_file, insert outbox"}
"""The same moment: the file is whole and the answer lost. Who died there sends nothing again that could be answered."""
FRESH = "UPDATE job SET attempt = 0"
"""A job is given up after some tries, and here it dies more often than that."""
EVERYTHING = re.compile("/")


class Mortals:
    """The services in this process, whose lives end at chosen points."""

    def __init__(self, place: InProcess) -> None:
        self.place = place
        self.lives: dict[str, Life] = {}
        self.doors = [
            Watched(place.simulator.app, "Microsoft", AT_MICROSOFT),
            Watched(place.internal, "our own", EVERYTHING),
        ]
        place.simulator.app = self.doors[0]

    async def live(self, deadly: Callable[[str], bool]) -> list[str]:
        """Until the main job is done, or until deadly points: these. Who died before lives again."""
        await self.bury()
        death = Death(deadly)
        death.lives = self.lives
        for one in (*self.doors, *self.lives.values()):
            one.death = death
        doing, died = asyncio.ensure_future(self._main_job(death)), asyncio.ensure_future(death.came.wait())
        await asyncio.wait({doing, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not death.points:
            doing.result()
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        await self.bury()
        for door in self.doors:  # what a dead one asked is still done, and that is this death's affair
            await door.idle.wait()
        await self.bury()
        return death.points

    async def _main_job(self, death: Death) -> None:
        born = [name for name in SERVICES if name not in self.lives]
        await self.place.sql(LEASES, services=born)
        await self.place.sql(FRESH, LATER)
        for name in born:
            self.lives[name] = life = Life(death)
            service = self.place.make(name, MortalBus(self.place.bus, life))
            self.place.apps[name] = Housed(service.app, life)
            mortal(service, life)
        for name in born:
            with living(self.lives[name]):
                await self.place.services[name].start(api=True, worker=True)
            self.lives[name].started = True
        await Journey(self.place).run()

    async def bury(self, *, all_of_them: bool = False) -> None:
        """Another one may die meanwhile."""
        while over := [name for name, life in self.lives.items() if life.dead or all_of_them or not life.started]:
            life = self.lives.pop(over[0])
            life.dead = True
            await life.bury()
            await self.place.services.pop(over[0]).stop()


@pytest.fixture
async def mortals(
    databases: Databases,
    platform_keys: PlatformKeys,
    simulator: Simulator,
    tmp_path: Path,
    kept_certificates: None,
) -> AsyncIterator[Mortals]:
    place = InProcess(databases, platform_keys, simulator, tmp_path)
    made = Mortals(place)
    async with serving(place.gateway) as place.url, serving(made.doors[1]) as place.internal_url:
        await place.open()
        with tasks_noted():
            yield made
            await made.bury(all_of_them=True)
        await place.aclose()


async def test_death_at_every_point_of_the_main_job_leaves_one_of_each(mortals: Mortals) -> None:
    """One job, one death after another: each life ends at the first point that has not been deadly yet."""
    survived: set[str] = set()
    while died_at := await mortals.live(lambda point: point not in survived):
        survived.update(died_at)
    await mortals.bury(all_of_them=True)
    await check_one_of_each(mortals.place)
    assert_all_is_tried(survived)


@pytest.mark.parametrize("chance", [1, 2, 3])
async def test_one_death_in_the_middle_of_a_job_leaves_one_of_each(mortals: Mortals, chance: int) -> None:
    """Anywhere among the points of a job, with nothing before it that could make good what it breaks."""
    chosen, points = random.Random(chance).randrange(150), itertools.count()
    assert await mortals.live(lambda _point: next(points) == chosen)
    assert await mortals.live(lambda _point: False) == []
    await mortals.bury(all_of_them=True)
    await check_one_of_each(mortals.place)


def assert_all_is_tried(survived: set[str]) -> None:
    """Every service, every event and every kind of write, on both sides."""
    for side in ("before", "after"):
        points = " ".join(point for point in survived if f"{side} " in point)
        for name in SERVICES:
            assert f"{name}: {side} commit" in points
        for topic in ONCE:
            assert re.search(rf"{side} publication of ([a-z._]+, )*{topic}", points)
        for write in WRITES:
            assert f"{side} {write}" in points or AS_WELL.get(f"{side} {write}", "none") in points
