"""B11: recordings imported a second by two ingest workers, against one, while each answer of Graph takes 400 ms.

A stand-in for Graph gives every recording; storage is one process. After each round every recording has one file.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import Stage
from dev.bench.town import Process, Town, raise_town, script
from m365_simulator.testing import free_port
from recording_ingest.tables import ArtefactRow, LedgerMeeting
from recording_ingest.work import TransferRecording
from shared.connections.state import keep_account, keep_tenant
from shared.events import Features, TenantState, UserState
from shared.testing.serving import NO_TLS, serving
from shared.testing.siblings import Dispatcher, UserAuth
from shared.testing.waiting import until

RECORDINGS, WARM_UP, PEOPLE = 256, 32, 6
GRAPH_MS, SIZE = 400, 1024 * 1024
_DONE = text("SELECT count(*) FROM artefact WHERE status = 'imported'")
_FILES = "SELECT count(*), count(DISTINCT dedupe_key) FROM stored_file WHERE completed_at IS NOT NULL"


async def measure(stage: Stage, count: int) -> Outcome:
    outcome = Outcome("B11 recordings, two workers", "per s", "two / one worker", 1.7, ratio)
    async with _Studio.opened(stage) as studio:
        return await rounds(outcome, studio.two, studio.one, count)


class _Studio:
    """One worker runs all the time; a second one while ``two`` is measured."""

    def __init__(self, stage: Stage, town: Town, worker: dict[str, Any]) -> None:
        self._stage = stage
        self._town = town
        self._worker = worker
        self._db = stage.database(town.databases["recording-ingest"])

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage) -> AsyncIterator["_Studio"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            graph = await stack.enter_async_context(script("dev.bench.peers", "graph", str(GRAPH_MS), str(SIZE)))
            storage = await stack.enter_async_context(_storage(town))
            token = {"access_token": "t", "oid": "oid", "tid": "tid", "expires_at": "2099-01-01T00:00:00Z"}
            people = {("acme", f"p{number}"): token for number in range(PEOPLE)}
            siblings = Dispatcher({"user-auth": UserAuth(people).app, "storage": _sessions_of(storage)})
            place = await stack.enter_async_context(serving(siblings))
            worker: dict[str, Any] = {"graph_hosts": json.dumps([storage.url.removeprefix("http://")])}
            town.values |= {"internal_url": place + "/{service}", "graph_base_url": f"{graph.url}/v1.0"}
            await town.migrated("recording-ingest")
            await stack.enter_async_context(town.process("recording-ingest", "worker", **worker))
            studio = cls(stage, town, worker)
            stack.push_async_callback(studio._db.close)
            # Workers hear of jobs from this process too, as from a service's own, instead of at their next poll.
            hearing = asyncio.create_task(studio._db.wakes.listen())
            stack.callback(hearing.cancel)
            await studio._connect()
            yield studio

    async def one(self) -> float:
        return await self._imported_per_s(RECORDINGS)

    async def two(self) -> float:
        """A worker that has just started connects and compiles its statements first, which is not measured."""
        async with self._town.process("recording-ingest", "worker", **self._worker):
            await self._imported_per_s(WARM_UP)
            return await self._imported_per_s(RECORDINGS)

    async def _imported_per_s(self, count: int) -> float:
        before, names = await self._done(), [uuid.uuid4().hex for _ in range(count)]
        begun = time.perf_counter()
        async with self._db.unit_of_work("acme") as work:
            for number, name in enumerate(names):
                work.session.add(_meeting(name, f"p{number % PEOPLE}"))
            await work.session.flush()
            for name in names:
                about: dict[str, Any] = {
                    "org_id": "acme",
                    "id": name,
                    "meeting_id": name,
                    "kind": "recording",
                    "graph_id": name,
                }
                work.session.add(ArtefactRow(**about, created_at=datetime.now(UTC)))
                work.queue(TransferRecording(artefact_id=name))

        async def all_there() -> bool:
            return await self._done() == before + count

        await until(all_there, within_s=120)
        spent = time.perf_counter() - begun
        await self._check()
        return count / spent

    async def _done(self) -> int:
        return int((await self._db.at_once(_DONE, {}))[0][0])

    async def _check(self) -> None:
        connection = await self._stage.connect(self._town.databases["storage"].url)
        files, recordings = await connection.fetchrow(_FILES)
        await connection.close()
        assert files == recordings == await self._done(), "a recording has two files, or none"

    async def _connect(self) -> None:
        about: dict[str, Any] = {"org_id": "acme", "aggregate_version": 1, "tid": "tid"}
        about["changed_at"] = datetime.now(UTC)
        async with self._db.unit_of_work("acme") as work:
            tenant = TenantState(**about, connected=True, features=Features(auto_recording=True))
            await keep_tenant(work.session, tenant)
            for number in range(PEOPLE):
                who = {"user_id": f"p{number}", "oid": "oid", "name": "P", "email": "p@contoso.example"}
                await keep_account(work.session, UserState(**about, **who, status="connected", connected=True))


def _meeting(name: str, user_id: str) -> LedgerMeeting:
    now = datetime.now(UTC)
    return LedgerMeeting(
        org_id="acme",
        meeting_id=name,
        user_id=user_id,
        organizer_oid="oid",
        online_meeting_id=f"online-{name}",
        starts_at=now - timedelta(hours=1),
        ends_at=now,
        auto_recording=True,
        status="ended",
    )


@asynccontextmanager
async def _storage(town: Town) -> AsyncIterator[Process]:
    """Its upload addresses are its own, so the bytes go straight to it."""
    port = free_port()
    async with town.process("storage", "api", port=port, internal_url=f"http://127.0.0.1:{port}") as process:
        yield process


def _sessions_of(storage: Process) -> Starlette:
    """Under the one address that services share: passes on who asks for an upload session, and nothing else."""

    async def passed_on(request: Request) -> Response:
        headers = {name: request.headers[name] for name in ("authorization", "content-type")}
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
            answer = await http.post(
                f"{storage.url}{request.url.path.removeprefix('/storage')}",
                content=await request.body(),
                headers=headers,
            )
        return Response(answer.content, answer.status_code, {"content-type": answer.headers["content-type"]})

    return Starlette(routes=[Route("/internal/upload-sessions", passed_on, methods=["POST"])])
