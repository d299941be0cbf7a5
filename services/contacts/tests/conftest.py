"""The service and the simulated Microsoft, on loopback, with user-auth's tokens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from contacts.main import create_service
from contacts.settings import Settings
from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.fixtures import SIGNED_IN
from m365_simulator.testing import Wire
from shared.events import Features, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, UserAuth

Json = dict[str, Any]
Tokens = dict[str, Json]
ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
ACCOUNTS = {"anna": ANNA, "ben": BEN}


class House(Harness):
    """The service, the simulator of Microsoft behind a wire, and user-auth, who gives Anna's and Ben's tokens."""

    def __init__(self, service: Service, keys: PlatformKeys, microsoft: SimulatorClient, wire: Wire) -> None:
        super().__init__(service, keys)
        self.microsoft = microsoft
        self.wire = wire
        self.user_auth: UserAuth
        self.accounts: Tokens
        self.simulator: Simulator

    def tenant(self, version: int, *, on: bool = True, connected: bool = True) -> TenantState:
        """What tenant-connector says; ``on`` is the switch for importing contacts."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        return TenantState(**about, connected=connected, features=Features(contacts_import=on))

    def person(self, version: int, user: str = "anna", *, connected: bool = True, account: str = "") -> UserState:
        """What user-auth says of a person, who may connect another account."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        address = account or ACCOUNTS[user]
        who = {"user_id": user, "oid": self.accounts[address]["oid"], "name": user, "email": address}
        return UserState(**about, **who, status="connected" if connected else "disconnected", connected=connected)

    async def connect(self, *, on: bool = True, version: int = 1) -> None:
        await self.hear(self.tenant(version, on=on), self.person(version), self.person(version, "ben"))

    async def add(self, given: str, surname: str, *emails: str, folder: str = "contacts", **more: Any) -> Json:
        """A contact in Anna's Outlook, or that of ``user``; its ids there."""
        user = more.pop("user", ANNA)
        body = {"givenName": given, "surname": surname, "emailAddresses": [{"address": one} for one in emails]}
        added: Json = await self.microsoft.do("contact_add", user=user, folder=folder, contact=body | more)
        return added

    async def change(self, contact: Json, **values: Any) -> None:
        await self.microsoft.do("contact_change", user=ANNA, contact=contact["immutable"], values=values)

    def give_photo(self, contact: Json, content: bytes | None) -> None:
        """Somebody puts a photo to the contact in Outlook, or (None) takes it away."""
        if content is None:
            self.simulator.store.delete("photos", contact["immutable"])
            return
        about = {"type": "image/png", "width": 48, "height": 48, "etag": '"p"', "bytes": content.hex()}
        self.simulator.store.put("photos", contact["immutable"], about)

    async def folder(self, path: str = "Contacts", user: str = "anna") -> str:
        """The id of a folder by its path of names."""
        answer = await self.call("GET", "/v1/contacts/folders", user=user)
        return next(str(one["id"]) for one in answer.json()["items"] if one["path"] == path)

    async def preview(self, *paths: str, user: str = "anna", key: str = "", share: bool = False) -> Json:
        """An import of these folders that shows its plan."""
        folders = [await self.folder(path, user) for path in paths or ("Contacts",)]
        self.keys_sent = getattr(self, "keys_sent", 0) + 1
        headers = {"Idempotency-Key": key or f"k{self.keys_sent}"}
        body = {"folders": folders, "share": share}
        made = await self.call("POST", "/v1/contacts/imports", user=user, json=body, headers=headers)
        assert made.status_code in {201, 202}, made.text
        await self.work()
        return await self.run(made.json()["id"], user)

    async def run(self, run_id: str, user: str = "anna") -> Json:
        shown: Json = (await self.call("GET", f"/v1/contacts/imports/{run_id}", user=user)).json()
        return shown

    async def act(self, run: Json, what: str, user: str = "anna", **body: Any) -> httpx.Response:
        more = {"json": body} if what == "start" else {}
        return await self.call("POST", f"/v1/contacts/imports/{run['id']}/{what}", user=user, **more)

    async def carry_out(self, run: Json, user: str = "anna", **body: Any) -> Json:
        """The import as it is after it was started and the worker did what it can."""
        answer = await self.act(run, "start", user, **body)
        assert answer.status_code == httpx.codes.OK, answer.text
        await self.work()
        return await self.run(run["id"], user)

    async def imported(self, *paths: str, user: str = "anna", share: bool = False, **body: Any) -> Json:
        return await self.carry_out(await self.preview(*paths, user=user, share=share), user, **body)

    async def undo(self, run: Json) -> Json:
        answer = await self.act(run, "undo")
        assert answer.status_code == httpx.codes.OK, answer.text
        await self.work()
        return await self.run(run["id"])

    async def contacts(self, user: str = "anna", **params: Any) -> list[Json]:
        answer = await self.call("GET", "/v1/contacts", user=user, params={"limit": 200, **params})
        found: list[Json] = answer.json()["items"]
        return found

    async def names(self, user: str = "anna", **params: Any) -> list[str]:
        return [one["name"] for one in await self.contacts(user, **params)]

    async def contact(self, name: str, user: str = "anna") -> Json:
        """A contact whole, by its name."""
        line = next(one for one in await self.contacts(user) if one["name"] == name)
        shown: Json = (await self.call("GET", f"/v1/contacts/{line['id']}", user=user)).json()
        return shown

    async def edit(self, contact: Json, **wanted: Any) -> httpx.Response:
        headers = {"If-Match": f'"{contact["version"]}"'}
        return await self.call("PATCH", f"/v1/contacts/{contact['id']}", json=wanted, headers=headers)

    async def delete(self, contact: Json) -> httpx.Response:
        headers = {"If-Match": f'"{contact["version"]}"'}
        return await self.call("DELETE", f"/v1/contacts/{contact['id']}", headers=headers)

    async def all_rows(self, run: Json, user: str = "anna", **params: Any) -> list[Json]:
        params = {"limit": 200, **params}
        answer = await self.call("GET", f"/v1/contacts/imports/{run['id']}/rows", user=user, params=params)
        found: list[Json] = answer.json()["items"]
        return found

    async def asked(self, method: str = "", part: str = "") -> int:
        """How many such requests Microsoft got."""
        calls = await self.microsoft.calls()
        return sum(call["method"].startswith(method) and part in call["path"] for call in calls)


