"""What ends at the holders of tokens is over in every pod of the services that keep some, though one pod alone hears.

The holders are real, each with a database and Microsoft behind it; two pods of recording-ingest share theirs, and
user-auth answers from another pod than the one where a person disconnects.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from dev.embedded.gateway import InternalDispatcher
from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.events import Event, Features, TenantState
from shared.graph.errors import GraphReconnect, GraphTellAdmin
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.statements import statements_of

Json = dict[str, Any]


class Door:
    """In front of the simulated Microsoft: which tokens were shown to Graph."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.shown: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1.0/"):
            self.shown.append(dict(scope["headers"])[b"authorization"].decode())
        await self.app(scope, receive, send)


@dataclass
class House:
    """``user_auth`` and ``pods`` are two each: the first hears and acts, the second is only asked."""

    microsoft: SimulatorClient
    door: Door
    tenant_connector: Harness
    user_auth: list[Harness]
    pods: list[Harness]

    async def call(self, service: Harness, method: str, path: str, role: str = "user", **more: Any) -> Json:
        answer = await service.call(method, path, roles=(role,), **more)
        assert answer.is_success, answer.text
        said: Json = answer.json()
        return said

    async def tell(self, *events: Event) -> None:
        """The events go round; of two pods the first takes them all."""
        for service in (self.tenant_connector, self.user_auth[0]):
            await service.service.relay.drain()
            await self.user_auth[0].hear(*events)
            await self.pods[0].hear()
            events = ()

    async def connect_tenant(self, version: int) -> None:
        """As if the proof had succeeded just now."""
        about = {"org_id": "acme", "aggregate_version": version, "changed_at": datetime.now(UTC)}
        state = TenantState(**about, connected=True, tid=CONTOSO, features=Features())
        values = {"tid": CONTOSO, "version": version, "features": Features().model_dump_json()}
        await self.tenant_connector.sql(_CONNECTED, org="acme", **values)
        await self.tell(state)

    async def connect_person(self) -> None:
        first, *_ = self.user_auth
        started = await self.call(first, "POST", "/v1/connection/sign-in", json={"return_to": "/meetings"})
        back = await self.microsoft.sign_in(started["authorize_url"], "anna@contoso.example")
        answer = dict(parse_qsl(urlsplit(back).query)) | {"browser_key": started["browser_key"]}
        await self.call(first, "POST", "/v1/connection/complete", json=answer)
        await self.tell()

    async def all_ask_graph(self, whose: str) -> list[Any]:
        """Every pod at once, for Anna or for the application: answers and errors."""
        callers = [pod.service.guest("graph") for pod in self.pods]
        if whose == "anna":
            asked = [graph.as_user("acme", "anna").get("/me/events") for graph in callers]
        else:
            asked = [graph.as_app("acme").get("/users") for graph in callers]
        return list(await asyncio.gather(*asked, return_exceptions=True))


_CONNECTED = """INSERT INTO tenant (org_id, status, tid, display_name, features, version, connected_at, connected_by)
    VALUES ('acme', 'connected', :tid, 'Contoso', CAST(:features AS jsonb), :version, clock_timestamp(), 'ada')
    ON CONFLICT (org_id) DO UPDATE SET status = 'connected', tid = excluded.tid, version = excluded.version,
        connected_at = excluded.connected_at, connected_by = 'ada'"""


