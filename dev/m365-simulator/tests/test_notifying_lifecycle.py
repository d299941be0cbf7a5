"""Behaviour 44: lifecycle events, and deliveries that wait for an authorisation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, revoke_tenant
from m365_simulator.notifying.queueing import KINDS

ALL = "communications/onlineMeetings/getAllRecordings"
LIFE = "https://listener.example/life"


async def long_one(watcher: Any, resource: str = ALL, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = await watcher.subscribe(resource, minutes=600, lifecycleNotificationUrl=LIFE, **more)
    return made


def events(watcher: Any) -> list[str]:
    return [item["lifecycleEvent"] for item in watcher.address.items if "lifecycleEvent" in item]


@pytest.mark.behaviour(44)
async def test_reauthorisation_is_asked_for_repeatedly_before_the_token_ends(watcher: Any) -> None:
    made = await long_one(watcher)
    await watcher.after(29 * 60)
    assert events(watcher) == []
    await watcher.after(2 * 60)
    assert events(watcher) == ["reauthorizationRequired"]
    (item,) = watcher.address.items
    assert item == {
        "subscriptionId": made["id"],
        "subscriptionExpirationDateTime": made["expirationDateTime"],
        "clientState": "secret",
        "tenantId": CONTOSO,
        "lifecycleEvent": "reauthorizationRequired",
    }
    assert watcher.address.urls[-1] == LIFE
    await watcher.after(15 * 60)
    assert len(events(watcher)) == 2
    watcher.sign_in()
    assert (await watcher.graph.post(f"/subscriptions/{made['id']}/reauthorize")).status_code == 204
    await watcher.after(28 * 60)
    assert len(events(watcher)) == 2
    await watcher.after(3 * 60)
    assert len(events(watcher)) == 3


@pytest.mark.behaviour(44)
async def test_it_is_asked_for_before_the_subscription_ends_as_well(watcher: Any) -> None:
    await watcher.subscribe(ALL, minutes=45, lifecycleNotificationUrl=LIFE)
    await watcher.after(14 * 60)
    assert events(watcher) == []
    await watcher.after(2 * 60)
    assert len(events(watcher)) == 1


@pytest.mark.behaviour(44)
@pytest.mark.parametrize("how", ["renewed", "reauthorised"])
async def test_deliveries_wait_for_a_token_that_ended_and_go_on_with_another(watcher: Any, how: str) -> None:
    made = await long_one(watcher)
    await watcher.after(61 * 60)
    key = watcher.tell(ALL)
    await watcher.after(60)
    assert key not in [item.get("resourceData", {}).get("id") for item in watcher.address.items]
    assert (await watcher.log())[-1]["status"] == "held"
    watcher.sign_in()
    path = f"/subscriptions/{made['id']}"
    if how == "renewed":
        later = {"expirationDateTime": (datetime.now(UTC) + timedelta(hours=10)).isoformat()}
        assert (await watcher.graph.patch(path, json=later)).status_code == 200
    else:
        assert (await watcher.graph.post(f"{path}/reauthorize")).status_code == 204
    await watcher.after(1)
    assert (await watcher.log())[-1]["status"] == "delivered"
    assert watcher.address.items[-1]["resourceData"]["id"] == key


@pytest.mark.behaviour(44)
async def test_what_waits_longer_than_four_hours_is_lost(watcher: Any) -> None:
    made = await long_one(watcher)
    await watcher.world.control.do("authorization_revoke", subscription=made["id"])
    key = watcher.tell(ALL)
    await watcher.after(4 * 3600 - 60)
    assert next(row for row in await watcher.log() if row["kind"] == "change")["status"] == "held"
    await watcher.after(120)
    watcher.sign_in()
    await watcher.graph.post(f"/subscriptions/{made['id']}/reauthorize")
    await watcher.after(1)
    assert key not in [item.get("resourceData", {}).get("id") for item in watcher.address.items]
    assert next(row for row in await watcher.log() if row["kind"] == "change")["status"] == "lost"
    assert watcher.simulator.store.all("endpoints")[-1]["state"] == "good"


@pytest.mark.behaviour(44)
@pytest.mark.parametrize("delegated", [True, False])
async def test_deliveries_wait_while_the_consent_behind_them_is_gone(watcher: Any, delegated: bool) -> None:
    store = watcher.simulator.store
    consent = {"tenant": CONTOSO, "roles": [KINDS["recordings"].role], "delegated": [KINDS["recordings"].delegated]}
    store.put("consents", CONTOSO, consent)
    resource = f"users/{watcher.oid()}/onlineMeetings/getAllRecordings"
    await long_one(watcher, resource, graph=watcher.person() if delegated else None)
    store.put("consents", CONTOSO, {**consent, "roles": [], "delegated": []})
    key = watcher.tell(resource)
    await watcher.after(60)
    assert watcher.address.items == []
    store.put("consents", CONTOSO, consent)
    await watcher.after(60)
    assert watcher.told() == [key]
    watcher.tell(resource)
    revoke_tenant(store, CONTOSO)
    await watcher.after(60)
    assert watcher.told() == [key]
    assert (await watcher.log())[-1]["status"] == "held"


@pytest.mark.behaviour(44)
async def test_outlook_subscriptions_are_removed_or_miss_something_on_demand(watcher: Any) -> None:
    made = await long_one(watcher, f"users/{watcher.oid()}/messages")
    await watcher.world.control.do("notifications_missed", subscription=made["id"])
    await watcher.world.control.do("subscription_remove", subscription=made["resource"])
    await watcher.after()
    assert events(watcher) == ["missed", "subscriptionRemoved"]
    assert (await watcher.graph.get(f"/subscriptions/{made['id']}")).status_code == 404
    other = await long_one(watcher)
    await watcher.world.control.do("reauthorization_ask", subscription=other["id"])
    await watcher.after()
    assert events(watcher)[-1] == "reauthorizationRequired"
    for name in ("notifications_missed", "subscription_remove"):
        answer = await watcher.world.http.post(f"/control/do/{name}", json={"subscription": other["id"]})
        assert "messages, events and contacts only" in answer.json()["detail"]
    answer = await watcher.world.http.post("/control/do/reauthorization_ask", json={"subscription": "none"})
    assert other["id"] in answer.json()["detail"]


@pytest.mark.behaviour(44)
async def test_who_renews_with_a_token_that_ends_soon_is_not_asked_at_once_again(watcher: Any) -> None:
    made = await long_one(watcher)
    await watcher.after(40 * 60)
    before = len(events(watcher))
    for _ in range(3):
        await watcher.graph.post(f"/subscriptions/{made['id']}/reauthorize")
        await watcher.after(30)
    assert len(events(watcher)) == before
    await watcher.after(10 * 60)
    assert len(events(watcher)) == before + 1


@pytest.mark.behaviour(44)
async def test_without_a_lifecycle_address_nobody_is_asked(watcher: Any) -> None:
    made = await watcher.subscribe(ALL, minutes=45)
    await watcher.after(40 * 60)
    assert watcher.address.received == []
    answer = await watcher.world.http.post("/control/do/reauthorization_ask", json={"subscription": made["id"]})
    assert "no lifecycleNotificationUrl" in answer.json()["detail"]


async def test_who_renews_and_reauthorises_within_ten_minutes_is_found(watcher: Any) -> None:
    made = await long_one(watcher)
    path = f"/subscriptions/{made['id']}"
    later = {"expirationDateTime": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}
    await watcher.graph.patch(path, json=later)
    await watcher.graph.patch(path, json=later)
    assert await watcher.world.control.findings() == leaks(watcher)
    await watcher.graph.post(f"{path}/reauthorize")
    assert [one["kind"] for one in await watcher.world.control.findings()][:1] == ["renewed_twice"]


def leaks(watcher: Any) -> list[dict[str, Any]]:
    """The tenant has consented to nothing in this world, so its subscription counts as leaked."""
    rows = watcher.simulator.store.all("subscriptions")
    says = "Its tenant no longer consents."
    return [{"kind": "subscription_leaked", "says": says, "subscription": row} for row in rows]


async def test_a_restarted_service_still_knows_what_is_to_come(watcher: Any, make_world: Any) -> None:
    await long_one(watcher)
    watcher.address.status = 503
    watcher.tell(ALL)
    await watcher.after()
    settings = watcher.simulator.settings
    again = make_world(state_dir=settings.state_dir, frozen_at=settings.frozen_at, outbound=watcher.simulator.outbound)
    watcher.address.status = 202
    again.simulator.advance(31 * 60, "service")
    await again.simulator.settle()
    assert [row["status"] for row in again.simulator.store.all("notifications")] == ["delivered", "delivered"]


@pytest.mark.behaviour(40, 44)
async def test_outlook_says_once_that_it_missed_something_and_teams_never_does(watcher: Any) -> None:
    mail = f"users/{watcher.oid()}/messages"
    await long_one(watcher, mail)
    await long_one(watcher)
    await watcher.world.control.do("notifying_set", values={"retry_for_s": 1, "backoff_first_s": 5})
    watcher.address.status = 503
    for resource in (mail, mail, ALL):
        watcher.tell(resource)
    await watcher.after()
    assert [row["status"] for row in await watcher.log()] == ["lost"] * 3
    watcher.address.status = 202
    watcher.address.received.clear()
    await watcher.after(599)
    assert events(watcher) == []
    await watcher.after(2)
    assert events(watcher) == ["missed"]
    assert watcher.address.items[0]["subscriptionId"] == watcher.simulator.store.all("subscriptions")[0]["id"]
