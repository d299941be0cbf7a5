"""A simulated world in process, without sockets."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from m365_simulator import Simulator, SimulatorSettings, create_simulator
from m365_simulator.changes import Change
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token
from m365_simulator.testing import Address


class World:
    """``simulator`` in process; ``graph`` gives a caller with a token of the permissions named."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=self.base_url)
        self.control = SimulatorClient(self.base_url, transport=httpx.ASGITransport(simulator.app))
        self._opened = [self.http]

    @property
    def base_url(self) -> str:
        return self.simulator.settings.http_base_url

    def token(self, person: str, permissions: str, **more: Any) -> str:
        """Delegated; ``person`` is an address."""
        user = find_user(self.simulator.store, person)
        assert user is not None
        claims = {"tid": user["tenant"], "oid": user["id"], "idtyp": "user", "scp": permissions, **more}
        return self._signed(claims)

    def app_token(self, tenant: str, roles: str, **more: Any) -> str:
        return self._signed({"tid": tenant, "oid": f"sp-{tenant}", "idtyp": "app", "roles": roles.split(), **more})

    def _signed(self, claims: dict[str, Any]) -> str:
        claims = {"appid": self.simulator.settings.client_id, **claims}
        return access_token(self.simulator.entra, f"https://sts.windows.net/{claims['tid']}/", claims)

    def graph(self, token: str) -> httpx.AsyncClient:
        """Paths are Graph's, such as ``/me/events``."""
        transport = httpx.ASGITransport(self.simulator.app)
        headers = {"Authorization": f"Bearer {token}"}
        made = httpx.AsyncClient(transport=transport, base_url=f"{self.base_url}/v1.0", headers=headers)
        self._opened.append(made)
        return made

    async def aclose(self) -> None:
        for client in self._opened:
            await client.aclose()
        await self.control.aclose()
        await self.simulator.outbound.aclose()
        self.simulator.store.close()


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[Callable[..., World]]:
    """Makes worlds; keyword arguments are settings, ``outbound`` the client for handshakes and deliveries."""
    made: list[World] = []

    def make(outbound: httpx.AsyncClient | None = None, **settings: Any) -> World:
        known = {"state_dir": tmp_path / f"world-{len(made)}", **settings}
        made.append(World(create_simulator(SimulatorSettings(**known), outbound=outbound)))
        return made[-1]

    yield make
    for world in made:
        await world.aclose()


@pytest.fixture
async def world(make_world: Callable[..., World]) -> World:
    return make_world()


READS = (
    "OnlineMeetings.Read.All OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All Mail.Read Calendars.Read "
    "Contacts.Read Files.Read.All User.Read.All CallRecordings.Read.All CallTranscripts.Read.All"
)
URL = "https://listener.example/hook"


class Watcher:
    """A subscriber of Contoso's: its ``address``, its ``graph`` with an application token, and changes to hear of."""

    def __init__(self, world: World, address: Address) -> None:
        self.world, self.address, self.simulator = world, address, world.simulator
        self._told = 0
        self.sign_in()

    def sign_in(self) -> None:
        """Another token: one lives an hour."""
        self.graph = self.world.graph(self.world.app_token(CONTOSO, READS))

    def person(self, name: str = "anna", permissions: str = READS) -> httpx.AsyncClient:
        return self.world.graph(self.world.token(f"{name}@contoso.example", permissions))

    def oid(self, name: str = "anna", domain: str = "contoso") -> str:
        user = find_user(self.simulator.store, f"{name}@{domain}.example")
        assert user is not None
        return str(user["id"])

    def wanted(self, resource: str, *, minutes: float = 50, **more: Any) -> dict[str, Any]:
        """The body of a create; None takes a property away."""
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        body = {"changeType": "created", "notificationUrl": URL, "resource": resource, "clientState": "secret"}
        body |= {"expirationDateTime": until.isoformat(), **more}
        return {name: value for name, value in body.items() if value is not None}

    async def subscribe(self, resource: str, *, graph: httpx.AsyncClient | None = None, **more: Any) -> dict[str, Any]:
        answer = await (graph or self.graph).post("/subscriptions", json=self.wanted(resource, **more))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def tell(self, covered: str, *, change: str = "created", tenant: str = CONTOSO, **data: Any) -> str:
        """Something changes; the id of the item."""
        self._told += 1
        key = f"item-{self._told}"
        data = {"id": key, **data}
        path = f"{covered}('{key}')"
        kind = "microsoft.graph.message"
        self.simulator.changes.tell(Change(change, kind, tenant, path, key, (covered,), data, etag=f'W/"{key}"'))
        return key

    async def after(self, seconds: float = 0) -> None:
        """So many seconds later on the service clock, one round of deliveries."""
        self.simulator.advance(seconds, "service")
        await self.simulator.settle()

    def told(self) -> list[str]:
        """Ids of the items the address heard of, in order."""
        return [item["resourceData"]["id"] for item in self.address.items]

    async def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.world.http.get("/control/notifications")).json()
        return found


@pytest.fixture
async def watcher(make_world: Callable[..., World]) -> Watcher:
    """On clocks that stand still."""
    address = Address()
    outbound = httpx.AsyncClient(transport=httpx.ASGITransport(address))
    return Watcher(make_world(outbound, frozen_at=datetime(2026, 11, 2, 9, tzinfo=UTC)), address)
