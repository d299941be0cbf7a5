"""When an organisation disconnects, the application is told of calls no more: its subscriptions go, which is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator import Simulator
from m365_simulator.directory import CONTOSO
from meetings.main import create_service
from meetings.settings import Settings
from shared.events import TenantState
from shared.testing.examples import leaving
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers

from .test_call_events import START, asked_for, at, batch, book, connected, permit, watched

TOLD = "meeting.application_traces_removed"


def tenant(house: Any, version: int = 2, for_s: float | None = 600, *, back: bool = False) -> TenantState:
    """The organisation disconnected, with so much time to leave; or it is ``back``."""
    until = None if for_s is None or back else datetime.now(UTC) + timedelta(seconds=for_s)
    state: TenantState = house.tenant(version, connected=back).model_copy(
        update={"tid": CONTOSO, "leaving_until": until}
    )
    return state


async def leave(house: Any, for_s: float | None = 600) -> None:
    house.tenant_connector.disconnected = True
    await house.hear(tenant(house, for_s=for_s))
    await house.work()


async def told(house: Any) -> list[Any]:
    """The version, how many were removed, and what stays."""
    said = await house.published(TOLD)
    stays = [[(left["kind"], left["count"], left["code"]) for left in one["left"]] for one in said]
    return [(one["aggregate_version"], one["removed"], left) for one, left in zip(said, stays, strict=True)]


@pytest.fixture
async def calls(house: Any, simulator: Simulator) -> Any:
    """Two meetings whose calls Microsoft tells."""
    await connected(house)
    await permit(house, simulator)
    found = await book(house, simulator)
    await house.schedule("other", start=START.isoformat(), end=at(30).isoformat())
    await watched(house)
    assert len(asked_for(simulator)) == 2
    return found


async def test_they_are_removed_while_the_applications_token_still_serves(calls: Any, simulator: Simulator) -> None:
    house = calls.house
    await leave(house)
    assert (asked_for(simulator), await told(house)) == ([], [(2, 2, [])])
    assert await house.sql("SELECT 1 FROM graph_subscription WHERE user_id = ''") == []
    await leave(house)
    assert len(await told(house)) == 1


async def test_what_people_set_goes_with_their_own_ends_and_is_told_apart(calls: Any, simulator: Simulator) -> None:
    house = calls.house
    await house.look()
    await leave(house)
    await house.hear(leaving(house.person(2)))
    await house.work()
    assert await told(house) == [(2, 2, [])]
    (of_person,) = await house.published("meeting.traces_removed")
    assert (of_person["removed"], of_person["left"], of_person["user_id"]) == (3, [], "anna")
    assert (await house.microsoft.state())["subscriptions"] == []


@pytest.mark.parametrize(
    ("answer", "removed", "left"),
    [
        ({"status": 403}, 0, [("subscription", 2, "refused")]),
        ({"status": 404}, 2, []),
        ("no token", 0, [("subscription", 2, "no_access")]),
        ("no time", 0, [("subscription", 2, "no_answer")]),
    ],
)
async def test_what_stays_is_told_with_its_reason_and_end(calls: Any, answer: Any, removed: int, left: Any) -> None:
    house = calls.house
    if answer == "no token":
        house.tenant_connector.refused = True
    elif answer != "no time":
        await house.refuse(answer["status"], "*/subscriptions/*")
    await leave(house, for_s=-1 if answer == "no time" else 600)
    assert await told(house) == [(2, removed, left)]
    (said,) = await house.published(TOLD)
    within_a_day = datetime.now(UTC) + timedelta(days=1)
    assert all(datetime.fromisoformat(one["until"]) < within_a_day for one in said["left"])
    assert await house.sql("SELECT 1 FROM graph_subscription WHERE user_id = ''") == []


async def test_where_nothing_was_made_that_is_told_at_once(house: Any) -> None:
    await connected(house)
    await leave(house)
    assert (await told(house), await house.asked("DELETE")) == ([(2, 0, [])], 0)


async def test_where_microsoft_ended_it_nothing_is_asked_or_told(calls: Any) -> None:
    house = calls.house
    before = await house.asked()
    await leave(house, for_s=None)
    assert (await house.asked(), await told(house)) == (before, [])
    assert await house.sql("SELECT 1 FROM graph_subscription") == []


async def test_who_connects_meanwhile_goes_on_to_be_told_of_calls(calls: Any, simulator: Simulator) -> None:
    house = calls.house
    await house.microsoft.fault("server_error", status=503, retry_after=30, times=None, match={"method": "DELETE"})
    await leave(house)
    assert await told(house) == []
    await house.microsoft.clear_faults()
    house.tenant_connector.disconnected = False
    await house.hear(tenant(house, 3, back=True))
    await house.hurry("leave_as_application")
    await watched(house)
    assert (len(asked_for(simulator)), await told(house)) == (2, [])


async def test_a_switch_that_is_turned_off_meanwhile_does_not_end_the_leaving(calls: Any, simulator: Simulator) -> None:
    house = calls.house
    await house.microsoft.fault("server_error", status=503, retry_after=30, times=None, match={"method": "DELETE"})
    await leave(house)
    await house.microsoft.clear_faults()
    await house.hear(tenant(house, 3, for_s=None))
    await house.hurry("leave_as_application")
    await house.work()
    assert (asked_for(simulator), await told(house)) == ([], [(2, 2, [])])


async def test_what_is_told_of_a_call_meanwhile_is_dropped(calls: Any) -> None:
    house, body = calls.house, batch(calls)
    house.tenant_connector.disconnected = True
    await house.hear(tenant(house))
    assert (await house.http.post("/webhooks/graph", json=body)).status_code == 202
    await house.work()
    assert await calls.ends() == []
    assert await house.rows("graph_notification") == []


async def test_death_at_every_commit_ends_the_same(calls: Any, start_service: StartService) -> None:
    house = calls.house
    house.tenant_connector.disconnected = True
    workers = MortalWorkers(lambda: start_service(create_service, Settings, "meetings"))
    await house.hear(tenant(house))
    while await workers.live():
        await house.sql(LEASES_END)
        await house.hurry("leave_as_application")
    assert "job leave_as_application" in " ".join(workers.survived)
    assert (asked_for(calls.simulator), await told(house)) == ([], [(2, 2, [])])
