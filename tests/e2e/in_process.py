"""The services of the main job in the process of the test: their real loops, one bus, the simulated Microsoft."""

import asyncio
import importlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from dev.demo import Demo, Json
from dev.embedded.gateway import Gateway, InternalDispatcher, PersonaTokens
from m365_simulator import Simulator
from shared.hosting.service import Service
from shared.testing.databases import Databases, connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.memory_bus import MemoryBus

SERVICES = ["tenant-connector", "user-auth", "storage", "meetings", "recording-ingest"]
PATIENCE_S = 100
ONCE = ["tenant.connected", "user.connected", "meeting.scheduled", "recording.imported", "transcript.imported"]
LATER = """UPDATE job SET run_at = clock_timestamp()
    WHERE state = 'waiting' AND run_at < clock_timestamp() + interval '10 minutes'"""
"""Time that passes: what waits for a later moment is due."""
LEASES = """WITH jobs AS (UPDATE job SET lease_until = clock_timestamp() WHERE state = 'running')
    UPDATE graph_subscription SET claimed_until = clock_timestamp() WHERE claimed_until IS NOT NULL"""
"""The same for what a dead worker held."""
LEFT = (
    "SELECT kind FROM job WHERE state = 'running' OR state = 'waiting' AND run_at <= clock_timestamp()",
    "SELECT topic FROM outbox",
    "SELECT resource FROM graph_notification",
)
STUCK = (
    "SELECT kind, state, last_error FROM job WHERE state = 'failed'",
    "SELECT topic, last_error FROM outbox WHERE parked_at IS NOT NULL",
    "SELECT topic, reason FROM parked_record",
)


class InProcess:
    """Databases, bus, Microsoft and files stay; ``services`` are made by ``start`` and thrown away by ``stop``."""

    def __init__(self, databases: Databases, keys: PlatformKeys, simulator: Simulator, folder: Path) -> None:
        self.databases = databases
        self.keys = keys
        self.simulator = simulator
        self.folder = folder
        self.bus = MemoryBus()
        self.apps: dict[str, Any] = {}
        self.services: dict[str, Service] = {}
        self._looking: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self.url = self.internal_url = ""
        known = simulator.settings
        self.gateway = Gateway(self.apps, PersonaTokens(f"{known.http_base_url}/prospo-issuer"))
        self.internal = InternalDispatcher(self.apps)

    async def open(self) -> None:
        for name in SERVICES:
            await self.databases.empty(name.replace("-", "_"))
        await self.look()

    async def look(self) -> None:
        """Connections to the databases as they are, past those of the services."""
        for name in SERVICES:
            self._looking[name] = await connect(self.databases.named(name.replace("-", "_")).url)

    async def aclose(self) -> None:
        for connection in self._looking.values():
            await connection.close()

    def settings(self, name: str) -> Any:
        """The same each time. To read them anew takes as long as the rest of making a service."""
        if name not in self._settings:
            self._settings[name] = self._read_settings(name)
        return self._settings[name]

    def _read_settings(self, name: str) -> Any:
        kind = importlib.import_module(f"{name.replace('-', '_')}.settings").Settings
        database, known = self.databases.named(name.replace("-", "_")), self.simulator.settings
        issuer = f"{known.http_base_url}/prospo-issuer"
        values = database.settings | {
            "kafka_bootstrap_servers": "nowhere:9092",
            "key_ring_dir": self.keys.key_ring_dir,
            "service_key_path": self.keys.private / f"{name}.pem",
            "service_public_keys_dir": self.keys.public,
            "jwt_issuer": issuer,
            "jwt_jwks_url": f"{issuer}/jwks",
            "internal_url": self.internal_url + "/{service}",
            "notification_base_url": self.url,
            "graph_base_url": f"{known.http_base_url}/v1.0",
            "graph_hosts": [known.http_base_url.removeprefix("http://")],
            "entra_authority": known.https_base_url,
            "entra_page_authority": known.http_base_url,
            "ca_bundle": known.state_dir / "ca.pem",
            "client_id": known.client_id,
            "client_secret": known.client_secret,
            "object_store_dir": self.folder / "files",
            "readiness_first_check_s": 3600,
            "notification_retry_s": 1,
            "reconcile_interval_s": 5,
            "reconcile_after_s": list(range(5, 3600, 5)),
            "reconcile_early_interval_s": 5,
        }
        return kind(**{name: value for name, value in values.items() if name in kind.model_fields})

    async def start(self) -> None:
        """New services on what is there, each with its API and its worker."""
        for name in SERVICES:
            self.make(name, self.bus)
        for service in self.services.values():
            await service.start(api=True, worker=True)

    def make(self, name: str, bus: Any) -> Service:
        """It answers from now on, and does nothing by itself before it is started."""
        module = importlib.import_module(f"{name.replace('-', '_')}.main")
        made: Service = module.create_service(self.settings(name), bus=bus)
        self.services[name], self.apps[name] = made, made.app
        return made

    async def stop(self) -> None:
        while self.services:
            await self.services.popitem()[1].stop()

    async def sql(self, *statements: str, services: Iterable[str] = SERVICES) -> list[Any]:
        """Over all organisations of these services, past their own connections."""
        found: list[Any] = []
        for name in services:
            for statement in statements:
                found += await self._looking[name].fetch(statement)
        return found


