"""The mail service before the simulator of Microsoft, with Anna and Ben."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import find_user
from m365_simulator.signing import access_token
from m365_simulator.testing import Wire
from mail.main import create_service
from mail.settings import Settings
from services.mail.tests.post_office import ADA, BO, READS, Contacts, PostOffice
from shared.events import Features, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, UserAuth

Json = dict[str, Any]
ANNA, BEN, CARL = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example"
ACCOUNTS = {"anna": ANNA, "ben": BEN}
ALLOWED = "Mail.Send Mail.ReadWrite"


class House(Harness):
    """The service, the simulator of Microsoft behind a wire, and user-auth, who gives Anna's and Ben's tokens."""

    def __init__(self, service: Service, keys: PlatformKeys, microsoft: SimulatorClient, wire: Wire) -> None:
        super().__init__(service, keys)
        self.microsoft = microsoft
        self.wire = wire
        self.user_auth: UserAuth
        self.simulator: Simulator
        self.graph: dict[str, httpx.AsyncClient] = {}
        self.keys_sent = 0
        self.post: PostOffice

    def tenant(self, version: int, *, on: bool = True, connected: bool = True) -> TenantState:
        """What tenant-connector says; ``on`` is the switch for mail."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        return TenantState(**about, connected=connected, features=Features(outlook_email=on))

    def person(self, version: int, user: str = "anna", *, connected: bool = True, account: str = "") -> UserState:
        """What user-auth says of a person, who may connect another account."""
        about = {"org_id": "acme", "aggregate_version": version, "tid": "t1", "changed_at": datetime.now(UTC)}
        address = account or ACCOUNTS[user]
        who = {"user_id": user, "oid": self.token(address)["oid"], "name": user, "email": address}
        return UserState(**about, **who, status="connected" if connected else "disconnected", connected=connected)

    def token(self, address: str, scopes: str = ALLOWED) -> Json:
        """A person's token as user-auth gives it."""
        user = find_user(self.simulator.store, address)
        assert user is not None
        claims = {"tid": user["tenant"], "oid": user["id"], "idtyp": "user", "scp": scopes}
        claims["appid"] = self.simulator.settings.client_id
        value = access_token(self.simulator.entra, f"https://sts.windows.net/{user['tenant']}/", claims)
        made = {"access_token": value, "oid": user["id"], "tid": user["tenant"]}
        return made | {"expires_at": "2099-01-01T00:00:00Z"}

    async def follow(self, *people: str) -> PostOffice:
        """People, Anna and Ben unless named, are connected, and Ada and Bo are Anna's contacts.

        Nothing is read of mailboxes of those who are named until the worker does it.
        """
        for user, address in ACCOUNTS.items():
            self.user_auth.tokens["acme", user] = self.token(address, READS)
        self.post.contacts.log += [
            {"contact_id": f"c-{one.partition('@')[0]}", "user_id": "anna", "shared": False, "addresses": [one]}
            for one in (ADA, BO)
        ]
        if people:
            await self.hear(self.tenant(1), *(self.person(1, user) for user in people))
        else:
            await self.connect()
        return self.post

    async def connect(self, *, on: bool = True, version: int = 1) -> None:
        await self.hear(self.tenant(version, on=on), self.person(version), self.person(version, "ben"))
        await self.work()

    def asks(self, user: str = "anna", key: str = "", **wanted: Any) -> Json:
        """The request that sends a mail to Ben, or what is wanted instead."""
        self.keys_sent += 1
        body = {"to": [{"email": BEN}], "subject": "Lunch?", "body": "Soup.", **wanted}
        return {"user": user, "json": body, "headers": {"Idempotency-Key": key or f"k{self.keys_sent}"}}

    async def send(self, user: str = "anna", key: str = "", **wanted: Any) -> Json:
        """The mail as it is right after it was asked for."""
        answer = await self.call("POST", "/v1/mail", **self.asks(user, key, **wanted))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        shown: Json = answer.json()
        return shown

    async def sent(self, user: str = "anna", **wanted: Any) -> Json:
        """The mail as it is after the worker did what is due."""
        mail = await self.send(user, **wanted)
        await self.work()
        return await self.mail(mail, user)

    async def mail(self, mail: Json, user: str = "anna") -> Json:
        shown: Json = (await self.call("GET", f"/v1/mail/{mail['id']}", user=user)).json()
        return shown

    async def act(self, mail: Json, what: str, user: str = "anna") -> httpx.Response:
        return await self.call("POST", f"/v1/mail/{mail['id']}/{what}", user=user)

    async def upload(self, name: str, content: bytes, user: str = "anna", **more: Any) -> httpx.Response:
        params = {"name": name, **more}
        return await self.call("POST", "/v1/mail/files", user=user, params=params, content=content)

    async def uploaded(self, name: str, content: bytes, user: str = "anna") -> str:
        answer = await self.upload(name, content, user)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return str(answer.json()["id"])

    async def pass_time(self, seconds: float) -> None:
        """At Microsoft and here; what waited for it is due, and done."""
        await self.microsoft.advance(seconds)
        self.wait(seconds)
        columns = ["attempted_at", "accepted_at", "queued_at", "made_at"]
        earlier = ", ".join(f"{one} = {one} - make_interval(secs => :seconds)" for one in columns)
        await self.sql(f"UPDATE outgoing_mail SET {earlier}", seconds=seconds)
        await self.sql(
            "UPDATE job SET run_at = run_at - make_interval(secs => :seconds) WHERE state = 'waiting'", seconds=seconds
        )
        await self.work()

    async def settle_down(self) -> None:
        """An hour passes, step by step, so that whatever is looked for is found."""
        for seconds in (31, 90, 480, 310, 2700):
            await self.pass_time(seconds)

    def at(self, address: str) -> httpx.AsyncClient:
        """Graph as the owner of a mailbox, for what the test looks at there."""
        if address not in self.graph:
            headers = {"Authorization": f"Bearer {self.token(address)['access_token']}"}
            headers["Prefer"] = 'IdType="ImmutableId"'
            base = f"{self.simulator.settings.http_base_url}/v1.0"
            transport = httpx.ASGITransport(self.wire.app)
            self.graph[address] = httpx.AsyncClient(transport=transport, base_url=base, headers=headers)
        return self.graph[address]

    async def folder(self, address: str, folder: str, **params: str) -> list[Json]:
        """The messages in a folder of somebody's mailbox."""
        query = {"$top": "1000", **params}
        answer = await self.at(address).get(f"/me/mailFolders/{folder}/messages", params=query)
        assert answer.status_code == httpx.codes.OK, answer.text
        found: list[Json] = answer.json()["value"]
        return found

    async def asked(self, method: str = "", part: str = "") -> int:
        """How many such requests the service made of Microsoft."""
        return sum(one[0].startswith(method) and part in one[1] for one in self.wire.requests)


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
    settings: Json,
) -> AsyncIterator[House]:
    graph_url = simulator.settings.http_base_url
    user_auth = UserAuth({})
    simulator.app = wire = Wire(simulator.app)
    contacts = Contacts()
    apps: Json = {"user-auth": user_auth.app, "contacts": contacts.app}
    async with serving(Dispatcher(apps)) as url:
        host = graph_url.removeprefix("http://")
        reach = {"graph_base_url": f"{graph_url}/v1.0", "internal_url": url + "/{service}", "public_url": url}
        reach["graph_hosts"] = [host, host.replace("localhost", "127.0.0.1")]
        service = await start_service(create_service, Settings, "mail", **(reach | settings))
        apps["mail"] = service.app  # where Microsoft notifies it
        house = House(service, platform_keys, microsoft, wire)
        house.post = PostOffice(house, contacts)
        house.user_auth, house.simulator = user_auth, simulator
        user_auth.tokens = {("acme", user): house.token(address) for user, address in ACCOUNTS.items()}
        yield house
        for client in house.graph.values():
            await client.aclose()
