"""Organisations whose people hold meetings at the simulated Microsoft, and the services that follow them as processes.

The meetings are written into both sides as if they had been booked long ago; from there on everything is real:
Microsoft's world clock is pushed, calls end, notifications come, recordings and transcripts are imported and shown.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dev.bench.stage import Stage, raise_stage
from dev.bench.town import Process, Town, microsoft, raise_town
from m365_simulator import create_simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.clock import Clock, moment_of
from m365_simulator.settings import SimulatorSettings
from m365_simulator.signing import Signer, access_token
from m365_simulator.testing import SCOPES, free_port
from m365_simulator.verbs import perform
from meetings import scheduling
from meetings.tables import MeetingRow
from shared.bus.kafka import KafkaBus
from shared.database.unit_of_work import Database
from shared.events import Features, TenantState, UserState
from shared.testing.harness import publish
from shared.testing.serving import NO_TLS, serving
from shared.testing.siblings import Dispatcher, UserAuth
from shared.testing.waiting import until

PEOPLE = 2
"""People of each organisation."""
LEAD_S = 7200
"""So long after the set-up the first meeting ends, on Microsoft's clock."""
PATIENCE_S = 1800
SLOWEST_PER_S = 2
"""So many meetings a second are waited for at least."""
Json = dict[str, Any]
_IMPORTED = text(
    """SELECT m.org_id, m.meeting_id, max(s.at) AS at FROM ledger_meeting m
       JOIN meeting_step s ON (s.org_id, s.meeting_id) = (m.org_id, m.meeting_id) AND s.what = 'imported'
       GROUP BY m.org_id, m.meeting_id HAVING count(*) = 2"""
)
_RECORDED = text(
    """SELECT count(*) FROM meeting WHERE recording->>'status' = 'imported' AND transcript->>'status' = 'imported'"""
)
_KNOWN = text(
    """SELECT (SELECT count(*) FROM ledger_meeting) AS meetings,
              (SELECT count(*) FROM graph_subscription WHERE subscription_id IS NOT NULL) AS subscriptions"""
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many meetings of an organisation end, from which second of the hour to which."""

    org_id: str
    meetings: int
    first_s: float = 0
    last_s: float = 3600


@dataclass(frozen=True, slots=True)
class Booked:
    org_id: str
    meeting_id: str
    ends_s: float
    """After the beginning of the hour."""


class Campus:
    """The processes, and the meetings that were booked in them."""

    def __init__(
        self,
        client: SimulatorClient,
        databases: dict[str, Database],
        processes: list[Process],
        postgres: int,
        first: datetime,
    ) -> None:
        self.client = client
        self.databases = databases
        self._processes = processes
        self._postgres = postgres
        self.booked: list[Booked] = []
        self._first = first

    @classmethod
    @asynccontextmanager
    async def opened(cls, plans: Iterable[Plan], *, recording: int = 64 * 1024) -> AsyncIterator["Campus"]:
        """On engines of its own: nothing is there from before."""
        plans = list(plans)
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(raise_stage())
            town = await stack.enter_async_context(raise_town(stage))
            world = await asyncio.to_thread(_World, town.folder / "simulator", plans, recording)
            simulated = await stack.enter_async_context(microsoft(town.folder / "simulator"))
            client = await stack.enter_async_context(SimulatorClient(simulated.http_base_url))
            processes = await _services(stack, town, simulated, UserAuth(world.tokens))
            databases = {name: stage.database(town.databases[name]) for name in ("meetings", "recording-ingest")}
            for database in databases.values():
                stack.push_async_callback(database.close)
            campus = cls(client, databases, processes, stage.postgres.pid, world.first)
            await world.connect(stage)
            await campus._book(world)
            yield campus

    async def _book(self, world: "_World") -> None:
        """Into meetings, whose events tell recording-ingest; then wait until Microsoft tells us of everybody."""
        for org_id, rows in world.meetings.items():
            async with self.databases["meetings"].unit_of_work(org_id) as work:
                for row, ends_s in rows:
                    work.session.add(row)
                    scheduling.scheduled(row, work.outbox)
                    self.booked.append(Booked(org_id, row.id, ends_s))

        async def all_known() -> bool:
            known = (await self.databases["recording-ingest"].at_once(_KNOWN, {}))[0]
            return bool(known.meetings == len(self.booked) and known.subscriptions == 2 * len(world.tokens))

        await until(all_known, within_s=PATIENCE_S, every_s=1)

    async def happen(self, seconds: float, *, over_s: float = 0) -> dict[str, float]:
        """Push Microsoft's clock to this second of the hour, evenly within so many seconds of ours.

        When each meeting ended, on our clock, by its id. Microsoft's clock runs with ours between the pushes.
        """
        waiting = sorted(self.booked, key=lambda one: one.ends_s)
        ended: dict[str, float] = {}
        begun, reached, pushed_s = time.monotonic(), 0.0, 0.0
        while reached < seconds:
            reached = seconds * min(1.0, (time.monotonic() - begun + 1) / over_s) if over_s else seconds
            wanted = self._first + timedelta(seconds=reached)
            step_s = max(0.0, (wanted - datetime.now(UTC)).total_seconds() - pushed_s)
            now = time.time()
            await self.client.advance(step_s)
            pushed_s += step_s
            while waiting and waiting[0].ends_s <= reached:
                ended[waiting.pop(0).meeting_id] = now
            await asyncio.sleep(1 if over_s else 0)
        return ended

    async def imported(self, count: int) -> dict[tuple[str, str], float]:
        """When each meeting's recording and transcript were both here, once ``count`` meetings have them, and the
        meetings service shows them."""

        async def all_there() -> bool:
            return int((await self.databases["meetings"].at_once(_RECORDED, {}))[0][0]) >= count

        # Each look reads all meetings, and what it costs PostgreSQL counts as the meetings' cost.
        await until(all_there, within_s=PATIENCE_S + count / SLOWEST_PER_S, every_s=5)
        rows = await self.databases["recording-ingest"].at_once(_IMPORTED, {})
        return {(row.org_id, row.meeting_id): row.at.timestamp() for row in rows}

    def processor_s(self) -> float:
        """Processor time of the services and of PostgreSQL, in seconds."""
        return sum(process.processor_s() for process in self._processes) + _postgres_s(self._postgres)


class _World:
    """Microsoft's side, written before its process starts, and ours, to be written."""

    def __init__(self, folder: Path, plans: list[Plan], recording: int) -> None:
        simulator = create_simulator(SimulatorSettings(state_dir=folder))
        store = simulator.store
        self.tokens: dict[tuple[str, str], Json] = {}
        self.meetings: dict[str, list[tuple[MeetingRow, float]]] = {}
        self._people: dict[tuple[str, str], Json] = {}
        signer = Signer(store, "entra", Clock(store, None))
        with store.together():
            perform(simulator, "recording_size", {"size": recording})
            perform(simulator, "artefact_timing", {"recordings": 0, "transcripts": 0})
        self.first = simulator.now() + timedelta(seconds=LEAD_S)
        for plan in plans:
            with store.together():
                self._seat(simulator, signer, plan)
            self._book(simulator, plan, self.first)
        store.close()

    def _seat(self, simulator: Any, signer: Any, plan: Plan) -> None:
        domain = f"{plan.org_id}.example"
        tenant = perform(simulator, "tenant_add", {"name": plan.org_id, "domain": domain, "transcripts": True})
        for number in range(PEOPLE):
            name = f"p{number}"
            user = perform(simulator, "user_add", {"tenant": domain, "name": f"Person {number}", "local": name})
            claims: Json = {"tid": tenant["id"], "oid": user["id"], "scp": f"User.Read {SCOPES}", "idtyp": "user"}
            claims["appid"] = simulator.settings.client_id
            token = access_token(signer, "https://sts.windows.net/", claims)
            about = {"access_token": token, "oid": user["id"], "tid": tenant["id"]}
            self.tokens[plan.org_id, name] = about | {"expires_at": "2099-01-01T00:00:00Z"}
            self._people[plan.org_id, name] = user
        perform(simulator, "consent_give", {"tenant": domain})

    def _book(self, simulator: Any, plan: Plan, first: datetime) -> None:
        rows = self.meetings[plan.org_id] = []
        for number in range(plan.meetings):
            name = f"p{number % PEOPLE}"
            user = self._people[plan.org_id, name]
            ends_s = plan.first_s + (plan.last_s - plan.first_s) * (number + 1) / plan.meetings
            ends = first + timedelta(seconds=ends_s)
            asked = {"organizer": user["address"], "subject": f"Review {number}", "minutes": 30}
            in_minutes = (ends - simulator.now()).total_seconds() / 60 - 30
            made = perform(simulator, "meeting_booked", asked | {"in_minutes": in_minutes})
            rows.append((_row(plan.org_id, name, user, made), ends_s))

    async def connect(self, stage: Stage) -> None:
        bus: Any = KafkaBus(stage.kafka)
        for org_id in self.meetings:
            tid = self.tokens[org_id, "p0"]["tid"]
            about: Json = {"org_id": org_id, "aggregate_version": 1, "tid": tid, "changed_at": datetime.now(UTC)}
            people = [
                UserState(
                    **about,
                    user_id=name,
                    oid=user["id"],
                    name=user["name"],
                    email=user["address"],
                    status="connected",
                    connected=True,
                )
                for (org, name), user in self._people.items()
                if org == org_id
            ]
            features = Features(auto_recording=True)
            await publish(bus, TenantState(**about, connected=True, features=features), *people)
        await bus.stop()


def _row(org_id: str, user_id: str, user: Json, made: Json) -> MeetingRow:
    return MeetingRow(
        org_id=org_id,
        id=made["id"][-40:].replace("/", "_") + f"-{user_id}",
        user_id=user_id,
        organizer_name=user["name"],
        organizer_oid=user["id"],
        subject=made["subject"],
        starts_at=moment_of(made["start"]),
        ends_at=moment_of(made["end"]),
        attendees=[],
        join_url=made["join_url"],
        event_id=made["event"],
        online_meeting_id=made["id"],
        auto_recording=True,
    )


async def _services(
    stack: AsyncExitStack, town: Town, simulated: SimulatorSettings, user_auth: UserAuth
) -> list[Process]:
    ports = {name: free_port() for name in ("meetings", "recording-ingest", "storage")}
    apis = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    apps = {"user-auth": user_auth.app} | {name: _passing_on(url) for name, url in apis.items()}
    place = await stack.enter_async_context(serving(Dispatcher(apps)))
    hosts = [simulated.http_base_url, f"http://127.0.0.1:{simulated.http_port}", apis["storage"]]
    town.values |= {
        "internal_url": place + "/{service}",
        "public_url": place,
        "graph_base_url": f"{simulated.http_base_url}/v1.0",
    }
    processes = []
    for name, port in ports.items():
        more: Json = {"graph_hosts": json.dumps([host.removeprefix("http://") for host in hosts])}
        if name == "storage":
            more |= {"internal_url": apis[name]}  # uploads come straight to it
        processes.append(await stack.enter_async_context(town.process(name, "api", port=port, **more)))
        processes.append(await stack.enter_async_context(town.process(name, "worker", **more)))
    return processes


def _passing_on(url: str) -> Starlette:
    """Under the one address that services share, and that Microsoft is told."""
    http = httpx.AsyncClient(base_url=url, trust_env=False, verify=NO_TLS, timeout=60)

    async def passed_on(request: Request) -> Response:
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        query = f"?{request.url.query}" if request.url.query else ""
        answer = await http.post(request.scope["path"] + query, content=await request.body(), headers=headers)
        return Response(answer.content, answer.status_code, {"content-type": answer.headers.get("content-type", "")})

    return Starlette(routes=[Route("/{path:path}", passed_on, methods=["POST"])])


def _postgres_s(pid: int) -> float:
    """Processor time of the server's processes, those that ended included, in seconds."""
    spent = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, fields = int(stat.parent.name), stat.read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if number == pid:
            spent += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            spent += sum(map(int, fields[11:13]))
    return spent / os.sysconf("SC_CLK_TCK")
