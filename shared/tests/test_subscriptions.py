"""Subscriptions and the receiver, against the simulated Graph on loopback and a real database."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from m365_simulator import Simulator, SimulatorSettings, create_simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.db import Database
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphReconnect, GraphRetry
from shared.graph.subscriptions import LIFECYCLE, PROCESS, Notification, Subscriptions, discard, load, receiver
from shared.service import Service
from shared.testing.fixtures import TestDatabase, connect

RESOURCE = "communications/onlineMeetings/getAllRecordings"


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical", ws="none"))
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


class Tokens:
    """One application token of the simulator's, or a connection that is gone."""

    def __init__(self) -> None:
        self.value = ""
        self.broken = False

    async def app_token(self, org_id: str) -> "Tokens":
        if self.broken:
            raise GraphReconnect("Connect again.", 409, "reconnect_required")
        return self

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> "Tokens":
        return await self.app_token(org_id)

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        return None


class Before:
    """Runs ``then`` before a create reaches the simulator, with the create's body."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.then: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.then and (scope["method"], scope["path"]) == ("POST", "/v1.0/subscriptions"):
            message = await receive()
            then, self.then = self.then, None
            await then(httpx.Response(200, content=message["body"]).json())

            async def again() -> Any:
                return message

            await self._app(scope, again, send)
            return
        await self._app(scope, receive, send)


@dataclass
class Watch:
    """The small service with a receiver, and Graph to subscribe at."""

    service: Service
    subscriptions: Subscriptions
    caller: GraphCaller
    simulator: Simulator
    before: Before
    tokens: Tokens
    http: httpx.AsyncClient
    another: Callable[[], Database]

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.service.db.system_work() as work:
            result = await work.session.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []  # type: ignore[attr-defined]

    def at_graph(self) -> list[dict[str, Any]]:
        return self.simulator.store.all("subscriptions")

    def calls(self, method: str) -> int:
        path = "/v1.0/subscriptions"
        return sum(one["method"] == method and one["path"].startswith(path) for one in self.simulator.calls.rows)

    async def tell(self, *items: dict[str, Any]) -> httpx.Response:
        return await self.http.post("/webhooks/graph", json={"value": list(items)})

    async def subscribed(self) -> str:
        """An existing subscription's clientState."""
        await self.subscriptions.ensure(self.caller, RESOURCE)
        return str(self.at_graph()[0]["clientState"])


@pytest.fixture
async def watch(make_service: Any, database: TestDatabase, client_of: Any, tmp_path: Path) -> AsyncIterator[Watch]:
    settings = SimulatorSettings(state_dir=tmp_path / "simulator")
    simulator = create_simulator(settings)
    before = Before(simulator.app)
    service: Service = await make_service()
    service.include(receiver())
    tokens = Tokens()
    databases: list[Database] = []

    def another() -> Database:
        databases.append(Database(database.url, source="notes"))
        return databases[-1]

    async with serving(before) as graph_url, serving(service.app) as our_url:
        settings.http_base_url = graph_url
        tokens.value = await application_token(settings)
        ours = service.settings.model_copy(update={"graph_base_url": f"{graph_url}/v1.0", "public_url": our_url})
        graph = Graph(ours, tokens)
        subscriptions = Subscriptions(service.db, ours, "notes")
        subscriptions.url = f"{our_url}/webhooks/graph"  # no gateway stands before the small service
        yield Watch(
            service, subscriptions, graph.as_app("acme"), simulator, before, tokens, await client_of(service), another
        )
        await graph.aclose()
    for one in databases:
        await one.close()
    await simulator.stop()


