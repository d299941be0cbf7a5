"""B16: 10,000 messages with contacts brought into Prospo by the worker, from the first look at the mailbox to the last.

Beside O365, which only lists and decodes a twentieth of them (no bar, for it asks for no text); and against the
floor, which asks Microsoft the same (lists, then texts in batches of twenty), decodes it and copies it into a table.
What the worker holds at most is measured after 1,000 messages and after 10,000. Last, what it costs the api to open a
conversation of 200 mails.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

import httpx
from sqlalchemy.engine import make_url

from dev.bench.measuring import Outcome, difference, ours_alone, ratio
from dev.bench.schedule import bearer, connect
from dev.bench.stage import Stage
from dev.bench.town import Peer, Process, microsoft, raise_town
from m365_simulator.client import SimulatorClient
from m365_simulator.testing import sign_in
from shared.testing.serving import NO_TLS, serving
from shared.testing.siblings import Dispatcher, UserAuth
from shared.testing.waiting import until

FEW, MESSAGES, WRITERS = 1_000, 10_000, 50
THREAD, OPENED = 200, 20
"""So many mails in one conversation, which is opened so often; the processor is counted in hundredths of a second."""
PEERS = {"o365": MESSAGES // 20, "floor": MESSAGES}
"""How many messages of the mailbox each reads in a round."""
TEXT = "Dear Anna,\n\n" + "we looked at your offer and have some questions about it. " * 40 + "\n\nKind regards\n"
PATIENCE_S = 900
LIMIT_S = 240
"""No round begins after so long, so that a busy machine measures fewer of them; the table says how many."""
_EMPTY = """TRUNCATE conversation, message, message_reference, mailbox, mailbox_folder, mail_round, folder_health,
    mail_backfill"""
_LONGEST = "SELECT id FROM conversation WHERE messages = $1"
_KNOWN = """INSERT INTO contact_address (org_id, contact_id, address, user_id, shared)
    SELECT 'acme', 'c' || n, 'writer-' || n || '@customer.example', 'acme-anna', false
    FROM generate_series(1, $1) AS n"""
Json = dict[str, Any]
_NO_LIMIT: Json = {"name": "outlook", "path": "outlook", "requests": 10_000_000, "seconds": 600, "scope": "user"}
"""Microsoft's own, 10,000 requests in ten minutes, would be all that is measured: each text is a request."""


async def measure(stage: Stage, count: int) -> list[Outcome]:
    outcomes = {
        "o365": Outcome("B16 mail", "messages/s", "ours / O365, decoding only", 0, ratio),
        "floor": Outcome("B16 mail", "messages/s", "ours / decode and COPY", 0.5, ratio),
    }
    outcomes = {name: one for name, one in outcomes.items() if name == "floor" or find_spec("O365")}
    memory = Outcome("B16 memory of the worker", "MB", "10,000 - 1,000 messages", 16, difference, lower_is_better=True)
    async with _Office.opened(stage, list(outcomes)) as office:
        await office.arrive(FEW)
        await office.read(FEW)
        few_mb = office.worker.memory_mb("VmHWM")
        await office.arrive(MESSAGES - FEW)
        end = time.monotonic() + LIMIT_S
        for number in range(-1, count):  # one to warm up
            if number > 0 and time.monotonic() > end:
                break
            names = list(outcomes)[:: -1 if number % 2 else 1]
            rates = {name: await office.peers[name].rate() for name in names[::2]}
            spent = await office.read(MESSAGES)
            rates |= {name: await office.peers[name].rate() for name in names[1::2]}
            if number < 0:
                memory.add(office.worker.memory_mb("VmHWM"), few_mb)
                continue
            for name, outcome in outcomes.items():
                outcome.add(MESSAGES / spent, rates[name])
        opening = Outcome(
            "B16 a conversation of 200 mails", "ms of the processor", "ours", 50, ours_alone, lower_is_better=True
        )
        opening.add(await office.open_thread(), 0)
    return [*outcomes.values(), memory, opening]


