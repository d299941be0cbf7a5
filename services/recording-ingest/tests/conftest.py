"""The service, a real storage beside it and the simulated Microsoft, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.elsewhere import other_url
from m365_simulator.fixtures import SIGNED_IN
from m365_simulator.testing import Wire
from m365_simulator.tls import usual_trust
from recording_ingest.main import create_service
from recording_ingest.settings import Settings
from shared.events import Features, MeetingScheduled, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.memory_bus import MemoryBus
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, Meetings, TenantConnector, UserAuth
from storage.main import create_service as create_storage
from storage.settings import Settings as StorageSettings

Tokens = dict[str, dict[str, Any]]
PeoplesTokens = dict[tuple[str, str], dict[str, Any]]


class Town:
    """What stands around the service: Microsoft, and beside us who gives tokens; each behind a wire."""

    def __init__(self, simulator: Simulator, microsoft: SimulatorClient, tokens: PeoplesTokens) -> None:
        self.simulator, self.microsoft = simulator, microsoft
        self.user_auth, self.meetings = UserAuth(tokens), Meetings()
        settings, tid = simulator.settings, tokens["acme", "anna"]["tid"]
        client = settings.client_id, settings.client_secret
        self.tenant_connector = TenantConnector(settings.http_base_url, *client, tid)
        self.ours: dict[str, Any] = {
            "user-auth": self.user_auth.app,
            "meetings": self.meetings.app,
            "tenant-connector": self.tenant_connector.app,
        }
        self.our_wire, self.graph_wire = Wire(Dispatcher(self.ours)), Wire(simulator.app)
        simulator.app = self.graph_wire


class House(Harness):
    """The service, storage beside it, and the town: Microsoft and who gives tokens.

    ``remake`` gives another process of the service, with the same settings.
    """

    def __init__(
        self,
        service: Service,
        storage: Service,
        keys: PlatformKeys,
        town: Town,
        remake: Callable[[], Awaitable[Service]],
    ) -> None:
        super().__init__(service, keys)
        self.storage = Harness(storage, keys)
        self.simulator, self.microsoft = town.simulator, town.microsoft
        self.user_auth, self.tenant_connector = town.user_auth, town.tenant_connector
        self.meetings = town.meetings
        self.graph_wire, self.our_wire, self.ours = town.graph_wire, town.our_wire, town.ours
        self.remake = remake

    async def read(self, path: str, *, files: bool = False, **who: str) -> httpx.Response:
        return await (self.storage if files else self).call("GET", path, **who)

    async def connect(self, *, connected: bool = True, version: int = 1, org: str = "acme", user: str = "anna") -> None:
        about = {"org_id": org, "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        state = self.person(version, connected=connected, org=org, user=user)
        await self.hear(TenantState(**about, connected=True, features=Features(auto_recording=True)), state)
        await self.settle()

    async def tenant(self, version: int, *, on: bool = True, connected: bool = True) -> None:
        """What tenant-connector says of the organisation, as later news than ``connect``'s."""
        await self.hear(self.news(version, on=on, connected=connected))

    def news(self, version: int, *, on: bool = True, connected: bool = True) -> TenantState:
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        return TenantState(**about, connected=connected, features=Features(auto_recording=on))

    def person(self, version: int, *, connected: bool, org: str = "acme", user: str = "anna") -> UserState:
        about = {"org_id": org, "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        who = {"user_id": user, "oid": self.user_auth.tokens[org, user]["oid"], "name": "Anna"}
        status = "connected" if connected else "disconnected"
        return UserState(**about, **who, email="anna@contoso.example", status=status, connected=connected)

    async def book(self, *, auto: bool = True, account: str = "anna", start: datetime | None = None) -> dict[str, Any]:
        """A meeting at Microsoft, as the meetings service makes it."""
        start = start or datetime.now(UTC) + timedelta(minutes=30)
        token = self.user_auth.tokens[("acme", "anna") if account == "anna" else ("globex", "carl")]["access_token"]
        event = {
            "subject": "Review",
            "start": {"dateTime": f"{start:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
            "end": {"dateTime": f"{start + timedelta(minutes=30):%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"},
            "isOnlineMeeting": True,
            "onlineMeetingProvider": "teamsForBusiness",
        }
        base, headers = f"{self.simulator.settings.http_base_url}/v1.0", {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, verify=usual_trust()) as graph:
            made = (await graph.post("/me/events", json=event)).raise_for_status().json()
            link = made["onlineMeeting"]["joinUrl"]
            found = await graph.get("/me/onlineMeetings", params={"$filter": f"JoinWebUrl eq '{link}'"})
            online = found.raise_for_status().json()["value"][0]
            if auto:
                path = f"/me/onlineMeetings/{online['id']}"
                (await graph.patch(path, json={"recordAutomatically": True})).raise_for_status()
        return {"online_id": online["id"], "link": link, "start": start, "end": start + timedelta(minutes=30)}

    def scheduled(
        self, booked: dict[str, Any], meeting_id: str = "m1", *, auto: bool = True, version: int = 2, **more: Any
    ) -> MeetingScheduled:
        values = {
            "org_id": "acme",
            "aggregate_version": version,
            "meeting_id": meeting_id,
            "user_id": "anna",
            "organizer_oid": self.user_auth.tokens["acme", "anna"]["oid"],
            "online_meeting_id": booked["online_id"],
            "join_url": booked["link"],
            "subject": "Review",
            "start": booked["start"],
            "end": booked["end"],
            "attendees": [],
            "auto_recording": auto,
        }
        return MeetingScheduled.model_validate(values | more)

    async def delivered(self) -> None:
        """Microsoft has no notification left to deliver."""
        async with asyncio.timeout(20):
            while (await self.microsoft.state())["deliveries"]:
                await self.simulator.settle()

    async def happen(self, booked: dict[str, Any], *, record: bool = False) -> None:
        await self.microsoft.let_meeting_happen(booked["link"], record=record)
        await self.delivered()

    async def ledger(self, meeting_id: str = "m1") -> dict[str, dict[str, Any]]:
        answer = (await self.read(f"/v1/ledger/{meeting_id}")).raise_for_status().json()
        return {shown["kind"]: shown for shown in answer["artefacts"]}


@pytest.fixture
def tokens(signed_in: Tokens) -> PeoplesTokens:
    """The tokens of two organisations' people, by organisation and user."""
    return {("acme", "anna"): signed_in["anna@contoso.example"], ("globex", "carl"): signed_in["carl@fabrikam.example"]}


@pytest.fixture
def seed(signed_in: Tokens) -> str:
    return SIGNED_IN


@pytest.fixture
def ingest_settings() -> dict[str, Any]:
    """Overridden by tests that need other intervals."""
    return {}


@pytest.fixture
def chunk_max_bytes() -> int:
    """storage's largest range; small, so that small recordings have several."""
    return 1024 * 1024


@pytest.fixture
async def house(
    start_service: StartService,
    platform_keys: PlatformKeys,
    simulator: Simulator,
    microsoft: SimulatorClient,
    tokens: PeoplesTokens,
    tmp_path: Path,
    ingest_settings: dict[str, Any],
    chunk_max_bytes: int,
) -> AsyncIterator[House]:
    town, graph_url = Town(simulator, microsoft, tokens), simulator.settings.http_base_url
    hosts = [urlsplit(address).netloc for address in (graph_url, other_url(simulator))]
    async with serving(town.our_wire) as url:
        reach = {"internal_url": url + "/{service}", "public_url": url}
        reach |= {"graph_base_url": f"{graph_url}/v1.0", "graph_hosts": hosts}
        files = {"object_store_dir": tmp_path / "files", "upload_chunk_max_bytes": chunk_max_bytes}
        storage = await start_service(create_storage, StorageSettings, "storage", bus=MemoryBus(), **reach, **files)

        async def remake() -> Service:
            return await start_service(create_service, Settings, "recording-ingest", **reach, **ingest_settings)

        service = await remake()
        town.ours |= {one.name: one.app for one in (service, storage)}
        yield House(service, storage, platform_keys, town, remake)
