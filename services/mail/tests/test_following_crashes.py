"""A worker dies at every commit of following; another one goes on, and nothing is lost, doubled or told twice."""

from typing import Any

import pytest

from mail.main import create_service
from mail.settings import Settings
from services.mail.tests.post_office import ADA, ANNA, BO
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow, pytest.mark.parametrize("settings", [{"mail_page_size": 2}])]


class Survived(set[str]):
    """Points at which nobody dies any more; what subscriptions and connections commit has tests of its own."""

    def __contains__(self, point: object) -> bool:
        elsewhere = any(one in str(point) for one in ("graph_subscription", "follow_connections"))
        return elsewhere or super().__contains__(point)


class Workers(MortalWorkers):
    def __init__(self, house: Any, start_service: StartService) -> None:
        self.house = house
        super().__init__(lambda: start_service(create_service, Settings, "mail"))
        self.survived = Survived()

    async def work(self) -> None:
        """Everything due is done at last, by however many."""
        while await self.live():
            await self.house.sql(LEASES_END)
            await self.house.sql("UPDATE job SET run_at = clock_timestamp() WHERE state = 'waiting' AND attempt > 0")


async def test_death_at_every_commit_keeps_each_mail_once(house: Any, start_service: StartService) -> None:
    """The first round, the next one with news, a move and a deletion, and past mail of a new contact."""
    workers = Workers(house, start_service)
    post = house.post
    first = [await post.arrives(ADA, f"First {number}") for number in range(3)]
    await post.arrives("carla@old.example", "Past")
    await house.follow("anna")
    await workers.work()
    assert await post.subjects() == [(f"First {number}", 1) for number in range(3)]
    house.work = workers.work
    await house.microsoft.do("mail_delete", user=ANNA, message=first[0]["immutable"])
    await house.microsoft.do("mail_move", user=ANNA, message=first[1]["immutable"], folder="Away")
    for number in range(2):
        await post.arrives(BO, f"New {number}")
    await post.look()
    await post.knows("c-carla", "carla@old.example")
    assert await post.subjects() == [("First 1", 1), ("First 2", 1), ("New 0", 1), ("New 1", 1), ("Past", 1)]
    assert len(await house.rows("message")) == 5
    assert len(await house.published("mail.received")) == 2
    assert await house.rows("mail_round") == await house.rows("mail_backfill") == []
    for side in ("before", "after"):
        points = " | ".join(point for point in workers.survived if point.startswith(f"mail: {side}"))
        for kind in ("sync_mailbox", "read_past", "follow_addresses"):
            assert f"commit of job {kind}" in points, kind
        for table in ("mail_round", "message", "conversation", "outbox", "mailbox_folder", "contact_address"):
            assert f" {table}" in points, table