class _Office:
    """Anna's, whose contacts wrote to her."""

    def __init__(
        self, http: httpx.AsyncClient, database: Any, client: SimulatorClient, api: Process, worker: Process
    ) -> None:
        self._http = http
        self._api = api
        self._database = database
        self._client = client
        self.peers: dict[str, Peer] = {}
        self.worker = worker

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage, peers: list[str]) -> AsyncIterator["_Office"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            simulator = await stack.enter_async_context(microsoft(town.folder / "simulator"))
            client = await stack.enter_async_context(SimulatorClient(simulator.http_base_url))
            await client.do("limit_set", **_NO_LIMIT)
            token = await sign_in(client, simulator, "anna@contoso.example", "Mail.Send Mail.ReadWrite")
            siblings = Dispatcher({"user-auth": UserAuth({("acme", "acme-anna"): token}).app})
            issuer = f"{simulator.http_base_url}/prospo-issuer"
            town.values |= {
                "jwt_issuer": issuer,
                "jwt_jwks_url": f"{issuer}/jwks",
                "graph_base_url": f"{simulator.http_base_url}/v1.0",
                "internal_url": await stack.enter_async_context(serving(siblings)) + "/{service}",
            }
            more: Json = {"graph_hosts": json.dumps([simulator.http_base_url.removeprefix("http://")])}
            more |= {"mail_refreshes_per_hour": "1000000", "mail_look_s": "86400"}  # no look but those of the rounds
            api = await stack.enter_async_context(town.process("mail", "api", **more))
            database = await stage.connect(town.databases["mail"].owner_url)
            stack.push_async_callback(database.close)
            await database.execute("SET app.scope = 'system'")
            await database.execute(_KNOWN, WRITERS)
            worker = await stack.enter_async_context(town.process("mail", "worker", **more))
            await connect(stage, token)
            limits: Json = {"timeout": 60, "trust_env": False, "verify": NO_TLS}
            headers = bearer(await client.prospo_token("acme-anna"))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=api.url, headers=headers, **limits))
            office = cls(http, database, client, api, worker)
            await until(office.is_in_step, within_s=60)
            dsn = make_url(town.databases["mail"].owner_url).set(drivername="postgresql")
            asked = {"url": f"{simulator.http_base_url}/v1.0", "token": token["access_token"]}
            asked["dsn"] = dsn.render_as_string(hide_password=False)
            for name in peers:
                invited = Peer.invited("dev.bench.letter_peers", name, asked | {"many": PEERS[name]})
                office.peers[name] = await stack.enter_async_context(invited)
            yield office

    async def arrive(self, count: int) -> None:
        for number in range(1, WRITERS + 1):
            about: Json = {"sender": f"writer-{number}@customer.example", "subject": f"From {number}", "text": TEXT}
            await self._client.do("mail_arrives", user="anna@contoso.example", count=count // WRITERS, **about)

    async def read(self, count: int) -> float:
        """Seconds of a first look at the mailbox that brings this many."""
        await self._database.execute(_EMPTY)
        begun = time.perf_counter()
        (await self._http.post("/v1/mail/mailbox/refresh")).raise_for_status()
        await until(self.is_in_step, PATIENCE_S)
        spent = time.perf_counter() - begun
        stored = await self._database.fetchval("SELECT count(*) FROM message WHERE body IS NOT NULL")
        assert stored == count, f"{stored} of {count} messages were kept"
        return spent

    async def open_thread(self) -> float:
        """Milliseconds of the processor for a conversation, once the process is warm."""
        about: Json = {"user": "anna@contoso.example", "sender": "writer-1@customer.example", "text": TEXT}
        first = await self._client.do("mail_arrives", subject="Thread", **about)
        await self._client.do("mail_arrives", count=THREAD - 1, reply_to=first["immutable"], **about)
        (await self._http.post("/v1/mail/mailbox/refresh")).raise_for_status()
        await until(self._has_thread, PATIENCE_S)
        path = "/v1/mail/conversations/" + str(await self._database.fetchval(_LONGEST, THREAD))
        before = 0.0
        for number in range(2 * OPENED):
            if number == OPENED:
                before = self._api.processor_s()
            page = (await self._http.get(path, params={"limit": THREAD})).raise_for_status().json()
            assert len(page["messages"]) == THREAD
        return (self._api.processor_s() - before) * 1000 / OPENED

    async def _has_thread(self) -> bool:
        return bool(await self._database.fetchval(_LONGEST, THREAD))

    async def is_in_step(self) -> bool:
        await asyncio.sleep(0.1)
        return bool(await self._database.fetchval("SELECT count(*) FROM mailbox WHERE state = 'in_step'"))
