"""The service on a real database, its loops running, and a small Microsoft on a loopback port."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text

from meetings.main import create_service
from meetings.settings import Settings
from shared.bus import MemoryBus
from shared.events import Event, Features, TenantState, UserState
from shared.migrate import migrate
from shared.service import Service
from shared.testing.harness import consume
from shared.testing.serving import serving

OID = "0b1f2a66-0000-4000-8000-000000000001"


class Microsoft:
    """A small Microsoft behind HTTP, with user-auth's token endpoint.

    What it holds is public so that tests can look; ``reconnect`` makes user-auth refuse a token, ``oid`` is whose it
    gives, ``forbidden`` makes Graph refuse everything. Awaited are ``booked`` once an event was made and before that
    is answered, ``meanwhile`` likewise once an option was set, ``looked_up`` before a look-up is.
    """

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.by_transaction: dict[str, str] = {}
        self.posts = 0
        self.online: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []
        self.hidden_lookups = 0
        self.refuse_recording = False
        self.reconnect = self.forbidden = False
        self.oid = OID
        self.tokens = 0
        self.asked: list[tuple[str, str]] = []
        self.booked: Callable[[], Awaitable[None]] | None = None
        self.looked_up: Callable[[], Awaitable[None]] | None = None
        self.meanwhile: Callable[[bool], Awaitable[JSONResponse | None]] | None = None
        self._ids = itertools.count(1)
        self.app = FastAPI()
        self.app.middleware("http")(self.note)
        self.app.post("/user-auth/internal/tokens")(self.token)
        self.app.post("/v1.0/me/events")(self.create)
        self.app.patch("/v1.0/me/events/{event_id}")(self.change)
        self.app.post("/v1.0/me/events/{event_id}/cancel")(self.cancel)
        self.app.get("/v1.0/me/onlineMeetings")(self.find)
        self.app.patch("/v1.0/me/onlineMeetings/{online_id}")(self.options)

    async def note(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path.startswith("/v1.0/"):
            self.asked.append((request.method, request.url.path))
            if self.forbidden:
                return JSONResponse({"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}}, 403)
        return await go_on(request)

    async def token(self) -> JSONResponse:
        self.tokens += 1
        if self.reconnect:
            detail = "Connect the Microsoft account again."
            return JSONResponse({"code": "reconnect_required", "detail": detail, "status": 409}, 409)
        made = {"access_token": "t", "expires_at": "2099-01-01T00:00:00Z", "oid": self.oid, "tid": "t1"}
        return JSONResponse(made)

    async def create(self, request: Request) -> JSONResponse:
        wanted = await request.json()
        self.posts += 1
        event_id = self.by_transaction.setdefault(wanted["transactionId"], f"event-{next(self._ids)}")
        link = f"https://teams.example/l/meetup-join/{event_id}?o'k=1"
        self.events.setdefault(event_id, wanted | {"id": event_id, "onlineMeeting": {"joinUrl": link}})
        self.online.setdefault(link, {"id": f"online-{event_id}", "joinWebUrl": link, "recordAutomatically": False})
        if self.booked:
            await self.booked()
        return JSONResponse(self.events[event_id], 201)

    async def find(self, request: Request) -> dict[str, Any]:
        if self.looked_up:
            await self.looked_up()
        if self.hidden_lookups:
            self.hidden_lookups -= 1
            return {"value": []}
        link = request.query_params["$filter"].removeprefix("JoinWebUrl eq '").removesuffix("'").replace("''", "'")
        return {"value": [self.online[link]] if link in self.online else []}

    async def options(self, online_id: str, request: Request) -> JSONResponse:
        if self.refuse_recording:
            return JSONResponse({"error": {"code": "BadRequest", "message": "Recording is not allowed."}}, 400)
        found = next(item for item in self.online.values() if item["id"] == online_id)
        found |= (wanted := await request.json())
        instead = await self.meanwhile(wanted["recordAutomatically"]) if self.meanwhile else None
        return instead or JSONResponse(found)

    async def change(self, event_id: str, request: Request) -> dict[str, Any]:
        self.events[event_id] |= await request.json()
        return self.events[event_id]

    async def cancel(self, event_id: str) -> Response:
        self.cancelled.append(event_id)
        return Response(status_code=202)


@pytest.fixture
async def microsoft() -> AsyncIterator[tuple[Microsoft, str]]:
    made = Microsoft()
    async with serving(made.app) as url:
        yield made, url


@dataclass
class House:
    """The service with everything a test drives it by."""

    service: Service
    http: httpx.AsyncClient
    microsoft: Microsoft
    token: Callable[..., str]
    bus: MemoryBus

    async def call(self, method: str, path: str, *, user: str = "anna", org: str = "acme", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token(org, user)}", **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    async def schedule(self, key: str = "k1", **more: Any) -> Any:
        body = {
            "subject": "Review",
            "start": "2030-03-01T10:00:00+01:00",
            "end": "2030-03-01T10:30:00+01:00",
            "attendees": [{"email": "bo@acme.example", "name": "Bo"}],
        }
        headers = {"Idempotency-Key": key}
        asked = asyncio.create_task(self.call("POST", "/v1/meetings", json=body | more, headers=headers))
        while not asked.done():
            await self.service.runner.drain()
            await asyncio.wait([asked], timeout=0.05)
        return asked.result()

    async def hear(self, *events: Event) -> None:
        """As if other services had published these."""
        async with self.service.db.unit_of_work("acme") as work:
            for event in events:
                work.outbox.add(event)
        await self.service.relay.drain()
        await consume(self.service)

    async def connect(self, *, auto_recording: bool = True, version: int = 1) -> None:
        now = datetime.now(UTC)
        features = Features(auto_recording=auto_recording)
        about = {"org_id": "acme", "aggregate_version": version, "connected": True, "tid": "t1", "changed_at": now}
        who = {"user_id": "anna", "status": "connected", "oid": OID, "name": "Anna", "email": "anna@acme.example"}
        await self.hear(TenantState(**about, features=features), UserState(**about, **who))

    async def work(self) -> None:
        """Everything that waits is done now."""
        await self.sql("UPDATE job SET run_at = clock_timestamp() WHERE state = 'waiting' AND kind <> 'booked_end'")
        await self.service.runner.drain()

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with self.service.db.system_work() as work:
            result = await work.session.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []  # type: ignore[attr-defined]

    async def record(self, meeting_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.call("GET", f"/v1/meetings/{meeting_id}")).json()
        return shown

    async def published(self, topic: str) -> list[dict[str, Any]]:
        await self.service.relay.drain()
        return published_on(self.bus, topic)


def published_on(bus: MemoryBus, topic: str) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in bus.records(topic)]


MakeClient = Callable[[Any], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def house(
    make_settings: Any, platform_keys: Any, memory_bus: MemoryBus, client_of: MakeClient, microsoft: Any
) -> AsyncIterator[House]:
    made, url = microsoft
    settings = make_settings(
        Settings,
        "meetings",
        graph_base_url=f"{url}/v1.0",
        graph_hosts=[url.removeprefix("http://")],
        internal_url=url + "/{service}",
        schedule_wait_s=60,
    )
    await migrate("meetings", settings)
    service = create_service(settings, bus=memory_bus)
    platform_keys.know_issuer(service.user_tokens)
    await service.start(api=False, worker=False)
    yield House(service, await client_of(service), made, platform_keys.token, memory_bus)
    await service.stop()
