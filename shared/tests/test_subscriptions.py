"""Subscriptions and the receiver, against the simulated Graph on loopback and a real database."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.graph.errors import GraphRetry
from shared.subscriptions.notifications import (
    STORE_S,
    ChangeNotification,
    LifecycleNotification,
    Notification,
    discard,
    load,
)
from shared.subscriptions.subscriptions import Subscriptions
from shared.testing.databases import TestDatabase, connect

GRAPH_WAITS_S = 3
STALLED_S = 20
"""Less than an answer takes that waits for the pool or for the lock."""
RESOURCE = "communications/onlineMeetings/getAllRecordings"


def news(state: str, **more: Any) -> dict[str, Any]:
    item = {"subscriptionId": "s1", "clientState": state, "changeType": "created", "resource": "r('1')"}
    return item | more


async def test_the_handshake_echoes_the_token_as_plain_text(watch: Any) -> None:
    answer = await watch.http.post("/webhooks/graph", params={"validationToken": "<b>A & B</b>"})
    assert (answer.status_code, answer.text) == (200, "<b>A & B</b>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await watch.http.post("/webhooks/graph", params={"validationToken": "x" * 5000})).status_code == 422


async def test_a_subscription_is_made_once_and_its_expiry_is_graphs(watch: Any) -> None:
    until = await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert await watch.subscriptions.ensure(watch.caller, RESOURCE) == until
    (made,) = watch.at_graph()
    assert until == datetime.fromisoformat(made["expirationDateTime"])
    (row,) = await watch.rows("SELECT * FROM graph_subscription")
    assert (row.subscription_id, row.expires_at, row.claimed_until) == (made["id"], until, None)
    assert made["clientState"] not in str(row)
    assert watch.calls("POST") == 1


async def test_an_unknown_or_forged_client_state_stores_nothing(watch: Any) -> None:
    state = await watch.subscribed()
    for forged in ("", "guess", state[:-1], "\ud800"):
        answer = await watch.http.post("/webhooks/graph", content=forged_body(forged))
        assert answer.status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []
    assert await watch.rows("SELECT * FROM job") == []
    assert (await watch.tell(news(state))).status_code == 202
    (stored,) = await watch.rows("SELECT * FROM graph_notification")
    assert state not in str(stored)


def forged_body(state: str) -> bytes:
    return json.dumps({"value": [news(state), 7, {"clientState": 1, "resourceData": "x"}]}).encode()


async def test_what_is_not_a_notification_is_refused(watch: Any) -> None:
    for body in (b"", b"[]", b'{"value": 1}', b"[" * 50_000, b"\xff", b'{"value": [' + b"{}," * 1001 + b"{}]}"):
        assert (await watch.http.post("/webhooks/graph", content=body)).status_code == 422


async def test_a_repeated_notification_is_stored_once(watch: Any) -> None:
    state = await watch.subscribed()
    await watch.tell(news(state, id="n1"), news(state, id="n1"))
    await watch.tell(news(state, id="n1"))
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1
    await watch.tell(news(state), news(state))
    await watch.tell(news(state, id="n2"))
    await watch.tell(news(state, changeType="updated"))
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 4
    jobs = await watch.rows("SELECT kind, payload FROM job")
    assert [job.kind for job in jobs] == [ChangeNotification.kind] * 4


async def test_lifecycle_events_are_stored_apart_and_anew_after_their_end(watch: Any) -> None:
    state = await watch.subscribed()
    for _ in range(2):
        for event in ("reauthorizationRequired", "missed"):
            await watch.tell({"subscriptionId": "s1", "clientState": state, "lifecycleEvent": event})
    jobs = await watch.rows("SELECT kind, payload FROM job ORDER BY id")
    assert [job.kind for job in jobs] == [LifecycleNotification.kind] * 2
    first = jobs[0].payload["notification_id"]
    async with watch.service.db.unit_of_work("globex") as work:
        assert await load(work.session, "globex", first) is None
    async with watch.service.db.unit_of_work("acme") as work:
        stored = await load(work.session, "acme", first)
        assert stored is not None
        assert (stored.lifecycle_event, stored.resource) == ("reauthorizationRequired", RESOURCE)
        await discard(work.session, first)
    await watch.tell({"subscriptionId": "s1", "clientState": state, "lifecycleEvent": "reauthorizationRequired"})
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 2


def test_a_notification_is_refused_while_graph_still_waits() -> None:
    assert STORE_S < GRAPH_WAITS_S


async def test_a_stalled_database_is_a_quick_503_and_the_repeat_is_stored(watch: Any, database: TestDatabase) -> None:
    state = await watch.subscribed()
    locker = await connect(database.owner_url)
    async with locker.transaction():
        await locker.execute("LOCK TABLE graph_notification IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(STALLED_S):
            answer = await watch.tell(news(state, id="n1"))
        assert answer.status_code == 503
    await locker.close()
    assert (await watch.tell(news(state, id="n1"))).status_code == 202
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1


async def test_a_frozen_pool_is_a_quick_503(watch: Any) -> None:
    state = await watch.subscribed()
    engine = watch.service.db.service_engine
    held = [await engine.connect() for _ in range(10)]
    async with asyncio.timeout(STALLED_S):
        assert (await watch.tell(news(state, id="n1"))).status_code == 503
    for connection in held:
        await connection.close()


async def test_a_subscription_near_its_end_is_renewed(watch: Any) -> None:
    await watch.subscribed()
    await watch.rows("UPDATE graph_subscription SET expires_at = clock_timestamp() + interval '1 hour'")
    until = await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert until > datetime.now(UTC) + timedelta(hours=19)
    assert (watch.calls("PATCH"), watch.calls("POST")) == (1, 1)


async def test_a_subscription_that_graph_dropped_is_made_anew(watch: Any) -> None:
    first = await watch.subscribed()
    watch.simulator.store.delete("subscriptions", watch.at_graph()[0]["id"])
    assert await watch.subscribed() != first
    (made,) = watch.at_graph()
    (row,) = await watch.rows("SELECT subscription_id FROM graph_subscription")
    assert row.subscription_id == made["id"]
    assert (await watch.tell(news(first))).status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []


async def test_one_at_an_address_we_left_is_replaced(watch: Any) -> None:
    await watch.subscribed()
    (old,) = watch.at_graph()
    old["notificationUrl"] = "http://localhost:1/elsewhere"
    await watch.rows("DELETE FROM graph_subscription")
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    (made,) = watch.at_graph()
    assert made["id"] != old["id"]
    assert made["notificationUrl"] == watch.subscriptions.url


async def test_one_whose_id_was_never_kept_is_replaced(watch: Any) -> None:
    await watch.subscribed()
    await watch.rows("UPDATE graph_subscription SET subscription_id = NULL, expires_at = NULL")
    await watch.subscribed()
    assert len(watch.at_graph()) == 1


async def test_two_workers_at_once_end_with_one_at_graph(watch: Any) -> None:
    other = Subscriptions(watch.another(), watch.service.settings, "notes", watch.certificates)
    other.url = watch.subscriptions.url
    first, second = await asyncio.gather(
        watch.subscriptions.ensure(watch.caller, RESOURCE), other.ensure(watch.caller, RESOURCE)
    )
    assert first == second
    assert len(watch.at_graph()) == 1
    assert watch.calls("POST") == 1


async def test_a_dead_workers_claim_runs_out(watch: Any) -> None:
    await watch.rows(
        """INSERT INTO graph_subscription (org_id, user_id, resource, claim, claimed_until)
           VALUES ('acme', '', :resource, 'dead', clock_timestamp() + interval '0.4 seconds')""",
        resource=RESOURCE,
    )
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert len(watch.at_graph()) == 1


async def test_a_worker_that_lost_its_claim_takes_its_subscription_back(watch: Any) -> None:
    async def taken_over(_body: dict[str, Any]) -> None:
        await watch.rows("UPDATE graph_subscription SET claim = 'another'")

    watch.before.then = taken_over
    with pytest.raises(GraphRetry):
        await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert watch.at_graph() == []


async def test_a_notification_that_overtakes_the_create_is_stored(watch: Any) -> None:
    """So neither the row nor the handshake waits for a transaction of the create."""
    answers: list[int] = []

    async def at_once(body: dict[str, Any]) -> None:
        answers.append((await watch.tell(news(body["clientState"]))).status_code)

    watch.before.then = at_once
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert answers == [202]
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1


async def test_lifecycle_events_are_heeded(watch: Any) -> None:
    await watch.subscribed()
    assert await watch.subscriptions.heed(watch.caller, lifecycle("reauthorizationRequired")) is False
    assert watch.calls("PATCH") == 1
    watch.simulator.store.delete("subscriptions", watch.at_graph()[0]["id"])
    assert await watch.subscriptions.heed(watch.caller, lifecycle("subscriptionRemoved")) is True
    assert len(watch.at_graph()) == 1
    assert await watch.subscriptions.heed(watch.caller, lifecycle("missed")) is True


def lifecycle(event: str) -> Notification:
    return Notification(1, "acme", "", RESOURCE, "created", {"lifecycleEvent": event}, datetime.now(UTC))


async def test_a_removed_subscription_is_gone_here_and_there(watch: Any) -> None:
    state = await watch.subscribed()
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    assert watch.at_graph() == []
    assert await watch.rows("SELECT * FROM graph_subscription") == []
    assert (await watch.tell(news(state))).status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []


@pytest.mark.parametrize(
    ("code", "kept"),
    [("permission_missing", []), ("account_not_connected", [RESOURCE]), ("tenant_not_connected", [RESOURCE])],
)
async def test_an_unremovable_subscription_is_forgotten_while_connected(watch: Any, code: str, kept: list[str]) -> None:
    """Whoever ends the connection removes it then, and tells what stays."""
    await watch.subscribed()
    watch.tokens.refused = code
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    assert list(await watch.subscriptions.resources_of("acme", "")) == kept