@pytest.fixture
def seed(signed_in: Tokens) -> str:
    return SIGNED_IN


@pytest.fixture
def settings() -> Json:
    """What a test sets otherwise than the service does by itself."""
    return {}


@pytest.fixture
async def house(
    start_service: StartService,
    platform_keys: PlatformKeys,
    simulator: Simulator,
    microsoft: SimulatorClient,
    signed_in: Tokens,
    settings: Json,
) -> AsyncIterator[House]:
    graph_url = simulator.settings.http_base_url
    user_auth = UserAuth({("acme", user): signed_in[address] for user, address in ACCOUNTS.items()})
    simulator.app = wire = Wire(simulator.app)
    apps: Json = {"user-auth": user_auth.app}
    async with serving(Dispatcher(apps)) as url:
        reach = {"graph_base_url": f"{graph_url}/v1.0", "graph_hosts": [graph_url.removeprefix("http://")]}
        reach |= {"internal_url": url + "/{service}", "public_url": url, "import_wait_s": 0}
        service = await start_service(create_service, Settings, "contacts", **(reach | settings))
        apps["contacts"] = service.app  # where Microsoft notifies it
        house = House(service, platform_keys, microsoft, wire)
        house.user_auth, house.accounts, house.simulator = user_auth, signed_in, simulator
        yield house


def field(contact: Json, name: str) -> Json:
    """A field of a contact with its provenance."""
    found: Json = next(one for one in contact["fields"] if one["name"] == name)
    return found
