"""Behaviours 40 to 42, 45 and 46: how notifications reach an address, late, twice, in disorder, forged, or never."""

import asyncio
import itertools
import json
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from m365_simulator.changes import Change
from m365_simulator.directory import CONTOSO, FABRIKAM

ALL = "communications/onlineMeetings/getAllRecordings"
ADDRESS = "https://listener.example/hook"


async def statuses(watcher: Any) -> list[str]:
    return [row["status"] for row in await watcher.log()]


async def test_a_change_is_told_as_microsoft_shows_it(watcher: Any) -> None:
    resource = f"users/{watcher.oid()}/mailFolders('Inbox')/messages"
    made = await watcher.subscribe(resource, changeType="created,updated")
    key = watcher.tell(f"users/{watcher.oid()}/mailFolders/inbox/messages", subject="s")
    watcher.tell(f"users/{watcher.oid()}/mailFolders/inbox/messages", change="deleted")
    watcher.tell(f"users/{watcher.oid('ben')}/mailFolders/inbox/messages")
    watcher.tell(f"users/{watcher.oid()}/mailFolders/inbox/messages", tenant=FABRIKAM)
    await watcher.after()
    (item,) = watcher.address.items
    path = f"users/{watcher.oid()}/mailFolders/inbox/messages('{key}')"
    data = {"@odata.type": "#Microsoft.Graph.Message", "@odata.id": path, "@odata.etag": f'W/"{key}"', "id": key}
    assert item == {
        "id": item["id"],
        "subscriptionId": made["id"],
        "subscriptionExpirationDateTime": made["expirationDateTime"],
        "clientState": "secret",
        "changeType": "created",
        "resource": path,
        "tenantId": CONTOSO,
        "resourceData": data,
    }
    (row,) = await watcher.log()
    assert (row["status"], [one["status"] for one in row["attempts"]]) == ("delivered", [202])
    assert "secret" not in json.dumps(row)


@pytest.mark.behaviour(40)
@pytest.mark.parametrize(("took", "first", "repeat"), [(2.9, True, True), (5, False, True), (11, False, False)])
async def test_three_seconds_are_given_first_and_ten_on_repeats(
    watcher: Any, took: float, first: bool, repeat: bool
) -> None:
    await watcher.subscribe(ALL)
    watcher.tell(ALL)
    await watcher.world.control.fault("delivery_took", seconds=took, times=2)
    await watcher.after()
    assert await statuses(watcher) == ["delivered" if first else "waiting"]
    await watcher.after(2)
    assert await statuses(watcher) == ["delivered" if repeat else "waiting"]


@pytest.mark.behaviour(40)
async def test_an_answer_that_does_not_come_is_not_waited_for(watcher: Any) -> None:
    shown = await watcher.world.control.do("notifying_set", values={"first_allowance_s": 0.05})
    assert (shown["first_allowance_s"], shown["retry_allowance_s"]) == (0.05, 10)
    await watcher.subscribe(ALL)
    watcher.tell(ALL)

    async def never(_request: Request) -> Response | None:
        await asyncio.Event().wait()
        return None

    watcher.address.answers = never
    await watcher.after()
    (row,) = await watcher.log()
    assert (row["status"], row["attempts"][0]["problem"]) == ("waiting", "no answer in time")
    watcher.address.answers = None
    await watcher.after(2)
    assert await statuses(watcher) == ["delivered"]


@pytest.mark.behaviour(40)
async def test_what_is_refused_comes_again_for_four_hours_and_is_then_lost(watcher: Any) -> None:
    await watcher.subscribe("users", changeType="updated", minutes=400)
    watcher.address.status = 503
    watcher.tell("users", change="updated")
    gaps, last = [], 0
    for second in range(0, 4 * 3600 + 60, 5):
        await watcher.after(5 if second else 0)
        if len(watcher.address.received) > last:
            gaps.append(second)
            last = len(watcher.address.received)
        if second == 3000:
            await reauthorise(watcher)
    waits = [later - earlier for earlier, later in itertools.pairwise(gaps)]
    assert waits == sorted(waits)
    assert waits[-1] == 900
    assert 4 * 3600 - 900 <= gaps[-1] <= 4 * 3600
    assert await statuses(watcher) == ["lost"]
    watcher.address.status = 202
    await watcher.after(3600)
    assert len(watcher.address.received) == last