@pytest.fixture
async def house(
    simulator: Simulator,
    microsoft: SimulatorClient,
    start_service: StartService,
    platform_keys: PlatformKeys,
) -> AsyncIterator[House]:
    door = simulator.app = Door(simulator.app)
    known = simulator.settings
    await microsoft.approve_admin_consent(consent_url(known), "admin@contoso.example")
    apps: dict[str, Any] = {}
    async with serving(InternalDispatcher(apps)) as url:
        about = {
            "graph_base_url": f"{known.http_base_url}/v1.0",
            "graph_hosts": [f"localhost:{known.http_port}"],
            "entra_authority": known.https_base_url,
            "entra_page_authority": known.http_base_url,
            "ca_bundle": known.state_dir / "ca.pem",
            "client_id": known.client_id,
            "client_secret": known.client_secret,
            "internal_url": url + "/{service}",
        }

        async def start(name: str, pods: int) -> list[Harness]:
            package = name.replace("-", "_")
            create = import_module(f"{package}.main").create_service
            kind = import_module(f"{package}.settings").Settings
            return [Harness(await start_service(create, kind, name, **about), platform_keys) for _ in range(pods)]

        counts = {"tenant-connector": 1, "user-auth": 2, "recording-ingest": 2}
        (tenant_connector,), user_auth, pods = [await start(name, count) for name, count in counts.items()]
        apps |= {"tenant-connector": tenant_connector.service.app, "user-auth": user_auth[1].service.app}
        yield House(microsoft, door, tenant_connector, user_auth, pods)


def consent_url(known: Any) -> str:
    query = {
        "client_id": known.client_id,
        "redirect_uri": "http://localhost:8365/connectors/microsoft365/callback",
        "state": "s",
        "scope": "https://graph.microsoft.com/.default",
    }
    return f"{known.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"


async def test_no_pod_uses_the_old_token_after_a_person_disconnects(
    house: House,
) -> None:
    await house.connect_tenant(1)
    await house.connect_person()
    house.door.shown.clear()  # the check of the account was made with the sign-in's token
    answers = await house.all_ask_graph("anna") + await house.all_ask_graph("anna")
    assert [answer.get("value") for answer in answers] == [[]] * 4
    (old,) = set(house.door.shown)
    await house.call(house.user_auth[0], "DELETE", "/v1/connection")
    await house.tell()
    house.door.shown.clear()
    assert [type(error) for error in await house.all_ask_graph("anna")] == [GraphReconnect] * 2
    assert house.door.shown == []
    await house.connect_person()
    house.door.shown.clear()
    assert [answer.get("value") for answer in await house.all_ask_graph("anna")] == [[]] * 2
    (new,) = set(house.door.shown)
    assert new != old


async def test_every_pod_uses_the_new_token_after_a_new_sign_in(house: House) -> None:
    await house.connect_tenant(1)
    await house.connect_person()
    house.door.shown.clear()
    await house.all_ask_graph("anna")
    (old,) = set(house.door.shown)
    await house.connect_person()
    house.door.shown.clear()
    await house.all_ask_graph("anna")
    assert len(set(house.door.shown)) == 1
    assert old not in house.door.shown


@pytest.mark.parametrize("whose", ["the application", "anna"])
async def test_after_the_tenants_end_no_pod_shows_graph_an_old_token(house: House, whose: str) -> None:
    await house.connect_tenant(1)
    await house.connect_person()
    house.door.shown.clear()  # the sign-in looked at the account
    assert not any(isinstance(answer, Exception) for answer in await house.all_ask_graph(whose))
    (old,) = set(house.door.shown)
    await house.call(house.tenant_connector, "DELETE", "/v1/tenant", role="org_admin")
    await house.tell()
    house.door.shown.clear()
    assert [type(error) for error in await house.all_ask_graph(whose)] == [GraphTellAdmin] * 2
    assert house.door.shown == []
    await house.connect_tenant(3)
    if whose == "anna":
        await house.connect_person()
        house.door.shown.clear()
    assert not any(isinstance(answer, Exception) for answer in await house.all_ask_graph(whose))
    assert len(set(house.door.shown)) == 1
    assert old not in house.door.shown


async def test_a_look_at_the_copies_is_one_statement_and_no_call(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.connect_tenant(1)
    await house.connect_person()
    _, pod = house.pods
    tokens = pod.service.guest("tokens")
    first = await tokens.user_token("acme", "anna")
    seen = statements_of(pod.service.db, monkeypatch)
    asked: list[Any] = []
    tokens._internal.http.event_hooks["request"].append(asked.append)
    assert await tokens.user_token("acme", "anna") is first
    assert (len(seen), asked) == (1, [])
    assert seen[0].startswith("SELECT")
