"""B7: 10,000 contacts of Outlook imported, from the preview asked for to the result, api and worker two processes.

Against what only decodes them: Microsoft's own iterator and O365 (of a twentieth as many, for they are slow); and
against the floor, which decodes them and copies them into a table. The round without changes is measured beside it.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from statistics import median
from typing import Any

import httpx
from sqlalchemy.engine import make_url

from dev.bench.measuring import Outcome, ratio
from dev.bench.schedule import bearer, connect, signed_in
from dev.bench.stage import Stage
from dev.bench.town import Peer, microsoft, raise_town
from m365_simulator.client import SimulatorClient
from shared.testing.serving import NO_TLS, serving
from shared.testing.siblings import Dispatcher, UserAuth
from shared.testing.waiting import until

CONTACTS = 10_000
PEERS = {"msgraph": CONTACTS // 20, "o365": CONTACTS // 20, "floor": CONTACTS}
"""How many contacts of the book each reads in a round."""
SEEDED = 500
PATIENCE_S = 600
LIMIT_S = 120
"""No round begins after so long, so that a busy machine measures fewer of them; the table says how many."""
LOOK_S = 0.03
"""How often its person looks how far an import is, which costs the machine too."""
_EMPTY = "TRUNCATE contact, source_record, import_run, import_row, mailbox_folder, book, proposal, request_key"
_COUNT = "SELECT count(*) FROM contact"
Json = dict[str, Any]


async def measure(stage: Stage, count: int) -> list[Outcome]:
    outcomes = {
        "msgraph": Outcome("B7 import", "contacts/s", "ours / msgraph-sdk, decoding only", 15, ratio),
        "o365": Outcome("B7 import", "contacts/s", "ours / O365, decoding only", 1, ratio),
        "floor": Outcome("B7 import", "contacts/s", "ours / decode and COPY", 0.5, ratio),
    }
    outcomes = {name: one for name, one in outcomes.items() if name == "floor" or find_spec(_MODULE[name])}
    again = Outcome("B7 import again, nothing changed", "s", "again / first", 0.1, ratio, lower_is_better=True)
    async with _Office.opened(stage, list(outcomes)) as office:
        end = time.monotonic() + LIMIT_S
        for number in range(-1, count):  # one to warm up
            if again.ours and time.monotonic() > end:
                break
            names = list(outcomes)[:: -1 if number % 2 else 1]
            early = {name: await office.peers[name].rate() for name in names[::2]}
            first, second = await office.imports()
            rates = early | {name: await office.peers[name].rate() for name in names[1::2]}
            if number >= 0:
                for name, outcome in outcomes.items():
                    outcome.add(CONTACTS / first, rates[name])
                again.add(second, first)
        again.note = f"the worker held {office.worker.memory_mb('VmHWM'):.0f} MB at most"
    if len(outcomes) < len(PEERS):
        again.note += "; the clients of others are not there: make test fetches them"
    again.note += f"; {CONTACTS / median(again.peer):,.0f} contacts/s"
    return [*outcomes.values(), again]


_MODULE = {"msgraph": "msgraph", "o365": "O365"}


class _Office:
    """Anna's, whose Outlook is full of contacts."""

    def __init__(self, api: httpx.AsyncClient, database: Any, worker: Any) -> None:
        self._api = api
        self._database = database
        self.peers: dict[str, Peer] = {}
        self._count = 0
        self.worker = worker

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage, peers: list[str]) -> AsyncIterator["_Office"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            simulator = await stack.enter_async_context(microsoft(town.folder / "simulator"))
            token, persona = await signed_in(simulator)
            async with SimulatorClient(simulator.http_base_url) as client:
                for _ in range(CONTACTS // SEEDED):
                    await client.do("contacts_seed", user="anna@contoso.example", count=SEEDED)
            siblings = Dispatcher({"user-auth": UserAuth({("acme", "acme-anna"): token}).app})
            issuer = f"{simulator.http_base_url}/prospo-issuer"
            town.values |= {
                "jwt_issuer": issuer,
                "jwt_jwks_url": f"{issuer}/jwks",
                "graph_base_url": f"{simulator.http_base_url}/v1.0",
                "internal_url": await stack.enter_async_context(serving(siblings)) + "/{service}",
            }
            more: Json = {"graph_hosts": json.dumps([simulator.http_base_url.removeprefix("http://")])}
            more |= {"imports_per_hour": "1000000"}
            api = await stack.enter_async_context(town.process("contacts", "api", **more))
            worker = await stack.enter_async_context(town.process("contacts", "worker", **more))
            await connect(stage, token)
            limits: Json = {"timeout": 60, "trust_env": False, "verify": NO_TLS}
            http = httpx.AsyncClient(base_url=api.url, headers=bearer(persona), **limits)
            await stack.enter_async_context(http)
            database = await stage.connect(town.databases["contacts"].owner_url)
            stack.push_async_callback(database.close)
            await database.execute("SET app.scope = 'system'")  # its owner is bound by row-level security too
            dsn = make_url(town.databases["contacts"].owner_url).set(drivername="postgresql")
            asked = {"url": f"{simulator.http_base_url}/v1.0", "token": token["access_token"]}
            asked["dsn"] = dsn.render_as_string(hide_password=False)
            office = cls(http, database, worker)
            await until(office.is_open, within_s=60)
            for name in peers:
                invited = Peer.invited("dev.bench.address_peers", name, asked | {"many": PEERS[name]})
                office.peers[name] = await stack.enter_async_context(invited)
            yield office

    async def is_open(self) -> bool:
        return (await self._api.get("/v1/contacts/folders")).is_success

    async def imports(self) -> tuple[float, float]:
        """Seconds of the first import, and of one after it that finds nothing new."""
        await self._database.execute(_EMPTY)
        found = (await self._api.get("/v1/contacts/folders")).json()["items"]
        folders = [one["id"] for one in found if one["depth"] == 0][:1]
        first, told = await self._import(folders)
        stored = await self._database.fetchval(_COUNT)
        assert told["outcome"]["created"] == stored >= CONTACTS * 0.9, told
        await until(self._is_at_rest, PATIENCE_S)
        second, told = await self._import(folders)
        assert told["outcome"] == {"unchanged": stored}, told
        return first, second

    async def _is_at_rest(self) -> bool:
        """Proposals of the first import are looked for behind it."""
        return not await self._database.fetchval("SELECT count(*) FROM job WHERE kind = 'find_proposals'")

    async def _import(self, folders: list[str]) -> tuple[float, Json]:
        self._count += 1
        begun = time.perf_counter()
        headers = {"Idempotency-Key": f"b{self._count}"}
        made = await self._api.post("/v1/contacts/imports", json={"folders": folders}, headers=headers)
        run: Json = made.raise_for_status().json()
        run = await self._once(run, "planned")
        (await self._api.post(f"/v1/contacts/imports/{run['id']}/start", json={})).raise_for_status()
        run = await self._once(run, "finished")
        return time.perf_counter() - begun, run

    async def _once(self, run: Json, status: str) -> Json:
        async with asyncio.timeout(PATIENCE_S):
            while run["status"] != status:
                await asyncio.sleep(LOOK_S)
                run = (await self._api.get(f"/v1/contacts/imports/{run['id']}")).raise_for_status().json()
                assert run["status"] != "failed", run
        return run