async def reauthorise(watcher: Any) -> None:
    """As a subscriber with a token of its own time does; here for the rest of the test."""
    for row in watcher.simulator.store.all("subscriptions"):
        watcher.simulator.store.put("subscriptions", row["id"], {**row, "authorized_until": 1e12})


@pytest.mark.behaviour(40)
async def test_a_slow_address_gets_the_new_ten_minutes_late_until_it_is_quick(watcher: Any) -> None:
    await watcher.subscribe("users", changeType="updated", minutes=400)
    await reauthorise(watcher)
    await watcher.world.control.fault("delivery_took", seconds=4, times=2)
    await deliver(watcher, 8)
    (endpoint,) = watcher.simulator.store.all("endpoints")
    assert endpoint["state"] == "slow"
    told = len(watcher.told())
    watcher.tell("users", change="updated")
    await watcher.after(590)
    assert len(watcher.told()) == told
    await watcher.after(15)
    assert len(watcher.told()) == told + 1
    await deliver(watcher, 5)
    (endpoint,) = watcher.simulator.store.all("endpoints")
    assert endpoint["state"] == "good"


@pytest.mark.behaviour(40)
async def test_a_share_of_one_in_ten_is_not_yet_slow(watcher: Any) -> None:
    await watcher.subscribe("users", changeType="updated")
    await watcher.world.control.fault("delivery_took", seconds=4)
    await deliver(watcher, 9)
    (endpoint,) = watcher.simulator.store.all("endpoints")
    assert (endpoint["state"], len(endpoint["window"])) == ("good", 10)


@pytest.mark.behaviour(40)
async def test_an_address_in_drop_state_loses_the_new_and_is_tried_with_a_few(watcher: Any) -> None:
    await watcher.subscribe("users", changeType="updated", minutes=400)
    await reauthorise(watcher)
    await watcher.world.control.fault("delivery_took", seconds=11, times=2)
    await deliver(watcher, 8)
    (endpoint,) = watcher.simulator.store.all("endpoints")
    assert endpoint["state"] == "drop"
    lost = watcher.tell("users", change="updated")
    assert (await watcher.log())[-1]["status"] == "dropped"
    await watcher.after(601)
    assert lost not in watcher.told()
    probes = [watcher.tell("users", change="updated") for _ in range(6)]
    await watcher.after()
    assert [key in watcher.told() for key in probes] == [True] * 5 + [False]
    assert (await watcher.log())[-1]["status"] == "dropped"
    assert watcher.simulator.store.all("endpoints")[0]["state"] == "drop"  # five came in one request
    await watcher.after(4 * 3600)
    assert lost not in watcher.told()


async def deliver(watcher: Any, count: int) -> None:
    """One after the other, and what was refused again."""
    for _ in range(count):
        watcher.tell("users", change="updated")
        await watcher.after(1)
    await watcher.after(1)


@pytest.mark.behaviour(41)
async def test_a_batch_mixes_subscriptions_and_tenants_in_order(watcher: Any) -> None:
    users = await watcher.subscribe("users", changeType="updated")
    recordings = await watcher.subscribe(ALL)
    fabrikam = watcher.world.graph(watcher.world.app_token(FABRIKAM, "User.Read.All"))
    foreign = await watcher.subscribe("users", changeType="updated", graph=fabrikam)
    watcher.tell("users", change="updated")
    watcher.tell("users", change="updated", tenant=FABRIKAM)
    watcher.tell(ALL)
    await watcher.after()
    (body,) = watcher.address.received
    assert [one["subscriptionId"] for one in body["value"]] == [users["id"], foreign["id"], recordings["id"]]
    assert [one["tenantId"] for one in body["value"]] == [CONTOSO, FABRIKAM, CONTOSO]
    await watcher.world.control.do("notifying_set", values={"batch": 1})
    watcher.tell(ALL)
    watcher.tell(ALL)
    await watcher.after()
    assert [len(body["value"]) for body in watcher.address.received] == [3, 1, 1]


