"""A simulated world in process, without sockets."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from m365_simulator import Simulator, SimulatorSettings, create_simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import find_user
from m365_simulator.signing import access_token


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