class Journey(Demo):
    """The demo's steps; it looks often, and ``hurried`` lets time pass for its services when nothing else happens."""

    def __init__(self, place: InProcess, *, hurried: bool = True) -> None:
        simulated = place.simulator.settings.http_base_url
        described = {"url": place.url, "kafka_bootstrap_servers": "", "simulator_url": simulated}
        super().__init__(place.folder, described)
        self.place = place
        self.hurried = hurried

    async def run(self) -> None:
        try:
            await self.connect_tenant()
            await self.record_automatically()
            await self.connect_user()
            meeting = await self.schedule()
            await self.let_it_happen(meeting)
            await self.wait_for_artefacts(meeting["id"])
            await self.until(self.at_rest, "nothing is left to do")
        finally:
            await self.aclose()

    async def at_rest(self) -> Json | None:
        return None if await self.place.sql(*LEFT) else {"yes": True}

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.microsoft.aclose()

    async def until(self, look: Callable[[], Awaitable[Json | None]], what: str) -> Json:
        deadline = time.monotonic() + PATIENCE_S
        looked = 0
        while (found := await look()) is None:
            assert time.monotonic() < deadline, f"It did not come true that {what}."
            looked += 1
            if looked % 50 == 0:
                await self.place.simulator.settle()
                if self.hurried:
                    await self.place.sql(LATER)
            await asyncio.sleep(0.01)
        return found


async def check_one_of_each(place: InProcess) -> None:
    """One meeting here and at Microsoft, one recording, one transcript, each event once in effect; nothing is stuck."""
    await place.start()
    try:
        journey = Journey(place)
        state = await journey.microsoft.state()
        assert len(state["events"]) == 1
        assert Counter(row["kind"] for row in state["artefacts"]) == {"recordings": 1, "transcripts": 1}
        assert Counter(row["resource"] for row in state["subscriptions"]).most_common(1)[0][1] == 1
        (meeting,) = (await journey.call("acme-anna", "GET", "/v1/meetings")).json()["items"]
        ledger = (await journey.call("acme-anna", "GET", f"/v1/ledger/{meeting['id']}")).json()
        assert Counter(item["kind"] for item in ledger["artefacts"]) == {"recording": 1, "transcript": 1}
        await journey.aclose()
    finally:
        await place.stop()
    ids = {topic: {record.headers["ce_id"] for record in place.bus.records(topic)} for topic in ONCE}
    assert {topic: len(found) for topic, found in ids.items()} == dict.fromkeys(ONCE, 1)
    assert await place.sql(*STUCK) == []