@pytest.mark.behaviour(41)
async def test_notifications_come_twice_late_or_in_disorder_on_demand(watcher: Any) -> None:
    await watcher.subscribe(ALL)
    await watcher.world.control.fault("duplicate_notifications")
    twice = watcher.tell(ALL)
    await watcher.after()
    assert watcher.told() == [twice, twice]
    assert len({item["id"] for item in watcher.address.items}) == 1
    await watcher.world.control.fault("delay_notification", seconds=30)
    late, soon = watcher.tell(ALL), watcher.tell(ALL)
    await watcher.after()
    await watcher.after(31)
    assert watcher.told()[2:] == [soon, late]
    await watcher.world.control.fault("reorder_notifications")
    first, second = watcher.tell(ALL), watcher.tell(ALL)
    await watcher.after()
    assert watcher.told()[4:] == [second, first]
    await watcher.world.control.fault("drop_notifications", match={"tenant": "contoso.example"})
    lost = watcher.tell(ALL)
    await watcher.after()
    assert lost not in watcher.told()


@pytest.mark.behaviour(41)
async def test_one_can_arrive_before_the_create_is_answered_and_after_the_delete(watcher: Any) -> None:
    before = watcher.tell(ALL)
    await watcher.world.control.fault("deliver_before_answer")
    creating = asyncio.create_task(watcher.subscribe(ALL))
    async with asyncio.timeout(10):
        while not watcher.address.received:  # noqa: ASYNC110 - the create is not to know that it is watched
            await asyncio.sleep(0)
    assert not creating.done()
    made = await creating
    assert watcher.told() == [before]
    late = watcher.tell(ALL)
    assert (await watcher.graph.delete(f"/subscriptions/{made['id']}")).status_code == 204
    never = watcher.tell(ALL)
    await watcher.after()
    assert watcher.told() == [before, late]
    assert never not in watcher.told()


@pytest.mark.behaviour(41)
async def test_one_that_knows_of_no_change_tells_of_something_that_is_not_there(watcher: Any) -> None:
    await watcher.world.control.fault("deliver_before_answer")
    made = await watcher.subscribe(ALL)
    (item,) = watcher.address.items
    assert item["subscriptionId"] == made["id"]


@pytest.mark.behaviour(42)
async def test_wrong_secrets_unknown_ids_and_forged_bodies_are_sent_on_demand(watcher: Any) -> None:
    made = await watcher.subscribe(ALL)
    await watcher.world.control.fault("wrong_client_state", value="guess")
    await watcher.world.control.fault("unknown_subscription", skip=1)
    watcher.tell(ALL)
    watcher.tell(ALL)
    await watcher.after()
    wrong, unknown = watcher.address.items
    assert (wrong["clientState"], wrong["subscriptionId"]) == ("guess", made["id"])
    assert (unknown["clientState"], unknown["subscriptionId"] == made["id"]) == ("secret", False)
    await watcher.world.control.do("notification_forge", subscription=made["id"], item={"tenantId": "t"})
    await watcher.after()
    forged = watcher.address.items[-1]
    assert (forged["subscriptionId"], forged["tenantId"], "clientState" in forged) == (made["id"], "t", False)
    bodies = []

    async def keep(request: Request) -> Response:
        bodies.append(await request.body())
        return Response(status_code=422)

    watcher.address.answers = keep
    await watcher.world.control.do("notification_forge", url=ADDRESS, body='{"value": 7')
    await watcher.after()
    assert bodies == [b'{"value": 7']
    answer = await watcher.world.http.post("/control/do/notification_forge", json={"url": "nowhere"})
    assert answer.status_code == 400


def call_event(watcher: Any, what: str, **data: Any) -> None:
    resource = "communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fteams%2Fm%253a1')/meetingCallEvents"
    old = "communications/onlineMeetings/?$filter=JoinWebUrl eq 'https%3A%2F%2Fteams%2Fm%253a1'"
    about = {"eventType": what, **data}
    kind = "microsoft.graph.callEvent"
    watcher.simulator.changes.tell(Change("updated", kind, CONTOSO, resource, what, (resource, old), about))


