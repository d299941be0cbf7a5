"""A service under test, with its two doors, HTTP and Kafka, and with time: its jobs are done when a test says so."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.bus import Record
from shared.database.outbox import Outbox
from shared.events import Event
from shared.graph.limits import BELIEVED_S
from shared.hosting.service import Service
from shared.subscriptions import certificates
from shared.subscriptions.rich import new_certificate
from shared.testing.databases import Databases
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.memory_bus import MemoryBus
from shared.web.identity import ServiceTokens

Json = dict[str, Any]
StartService = Callable[..., Awaitable[Service]]


async def publish(bus: MemoryBus, *events: Event, source: str = "another-service") -> None:
    """Publish events as another service's relay does."""
    outbox = Outbox(source=source)
    for event in events:
        outbox.add(event)
    await bus.publish([Record(row.topic, row.key, row.payload, json.loads(row.headers)) for row in outbox.rows])


async def consume(service: Service) -> None:
    """Let the service's own consumer run until everything published so far is handled or parked, or it stops."""
    lanes = service.lanes
    bus: Any = service.bus
    if not lanes.topics:
        return
    consuming = asyncio.create_task(lanes.run())
    try:
        while not (bus.all_fetched(lanes.group) and lanes.in_hand == 0):
            await asyncio.sleep(0.001)
            if consuming.done() or lanes.stopped:
                break
    finally:
        consuming.cancel()
        with suppress(asyncio.CancelledError):
            await consuming


class Harness:
    """One service as ``start_service`` gives it. ``keys`` sign what the gateway and other services would sign."""

    def __init__(self, service: Service, keys: PlatformKeys) -> None:
        self.service = service
        self.keys = keys
        self.bus: Any = service.bus
        transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://service")
        self.waited_s = 0.0
        """How much time passed in the test: what Microsoft asked to wait for is over so much earlier."""
        if "graph" in service.provided:
            service.guest("graph").sleep = self._pass

    def bearer_of_service(self, name: str, audience: str | None = None) -> str:
        """The token that this service would send to ``audience``, which is the service under test unless said."""
        own = self.service.settings.model_copy(update={"service_key_path": self.keys.private / f"{name}.pem"})
        return ServiceTokens(own, name).issue(audience or self.service.name)

    async def call(
        self,
        method: str,
        path: str,
        *,
        org: str = "acme",
        user: str = "anna",
        roles: tuple[str, ...] = ("user",),
        **more: Any,
    ) -> httpx.Response:
        """A request as the gateway passes it on."""
        headers = {"Authorization": f"Bearer {self.keys.token(org, user, roles)}", **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    async def hear(self, *events: Event) -> None:
        """Other services publish these, and the service handles them."""
        await publish(self.bus, *events)
        await consume(self.service)

    async def work(self) -> None:
        """Everything due is done."""
        await self.service.runner.drain()

    async def hurry(self, kind: str = "") -> None:
        """Jobs of this kind, or all, that wait for a later time are due now."""
        due = "UPDATE job SET run_at = clock_timestamp() WHERE state = 'waiting' AND kind LIKE :kind || '%'"
        await self.sql(due, kind=kind)
        self.wait(BELIEVED_S)

    def wait(self, seconds: float) -> None:
        """So much later Graph may be asked what Microsoft said to wait for."""
        self.waited_s += seconds
        if "graph" in self.service.provided:
            self.service.guest("graph").limits.clock = lambda: time.monotonic() + self.waited_s

    async def _pass(self, seconds: float) -> None:
        """Between two tries of Graph no test waits by the clock."""
        self.wait(seconds)
        await asyncio.sleep(0)

    async def settle(self) -> None:
        """Everything due is done and published."""
        await self.work()
        await self.service.relay.drain()

    async def sql(self, statement: str, *, org: str | None = None, **values: Any) -> list[Any]:
        """Over all organisations, or over the rows of ``org`` only."""
        db = self.service.db
        async with db.system_work() if org is None else db.unit_of_work(org) as work:
            return list(await work.session.execute(text(statement), values))

    async def rows(self, table: str) -> list[Json]:
        return [dict(row._mapping) for row in await self.sql(f"SELECT * FROM {table}")]  # noqa: SLF001

    async def jobs(self, kind: str = "") -> list[Json]:
        """The rows of jobs that are waiting or failed; of all kinds unless ``kind`` is given."""
        return [job for job in await self.rows("job") if kind in {"", job["kind"]}]

    async def published(self, topic: str) -> list[Any]:
        """Payloads, in the order of their publication per key; None for a tombstone."""
        await self.service.relay.drain()
        return [json.loads(record.value) if record.value else None for record in self.bus.records(topic)]


_made: list[bytes] = []


@pytest.fixture
def kept_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates for resource data are those of earlier tests under new names; within a test each is another."""
    count = itertools.count(1)

    def certificate() -> tuple[str, bytes]:
        number = next(count)
        while len(_made) < number:
            _made.append(new_certificate()[1])
        return f"kept{number}{secrets.token_hex(4)}", _made[number - 1]

    monkeypatch.setattr(certificates, "new_certificate", certificate)


@pytest.fixture
async def start_service(
    databases: Databases,
    make_settings: MakeSettings,
    platform_keys: PlatformKeys,
    memory_bus: MemoryBus,
    kept_certificates: None,
) -> AsyncIterator[StartService]:
    """``await start_service(create_service, Settings, "meetings", more=…)``: on its empty database, its loops at rest.

    Again with the same name: another process of the service, with the same settings.
    """
    started: list[Service] = []
    known: dict[str, Any] = {}

    async def start(create_service: Any, kind: type[Any], name: str, *, bus: Any = None, **more: Any) -> Service:
        if name not in known:
            await databases.empty(name.replace("-", "_"))
            known[name] = make_settings(kind, name, **more)
        service: Service = create_service(known[name], bus=bus or memory_bus)
        platform_keys.know_issuer(service.user_tokens)
        await service.start(api=False, worker=False)
        started.append(service)
        return service

    yield start
    for service in started:
        await service.stop()
