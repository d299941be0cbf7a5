"""A disconnect removes the subscriptions with the person's token; a reconnect ends what an earlier life left."""

from typing import Any

from recording_ingest.main import create_service
from recording_ingest.settings import Settings
from shared.events import Features, TenantConnected
from shared.testing.examples import leaving
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers

from .steps import do_all

ROWS = "SELECT subscription_id FROM graph_subscription"


async def at_microsoft(house: Any) -> int:
    return len((await house.microsoft.state())["subscriptions"])


async def told(house: Any) -> list[Any]:
    return [(one["removed"], one["left"]) for one in await house.published("recording.traces_removed")]


async def test_a_disconnect_removes_the_subscriptions_in_the_persons_name(house: Any) -> None:
    await house.connect()
    assert await at_microsoft(house) == 2
    calls = len(await house.microsoft.calls())
    await house.hear(leaving(house.person(2, connected=False)))
    assert len(await house.sql(ROWS)) == 2  # until they are removed
    await do_all(house)
    assert (await at_microsoft(house), await house.sql(ROWS), await told(house)) == (0, [], [(2, [])])
    assert not any(call["app_only"] for call in (await house.microsoft.calls())[calls:])


async def test_an_organisations_end_leaves_them_to_each_persons_end(house: Any) -> None:
    await house.connect()
    state = leaving(house.person(2, connected=False))
    await house.hear(house.news(2, connected=False).model_copy(update={"leaving_until": state.leaving_until}))
    await do_all(house)
    assert (await at_microsoft(house), len(await house.sql(ROWS))) == (2, 2)
    await house.hear(state)
    await do_all(house)
    assert (await at_microsoft(house), await told(house)) == (0, [(2, [])])


async def test_one_in_the_making_at_the_end_is_taken_back(house: Any) -> None:
    async def end() -> None:
        await house.hear(leaving(house.person(2, connected=False)))

    house.graph_wire.during("POST", "/v1.0/subscriptions", end)
    await house.connect()
    await do_all(house)
    assert (await at_microsoft(house), await house.sql(ROWS)) == (0, [])


async def test_death_at_every_commit_of_leaving_ends_the_same(house: Any, start_service: StartService) -> None:
    await house.connect()
    workers = MortalWorkers(lambda: start_service(create_service, Settings, "recording-ingest"))
    await house.hear(leaving(house.person(2, connected=False)))
    while await workers.live():
        await house.sql(LEASES_END)
        await house.hurry()
    assert "job leave" in " ".join(workers.survived)
    assert (await at_microsoft(house), await house.sql(ROWS), await told(house)) == (0, [], [(2, [])])


async def left_behind(house: Any) -> None:
    """Both subscriptions are there, and we know of none: the connection ended without a word to Microsoft."""
    await house.connect()
    house.tenant_connector.refused = True
    await house.hear(house.person(2, connected=False), house.news(2, connected=False))
    await do_all(house)
    house.tenant_connector.refused = False
    assert (await at_microsoft(house), await house.sql(ROWS)) == (2, [])


def connected(version: int) -> TenantConnected:
    about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "display_name": "Contoso"}
    return TenantConnected(**about, features=Features(auto_recording=True))


async def swept(house: Any) -> None:
    await house.settle()
    await house.hurry("sweep_leftovers")
    await house.settle()


async def test_the_application_ends_subscriptions_of_people_who_stay_away(house: Any) -> None:
    await left_behind(house)
    await house.hear(connected(3), house.news(3))
    await house.settle()
    assert await at_microsoft(house) == 2  # at the first look nothing is ended
    await swept(house)
    assert await at_microsoft(house) == 0


async def test_who_connects_between_the_looks_keeps_theirs(house: Any) -> None:
    await left_behind(house)
    await house.hear(connected(3), house.news(3))
    await house.settle()
    await house.hear(house.person(3, connected=True))
    await swept(house)
    assert (await at_microsoft(house), len(await house.sql(ROWS))) == (2, 2)
    assert await house.jobs("sweep_leftovers") == []


async def test_an_application_that_may_not_list_ends_and_fails_nothing(house: Any) -> None:
    await left_behind(house)
    house.tenant_connector.refused = True
    await house.hear(connected(3), house.news(3))
    await swept(house)
    assert (await at_microsoft(house), await house.jobs("sweep_leftovers")) == (2, [])


async def test_what_connected_people_have_is_no_leftover(house: Any) -> None:
    await house.connect()
    ids = {one["id"] for one in (await house.microsoft.state())["subscriptions"]}
    await house.hear(connected(2))
    await swept(house)
    await swept(house)
    assert {one["id"] for one in (await house.microsoft.state())["subscriptions"]} == ids