@pytest.mark.behaviour(45)
@pytest.mark.parametrize(
    "resource",
    [
        "communications/onlineMeetings(joinWebUrl='https://teams/m%3a1')/meetingCallEvents",
        "/Communications/onlineMeetings(JoinWebUrl='https%3A%2F%2Fteams%2Fm%253A1')/MeetingCallEvents",
        "/communications/onlineMeetings/?$filter=JoinWebUrl eq 'https%3A%2F%2Fteams%2Fm%253a1'",
    ],
)
async def test_call_events_come_only_for_calls_that_start_after_the_subscription(watcher: Any, resource: str) -> None:
    call_event(watcher, "callStarted")
    await watcher.subscribe(resource, changeType="updated")
    call_event(watcher, "rosterUpdated")
    call_event(watcher, "callEnded")
    await watcher.after()
    assert watcher.told() == []
    for _ in range(2):
        call_event(watcher, "callStarted")
        call_event(watcher, "callEnded")
    await watcher.after()
    assert watcher.told() == ["callStarted", "callEnded"] * 2


@pytest.mark.behaviour(45)
async def test_calls_that_overlap_are_told_apart_by_their_id(watcher: Any) -> None:
    call_event(watcher, "callStarted", callId="old")
    await watcher.subscribe("communications/onlineMeetings(joinWebUrl='https://teams/m:1')/meetingCallEvents",
                            changeType="updated")  # fmt: skip
    call_event(watcher, "callStarted", callId="new")
    call_event(watcher, "callEnded", callId="old")
    call_event(watcher, "callEnded", callId="never begun")
    await watcher.after()
    assert watcher.told() == ["callStarted"]


@pytest.mark.behaviour(46)
async def test_what_is_announced_can_be_404_for_its_first_reads(watcher: Any) -> None:
    await watcher.subscribe("users", changeType="updated")
    await watcher.world.control.fault("announce_too_early", reads=2)
    oid = watcher.oid()
    resource = f"users/{oid}"
    watcher.simulator.changes.tell(Change("updated", "microsoft.graph.user", CONTOSO, resource, oid, ("users",)))
    await watcher.after()
    assert watcher.told() == [oid]
    assert [(await watcher.graph.get(f"/{resource}")).status_code for _ in range(3)] == [404, 404, 200]
    assert (await watcher.graph.get(f"/users/{watcher.oid('ben')}")).status_code == 200


@pytest.mark.behaviour(29)
async def test_how_long_notifications_take_is_set_per_kind_of_resource(watcher: Any) -> None:
    await watcher.subscribe(ALL)
    await watcher.subscribe("users", changeType="updated")
    await watcher.world.control.do("notification_delay", resource="recordings", seconds=600)
    await watcher.world.control.do("notification_delay", resource="users", never=True)
    watcher.tell("users", change="updated")
    key = watcher.tell(ALL)
    await watcher.after(599)
    assert watcher.told() == []
    await watcher.after(2)
    assert watcher.told() == [key]
    assert await statuses(watcher) == ["never", "delivered"]
    answer = await watcher.world.http.post("/control/do/notification_delay", json={"resource": "weather"})
    assert "Known: recordings" in answer.json()["detail"]


async def test_the_same_seed_sends_the_same_in_the_same_order(make_world: Any, watcher: Any) -> None:
    async def run(one: Any) -> list[Any]:
        one.address.status = 503
        await one.subscribe(ALL)
        await one.subscribe("users", changeType="updated")
        for _ in range(3):
            one.tell(ALL)
            one.tell("users", change="updated")
            await one.after(1)
        one.address.status = 202
        await one.after(60)
        return [(row["item"]["id"], len(row["attempts"])) for row in await one.log()]

    address = type(watcher.address)()
    outbound = httpx.AsyncClient(transport=httpx.ASGITransport(address))
    settings = watcher.simulator.settings
    another = type(watcher)(make_world(outbound, frozen_at=settings.frozen_at), address)
    assert await run(watcher) == await run(another)
    assert [item["id"] for item in watcher.address.items] == [item["id"] for item in address.items]
    await watcher.world.http.delete("/control/notifications")
    assert await watcher.log() == []


async def test_a_filter_in_the_resource_lets_through_what_it_matches(watcher: Any) -> None:
    resource = f"users/{watcher.oid()}/messages"
    await watcher.subscribe(f"{resource}?$filter=subject eq 'offer'", changeType="created,deleted")
    watcher.tell(resource, subject="other")
    offer = watcher.tell(resource, subject="Offer")
    gone = watcher.tell(resource, change="deleted")
    await watcher.after()
    assert watcher.told() == [offer, gone]
    for bad in ("$filter=colour eq 1", "$expand=x", "$filter=subject eq"):
        answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(f"{resource}?{bad}"))
        assert answer.status_code == 400
