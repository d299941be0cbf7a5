"""The service and the simulated Microsoft, on loopback, with user-auth's tokens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.fixtures import SIGNED_IN
from m365_simulator.testing import Wire
from meetings.main import create_service
from meetings.settings import Settings
from shared.events import Features, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, TenantConnector, UserAuth

Json = dict[str, Any]
Tokens = dict[str, Json]
ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


class House(Harness):
    """The service, the simulator of Microsoft behind a wire, and user-auth, who gives Anna's token."""

    def __init__(self, service: Service, keys: PlatformKeys, microsoft: SimulatorClient, wire: Wire) -> None:
        super().__init__(service, keys)
        self.microsoft = microsoft
        self.wire = wire
        self.user_auth: UserAuth
        self.tenant_connector: TenantConnector
        self.accounts: Tokens

    def tenant(self, version: int, *, on: bool = True, connected: bool = True) -> TenantState:
        """What tenant-connector says; ``on`` is the switch for automatic recording."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        return TenantState(**about, connected=connected, features=Features(auto_recording=on))

    def person(self, version: int, *, connected: bool = True, account: str = ANNA) -> UserState:
        """What user-auth says of Anna, who may connect another account."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        who = {"user_id": "anna", "oid": self.accounts[account]["oid"], "name": "Anna", "email": account}
        return UserState(**about, **who, status="connected" if connected else "disconnected", connected=connected)

    async def connect(self, *, on: bool = True, version: int = 1) -> None:
        await self.hear(self.tenant(version, on=on), self.person(version))

    async def post(self, key: str = "k1", **more: Any) -> httpx.Response:
        body = {
            "subject": "Review",
            "start": "2030-03-01T10:00:00+01:00",
            "end": "2030-03-01T10:30:00+01:00",
            "attendees": [{"email": "bo@acme.example", "name": "Bo"}],
        }
        return await self.call("POST", "/v1/meetings", json=body | more, headers={"Idempotency-Key": key})

    async def schedule(self, key: str = "k1", **more: Any) -> httpx.Response:
        """What ``POST`` answers once the worker has done what it can."""
        answer = await self.post(key, **more)
        if answer.status_code == httpx.codes.ACCEPTED:
            await self.work()
            answer = await self.post(key, **more)
        return answer

    async def booked(self, count: int = 1, **more: Any) -> list[str]:
        """Ids of meetings that are scheduled."""
        return [(await self.schedule(f"k{number}", **more)).json()["id"] for number in range(count)]

    async def record(self, meeting_id: str) -> Json:
        shown: Json = (await self.call("GET", f"/v1/meetings/{meeting_id}")).json()
        return shown

    async def try_again(self) -> None:
        """What waits for its next try is done; booked ends still lie ahead, and no calendar is looked at."""
        later = "('booked_end', 'follow_calendar')"
        await self.sql(f"UPDATE job SET run_at = clock_timestamp() WHERE state = 'waiting' AND kind NOT IN {later}")
        await self.work()

    async def look(self) -> None:
        """Calendars are looked at, and what follows from it is done."""
        await self.hurry("follow_calendar")
        await self.work()

    async def notified(self) -> None:
        """What Microsoft has to notify is notified, and what follows from it is done, but no calendar is looked at."""
        await self.microsoft.settle()
        await self.work()

    async def asked(self, method: str = "", part: str = "") -> int:
        """How many such requests Microsoft got."""
        calls = await self.microsoft.calls()
        return sum(call["method"].startswith(method) and part in call["path"] for call in calls)

    async def events(self) -> list[Json]:
        """In the organizer's calendar; one that is cancelled is there no more."""
        found: list[Json] = (await self.microsoft.state())["events"]
        return found

    async def at_microsoft(self, name: str = "recordAutomatically") -> list[Any]:
        """This of every online meeting there, such as whether it is ``cancelled``."""
        return [meeting[name] for meeting in (await self.microsoft.state())["meetings"]]

    async def refuse(self, status: int, path: str = "*", code: str = "BadRequest") -> None:
        """Microsoft refuses what goes to such a path, until its faults are cleared."""
        await self.microsoft.fault("refused", status=status, code=code, times=None, match={"path": path})


@pytest.fixture
def seed(signed_in: Tokens) -> str:
    return SIGNED_IN


@pytest.fixture
def schedule_wait_s() -> float:
    """How long ``POST /v1/meetings`` waits for the worker: here the tests do, in ``House.schedule``."""
    return 0


@pytest.fixture
async def house(
    start_service: StartService,
    platform_keys: PlatformKeys,
    simulator: Simulator,
    microsoft: SimulatorClient,
    signed_in: Tokens,
    schedule_wait_s: float,
) -> AsyncIterator[House]:
    graph_url = simulator.settings.http_base_url
    user_auth = UserAuth({("acme", "anna"): signed_in[ANNA]})
    simulator.app = wire = Wire(simulator.app)
    settings, tid = simulator.settings, signed_in[ANNA]["tid"]
    tenant_connector = TenantConnector(graph_url, settings.client_id, settings.client_secret, tid)
    apps: Json = {"user-auth": user_auth.app, "tenant-connector": tenant_connector.app}
    async with serving(Dispatcher(apps)) as url:
        reach = {"graph_base_url": f"{graph_url}/v1.0", "graph_hosts": [graph_url.removeprefix("http://")]}
        reach |= {"internal_url": url + "/{service}", "public_url": url}
        reach |= {"entra_authority": graph_url, "client_id": settings.client_id}
        service = await start_service(create_service, Settings, "meetings", **reach, schedule_wait_s=schedule_wait_s)
        apps["meetings"] = service.app  # where Microsoft notifies it
        house = House(service, platform_keys, microsoft, wire)
        house.user_auth, house.accounts, house.tenant_connector = user_auth, signed_in, tenant_connector
        yield house
