"""B13: POST /v1/meetings while api and worker are two processes; against the three calls of Graph that it makes.

Microsoft, the organisation's switches and user-auth's token are there as in a running platform: a simulator in a
process of its own, events on Kafka, a stand-in that answers at once.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx

from dev.bench.measuring import Outcome, difference, rounds
from dev.bench.stage import Stage
from dev.bench.town import Process, microsoft, raise_town
from m365_simulator.client import SimulatorClient
from m365_simulator.settings import SimulatorSettings
from m365_simulator.testing import sign_in
from shared.bus.kafka import KafkaBus
from shared.events import Features, TenantState, UserState
from shared.testing.harness import publish
from shared.testing.serving import NO_TLS, serving
from shared.testing.siblings import Dispatcher, UserAuth
from shared.testing.waiting import until

POSTS = 12
GRAPH_MS = 0
_START = datetime(2030, 3, 1, 9, tzinfo=UTC)
Json = dict[str, Any]


async def measure(stage: Stage, count: int) -> Outcome:
    outcome = Outcome("B13 schedule a meeting, p50", "ms", "ours - Graph, ms", 60, difference, lower_is_better=True)
    async with _Office.opened(stage) as office:
        outcome = await rounds(outcome, office.posts, office.graph_calls, count)
        outcome.note = await office.cost()
        return outcome


class _Office:
    """Anna's, who is connected and books meetings: by Prospo, and by herself."""

    def __init__(self, stage: Stage, api: httpx.AsyncClient, graph: httpx.AsyncClient) -> None:
        self._stage = stage
        self._api = api
        self._graph = graph
        self._count = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage) -> AsyncIterator["_Office"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            simulator = await stack.enter_async_context(microsoft(town.folder / "simulator", GRAPH_MS))
            token, persona = await signed_in(simulator)
            siblings = Dispatcher({"user-auth": UserAuth({("acme", "acme-anna"): token}).app})
            issuer = f"{simulator.http_base_url}/prospo-issuer"
            town.values |= {
                "jwt_issuer": issuer,
                "jwt_jwks_url": f"{issuer}/jwks",
                "graph_base_url": f"{simulator.http_base_url}/v1.0",
                "internal_url": await stack.enter_async_context(serving(siblings)) + "/{service}",
            }
            api: Process = await stack.enter_async_context(town.process("meetings", "api"))
            await stack.enter_async_context(town.process("meetings", "worker"))
            await connect(stage, token)
            asked: dict[str, Any] = {"timeout": 30, "trust_env": False, "verify": NO_TLS}
            prospo, own = bearer(persona), bearer(token["access_token"])
            clients = (
                httpx.AsyncClient(base_url=api.url, headers=prospo, **asked),
                httpx.AsyncClient(base_url=f"{simulator.http_base_url}/v1.0", headers=own, **asked),
            )
            for client in clients:
                await stack.enter_async_context(client)
            office = cls(stage, *clients)
            await until(office.is_open, within_s=60)
            yield office

    async def is_open(self) -> bool:
        return (await self._post()).status_code == httpx.codes.CREATED

    async def posts(self) -> float:
        return await self._timed(self._booked)

    async def graph_calls(self) -> float:
        return await self._timed(self._by_herself)

    async def cost(self) -> str:
        """Transactions in the service's database for a meeting, all included: its request, its job, the relay."""
        before = await self._transactions()
        for _ in range(POSTS):
            await self._booked()
        spent = (await self._transactions() - before) / POSTS
        return f"{spent:.0f} commits of any kind in the database for each meeting, single statements among them"

    async def _transactions(self) -> int:
        connection = await self._stage.connect()
        await connection.execute("SELECT pg_sleep(1.5)")  # backends tell their figures once a second
        found = await connection.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = 'meetings'")
        await connection.close()
        return int(found)

    async def _timed(self, booking: Any) -> float:
        spent = []
        for _ in range(POSTS):
            begun = time.perf_counter()
            await booking()
            spent.append((time.perf_counter() - begun) * 1000)
        return median(spent)

    def _times(self) -> tuple[datetime, datetime]:
        self._count += 1
        start = _START + timedelta(hours=self._count)
        return start, start + timedelta(minutes=30)

    async def _post(self) -> httpx.Response:
        start, end = self._times()
        body = {"subject": "Review", "start": start.isoformat(), "end": end.isoformat(), "attendees": []}
        return await self._api.post("/v1/meetings", json=body, headers={"Idempotency-Key": f"b{self._count}"})

    async def _booked(self) -> None:
        answer = await self._post()
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def _by_herself(self) -> None:
        start, end = ({"dateTime": f"{moment:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"} for moment in self._times())
        event = {"subject": "Review", "start": start, "end": end, "isOnlineMeeting": True}
        made = await self._ask("POST", "/me/events", json=event | {"onlineMeetingProvider": "teamsForBusiness"})
        link = made["onlineMeeting"]["joinUrl"]
        found = await self._ask("GET", "/me/onlineMeetings", params={"$filter": f"JoinWebUrl eq '{link}'"})
        path = f"/me/onlineMeetings/{quote(found['value'][0]['id'], safe='')}"
        await self._ask("PATCH", path, json={"recordAutomatically": True})

    async def _ask(self, method: str, path: str, **more: Any) -> Json:
        answer: Json = (await self._graph.request(method, path, **more)).raise_for_status().json()
        return answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def signed_in(simulator: SimulatorSettings) -> tuple[Json, str]:
    """Anna's token at Microsoft as user-auth gives it, and at Prospo."""
    async with SimulatorClient(simulator.http_base_url) as client:
        token = await sign_in(client, simulator, "anna@contoso.example")
        return token, await client.prospo_token("acme-anna")


async def connect(stage: Stage, token: Json) -> None:
    """What tenant-connector and user-auth say of a connected organisation and person."""
    about: Json = {"org_id": "acme", "aggregate_version": 1, "tid": token["tid"], "changed_at": datetime.now(UTC)}
    who = {"user_id": "acme-anna", "oid": token["oid"], "name": "Anna", "email": "anna@contoso.example"}
    bus: Any = KafkaBus(stage.kafka)
    await publish(
        bus,
        TenantState(**about, connected=True, features=Features(auto_recording=True)),
        UserState(**about, **who, status="connected", connected=True),
    )
    await bus.stop()
