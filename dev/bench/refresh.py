"""B8: how often Microsoft is asked when four processes of user-auth want an expired token, fifty times each.

The figure is a count, and must be one. A round connects the person anew with a token that is as good as expired.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from dev.bench.measuring import Outcome, ours_alone, rounds
from dev.bench.stage import Stage
from dev.bench.town import Process, Town, raise_town
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from m365_simulator.settings import SimulatorSettings
from m365_simulator.testing import Hosting, make_state
from shared.bus.kafka import KafkaBus
from shared.events import Features, TenantState
from shared.testing.harness import publish
from shared.testing.serving import NO_TLS
from shared.testing.waiting import until
from shared.web.identity import ServiceTokens

PODS, TASKS = 4, 50
EXPIRED_S, FRESH_S = 10, 3600
ANNA, ACCOUNT = "acme-anna", "anna@contoso.example"
Json = dict[str, Any]


async def measure(stage: Stage, count: int) -> Outcome:
    name = f"B8 refreshes, {PODS} processes of {TASKS} tasks"
    outcome = Outcome(name, "calls", "ours, calls", 1, ours_alone, lower_is_better=True)
    async with _Registry.opened(stage) as registry:
        return await rounds(outcome, registry.refreshes, _one, count)


async def _one() -> float:
    return 1.0


class _Door:
    """Before the simulator: counts refreshes, and says how long a token lives."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.refreshes = 0
        self.lives_s = FRESH_S

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope.get("path", "").endswith("/oauth2/v2.0/token"):
            await self._app(scope, receive, send)
            return
        said: list[Any] = []

        async def heard() -> Any:
            message = await receive()
            self.refreshes += b"grant_type=refresh_token" in message.get("body", b"")
            return message

        async def keep(message: Any) -> None:
            said.append(message)

        await self._app(scope, heard, keep)
        answer = json.loads(b"".join(message.get("body", b"") for message in said)) | {"expires_in": self.lives_s}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": said[0]["status"], "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


class _Registry:
    """user-auth as several processes, and Anna, who connects through the first."""

    def __init__(self, stage: Stage, town: Town, pods: list[Process], client: SimulatorClient, door: _Door) -> None:
        self._stage = stage
        self._pods = pods
        self._client = client
        self._door = door
        self._url = town.databases["user-auth"].url
        caller = town.settings("user-auth", service_key_path=town.key_of("meetings"))
        self._tokens = ServiceTokens(caller, "meetings")
        self._http = httpx.AsyncClient(timeout=60, trust_env=False, verify=NO_TLS)

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage) -> AsyncIterator["_Registry"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            make_state(town.folder / "microsoft" / "new")
            hosting = Hosting(town.folder / "microsoft")
            await hosting.open()
            stack.push_async_callback(hosting.aclose)
            simulator = await stack.enter_async_context(hosting.simulator(town.folder / "simulator"))
            simulator.app = door = _Door(simulator.app)
            known = hosting.settings
            issuer = f"{known.http_base_url}/prospo-issuer"
            town.values |= {
                "jwt_issuer": issuer,
                "jwt_jwks_url": f"{issuer}/jwks",
                "graph_base_url": f"{known.http_base_url}/v1.0",
                "entra_authority": known.https_base_url,
                "ca_bundle": known.state_dir / "new" / "ca.pem",
                "client_id": known.client_id,
                "client_secret": known.client_secret,
                "token_answer_within_s": 60,
            }
            client = await stack.enter_async_context(SimulatorClient(known.http_base_url))
            await _consent(known, client)
            await stack.enter_async_context(town.process("user-auth", "worker"))
            apis = [town.process("user-auth", "api") for _ in range(PODS)]
            pods = [await stack.enter_async_context(api) for api in apis]
            await _connect_tenant(stage)
            registry = cls(stage, town, pods, client, door)
            stack.push_async_callback(registry._http.aclose)
            await until(registry._connects)
            yield registry

    async def refreshes(self) -> float:
        self._door.lives_s = EXPIRED_S
        assert await self._connects()
        self._door.lives_s = FRESH_S
        connection = await self._stage.connect(self._url)
        version = await connection.fetchval("SELECT version FROM connection WHERE user_id = $1", ANNA)
        await connection.close()
        before = self._door.refreshes
        asking = [self._token(pod, int(version)) for pod in self._pods for _ in range(TASKS)]
        tokens = await asyncio.gather(*asking)
        assert len(set(tokens)) == 1, "not all were given the same token"
        return float(self._door.refreshes - before)

    async def _token(self, pod: Process, version: int) -> str:
        body = {"org_id": "acme", "user_id": ANNA, "known_version": version}
        headers = {"Authorization": f"Bearer {self._tokens.issue('user-auth')}"}
        answer = await self._http.post(f"{pod.url}/internal/tokens", json=body, headers=headers)
        return str(answer.raise_for_status().json()["access_token"])

    async def _connects(self) -> bool:
        """Sign-in, as the console does it; False while the tenant's connection was not heard of."""
        headers = {"Authorization": f"Bearer {await self._client.prospo_token(ANNA)}"}
        url = f"{self._pods[0].url}/v1/connection"
        started = await self._http.post(f"{url}/sign-in", json={"return_to": "/"}, headers=headers)
        if not started.is_success:
            return False
        back = await self._client.sign_in(started.json()["authorize_url"], ACCOUNT)
        answer = dict(parse_qsl(urlsplit(back).query)) | {"browser_key": started.json()["browser_key"]}
        done = await self._http.post(f"{url}/complete", json=answer, headers=headers)
        assert done.is_success, done.text
        return True


async def _consent(known: SimulatorSettings, client: SimulatorClient) -> None:
    asked = {"client_id": known.client_id, "redirect_uri": known.redirect_uris[0], "state": "s"}
    asked["scope"] = "https://graph.microsoft.com/.default"
    url = f"{known.http_base_url}/organizations/v2.0/adminconsent?{urlencode(asked)}"
    await client.approve_admin_consent(url, "admin@contoso.example")


async def _connect_tenant(stage: Stage) -> None:
    about: Json = {"org_id": "acme", "aggregate_version": 1, "tid": CONTOSO, "changed_at": datetime.now(UTC)}
    bus: Any = KafkaBus(stage.kafka)
    await publish(bus, TenantState(**about, connected=True, features=Features()))
    await bus.stop()