async def application_token(settings: SimulatorSettings) -> str:
    query = {"client_id": settings.client_id, "redirect_uri": settings.redirect_uris[0], "state": "s"}
    query["scope"] = "https://graph.microsoft.com/.default"
    async with SimulatorClient(settings.http_base_url) as client:
        url = f"{settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"
        await client.approve_admin_consent(url, "admin@contoso.example")
    form = {"client_id": settings.client_id, "client_secret": settings.client_secret}
    form |= {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{settings.http_base_url}/{CONTOSO}/oauth2/v2.0/token", data=form)
    return str(answer.raise_for_status().json()["access_token"])


def news(state: str, **more: Any) -> dict[str, Any]:
    item = {"subscriptionId": "s1", "clientState": state, "changeType": "created", "resource": "r('1')"}
    return item | more


async def test_the_handshake_echoes_the_token_as_plain_text(watch: Watch) -> None:
    answer = await watch.http.post("/webhooks/graph", params={"validationToken": "<b>A & B</b>"})
    assert (answer.status_code, answer.text) == (200, "<b>A & B</b>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await watch.http.post("/webhooks/graph", params={"validationToken": "x" * 5000})).status_code == 422


async def test_a_subscription_is_made_once_and_its_expiry_is_graphs(watch: Watch) -> None:
    until = await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert await watch.subscriptions.ensure(watch.caller, RESOURCE) == until
    (made,) = watch.at_graph()
    assert until == datetime.fromisoformat(made["expirationDateTime"])
    (row,) = await watch.rows("SELECT * FROM graph_subscription")
    assert (row.subscription_id, row.expires_at, row.claimed_until) == (made["id"], until, None)
    assert made["clientState"] not in str(row)
    assert watch.calls("POST") == 1


async def test_an_unknown_or_forged_client_state_is_answered_alike_and_stores_nothing(watch: Watch) -> None:
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


async def test_what_is_not_a_notification_is_refused(watch: Watch) -> None:
    for body in (b"", b"[]", b'{"value": 1}', b"[" * 50_000, b"\xff", b'{"value": [' + b"{}," * 1001 + b"{}]}"):
        assert (await watch.http.post("/webhooks/graph", content=body)).status_code == 422


async def test_a_repeated_notification_is_stored_once(watch: Watch) -> None:
    state = await watch.subscribed()
    await watch.tell(news(state, id="n1"), news(state, id="n1"))
    await watch.tell(news(state, id="n1"))
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1
    await watch.tell(news(state), news(state))
    await watch.tell(news(state, id="n2"))
    await watch.tell(news(state, changeType="updated"))
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 4
    jobs = await watch.rows("SELECT kind, payload FROM job")
    assert [job.kind for job in jobs] == [PROCESS] * 4


async def test_lifecycle_events_are_stored_apart_and_again_after_they_were_dealt_with(watch: Watch) -> None:
    state = await watch.subscribed()
    for _ in range(2):
        for event in ("reauthorizationRequired", "missed"):
            await watch.tell({"subscriptionId": "s1", "clientState": state, "lifecycleEvent": event})
    jobs = await watch.rows("SELECT kind, payload FROM job ORDER BY id")
    assert [job.kind for job in jobs] == [LIFECYCLE] * 2
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


async def test_a_stalled_database_is_a_quick_503_and_the_repeat_is_stored(watch: Watch, database: TestDatabase) -> None:
    state = await watch.subscribed()
    locker = await connect(database.owner_url)
    async with locker.transaction():
        await locker.execute("LOCK TABLE graph_notification IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        answer = await watch.tell(news(state, id="n1"))
        assert answer.status_code == 503
        assert time.monotonic() - began < 2.5
    await locker.close()
    assert (await watch.tell(news(state, id="n1"))).status_code == 202
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1


async def test_a_frozen_pool_is_a_quick_503(watch: Watch) -> None:
    state = await watch.subscribed()
    engine = watch.service.db.engine
    held = [await engine.connect() for _ in range(10)]
    began = time.monotonic()
    assert (await watch.tell(news(state, id="n1"))).status_code == 503
    assert time.monotonic() - began < 2.5
    for connection in held:
        await connection.close()


async def test_a_subscription_near_its_end_is_renewed(watch: Watch) -> None:
    await watch.subscribed()
    await watch.rows("UPDATE graph_subscription SET expires_at = clock_timestamp() + interval '1 hour'")
    until = await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert until > datetime.now(UTC) + timedelta(hours=19)
    assert (watch.calls("PATCH"), watch.calls("POST")) == (1, 1)


async def test_a_subscription_that_graph_dropped_is_made_anew(watch: Watch) -> None:
    first = await watch.subscribed()
    watch.simulator.store.delete("subscriptions", watch.at_graph()[0]["id"])
    assert await watch.subscribed() != first
    (made,) = watch.at_graph()
    (row,) = await watch.rows("SELECT subscription_id FROM graph_subscription")
    assert row.subscription_id == made["id"]
    assert (await watch.tell(news(first))).status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []


async def test_one_at_an_address_we_left_is_replaced(watch: Watch) -> None:
    await watch.subscribed()
    (old,) = watch.at_graph()
    old["notificationUrl"] = "http://localhost:1/elsewhere"
    await watch.rows("DELETE FROM graph_subscription")
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    (made,) = watch.at_graph()
    assert made["id"] != old["id"]
    assert made["notificationUrl"] == watch.subscriptions.url


async def test_one_whose_id_was_never_kept_is_replaced(watch: Watch) -> None:
    await watch.subscribed()
    await watch.rows("UPDATE graph_subscription SET subscription_id = NULL, expires_at = NULL")
    await watch.subscribed()
    assert len(watch.at_graph()) == 1


async def test_two_workers_at_once_end_with_one_at_graph(watch: Watch) -> None:
    other = Subscriptions(watch.another(), watch.service.settings, "notes")
    other.url = watch.subscriptions.url
    first, second = await asyncio.gather(
        watch.subscriptions.ensure(watch.caller, RESOURCE), other.ensure(watch.caller, RESOURCE)
    )
    assert first == second
    assert len(watch.at_graph()) == 1
    assert watch.calls("POST") == 1


async def test_a_dead_workers_claim_runs_out(watch: Watch) -> None:
    await watch.rows(
        """INSERT INTO graph_subscription (org_id, user_id, resource, claim, claimed_until)
           VALUES ('acme', '', :resource, 'dead', clock_timestamp() + interval '0.4 seconds')""",
        resource=RESOURCE,
    )
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert len(watch.at_graph()) == 1


async def test_a_worker_that_lost_its_claim_takes_its_subscription_back(watch: Watch) -> None:
    async def taken_over(_body: dict[str, Any]) -> None:
        await watch.rows("UPDATE graph_subscription SET claim = 'another'")

    watch.before.then = taken_over
    with pytest.raises(GraphRetry):
        await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert watch.at_graph() == []


async def test_a_notification_that_overtakes_the_create_is_stored(watch: Watch) -> None:
    """So neither the row nor the handshake waits for a transaction of the create."""
    answers: list[int] = []

    async def at_once(body: dict[str, Any]) -> None:
        answers.append((await watch.tell(news(body["clientState"]))).status_code)

    watch.before.then = at_once
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert answers == [202]
    assert len(await watch.rows("SELECT * FROM graph_notification")) == 1


async def test_lifecycle_events_are_heeded(watch: Watch) -> None:
    await watch.subscribed()
    assert await watch.subscriptions.heed(watch.caller, lifecycle("reauthorizationRequired")) is False
    assert watch.calls("PATCH") == 1
    watch.simulator.store.delete("subscriptions", watch.at_graph()[0]["id"])
    assert await watch.subscriptions.heed(watch.caller, lifecycle("subscriptionRemoved")) is True
    assert len(watch.at_graph()) == 1
    assert await watch.subscriptions.heed(watch.caller, lifecycle("missed")) is True


def lifecycle(event: str) -> Notification:
    return Notification(1, "acme", "", RESOURCE, "created", {"lifecycleEvent": event}, datetime.now(UTC))


async def test_a_removed_subscription_is_gone_here_and_there(watch: Watch) -> None:
    state = await watch.subscribed()
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    assert watch.at_graph() == []
    assert await watch.rows("SELECT * FROM graph_subscription") == []
    assert (await watch.tell(news(state))).status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []


async def test_it_is_forgotten_even_when_the_account_lets_us_do_nothing_more(watch: Watch) -> None:
    await watch.subscribed()
    watch.tokens.broken = True
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    assert await watch.subscriptions.resources_of("acme", "") == []
