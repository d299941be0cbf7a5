"""A simulated world in process, without sockets."""

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from m365_simulator import Simulator, SimulatorSettings, create_simulator
from m365_simulator.changes import Change
from m365_simulator.client import FormReader, SimulatorClient
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token, encode_part
from m365_simulator.testing import Address


class World:
    """``simulator`` in process; ``graph`` gives a caller with a token of the permissions named."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=self.base_url)
        self.control = SimulatorClient(self.base_url, transport=httpx.ASGITransport(simulator.app))
        self._opened = [self.http]

    @property
    def base_url(self) -> str:
        return self.simulator.settings.http_base_url

    def token(self, person: str, permissions: str, **more: Any) -> str:
        """Delegated; ``person`` is an address."""
        user = find_user(self.simulator.store, person)
        assert user is not None
        claims = {"tid": user["tenant"], "oid": user["id"], "idtyp": "user", "scp": permissions, **more}
        return self._signed(claims)

    def app_token(self, tenant: str, roles: str, **more: Any) -> str:
        return self._signed({"tid": tenant, "oid": f"sp-{tenant}", "idtyp": "app", "roles": roles.split(), **more})

    def _signed(self, claims: dict[str, Any]) -> str:
        claims = {"appid": self.simulator.settings.client_id, **claims}
        return access_token(self.simulator.entra, f"https://sts.windows.net/{claims['tid']}/", claims)

    def graph(self, token: str) -> httpx.AsyncClient:
        """Paths are Graph's, such as ``/me/events``."""
        transport = httpx.ASGITransport(self.simulator.app)
        headers = {"Authorization": f"Bearer {token}"}
        made = httpx.AsyncClient(transport=transport, base_url=f"{self.base_url}/v1.0", headers=headers)
        self._opened.append(made)
        return made

    async def aclose(self) -> None:
        for client in self._opened:
            await client.aclose()
        await self.control.aclose()
        await self.simulator.outbound.aclose()
        self.simulator.store.close()


VERIFIER = "v" * 43
CHALLENGE = encode_part(hashlib.sha256(VERIFIER.encode()).digest())
GRAPH_DEFAULT = "https://graph.microsoft.com/.default"
SCOPES = "openid profile offline_access User.Read Contacts.Read"


class EntraVisitor:
    """A browser and an application of one world, before Entra. ``http`` keeps cookies; it follows no redirect."""

    def __init__(self, world: World) -> None:
        self.world, self.simulator, self.http = world, world.simulator, world.http
        self.redirect_uri = self.simulator.settings.redirect_uris[1]
        self.client = {
            "client_id": self.simulator.settings.client_id,
            "client_secret": self.simulator.settings.client_secret,
        }

    def asked(self, **fields: str | None) -> dict[str, str]:
        given = {"client_id": self.client["client_id"], "redirect_uri": self.redirect_uri, "response_type": "code"}
        given |= {"scope": SCOPES, "state": "s1", "nonce": "n1"}
        given |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return {key: value for key, value in (given | fields).items() if value is not None}

    async def authorize(self, tenant: str = "organizations", **fields: str | None) -> httpx.Response:
        return await self.http.get(f"/{tenant}/oauth2/v2.0/authorize", params=self.asked(**fields))

    async def walk(self, page: httpx.Response, account: str, *, decision: str = "accept") -> httpx.Response:
        """Through the pages from the account picker on, to whatever is no question any more."""
        given = {"account": account}
        for _ in range(3):
            form = FormReader(page.text)
            if page.status_code != 200 or not form.action.startswith("/"):
                break
            page = await self.http.post(form.action, data={**form.fields, **given})
            given = {"decision": decision}
        return page

    async def sign_in(self, account: str, tenant: str = "organizations", **fields: str | None) -> dict[str, str]:
        """What the callback is told. The picker is asked for: the browser may be signed in as somebody else."""
        page = await self.authorize(tenant, **({"prompt": "select_account"} | fields))
        return said_back(await self.walk(page, account))

    async def admin_consent(
        self, account: str = "admin@contoso.example", *, decision: str = "accept", path: str = "v2.0/", **more: Any
    ) -> dict[str, str]:
        fields = {"client_id": self.client["client_id"], "redirect_uri": self.simulator.settings.redirect_uris[0]}
        fields |= {"state": "s1", "scope": GRAPH_DEFAULT, **more}
        if not path:
            del fields["scope"]
        page = await self.http.get(f"/organizations/{path}adminconsent", params=fields)
        return said_back(await self.walk(page, account, decision=decision))

    async def token(self, tenant: str = "organizations", **form: str | None) -> httpx.Response:
        given = {key: value for key, value in (self.client | form).items() if value is not None}
        return await self.http.post(f"/{tenant}/oauth2/v2.0/token", data=given)

    async def redeem(self, code: str, tenant: str = "organizations", **form: str | None) -> httpx.Response:
        given = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": VERIFIER, "client_info": "1"}
        return await self.token(tenant, grant_type="authorization_code", **(given | form))

    async def refresh(self, refresh_token: str, tenant: str = "organizations", **form: str | None) -> httpx.Response:
        return await self.token(tenant, grant_type="refresh_token", refresh_token=refresh_token, **form)

    async def app_token(self, tenant: str = "contoso.example", **form: str | None) -> httpx.Response:
        return await self.token(tenant, **({"grant_type": "client_credentials", "scope": GRAPH_DEFAULT} | form))

    async def tokens(self, account: str, tenant: str = "organizations", **fields: str | None) -> dict[str, Any]:
        """Signed in and redeemed."""
        answer = await self.redeem((await self.sign_in(account, tenant, **fields))["code"], tenant)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    async def do(self, verb: str, **arguments: Any) -> Any:
        return await self.world.control.do(verb, **arguments)


def said_back(answer: httpx.Response) -> dict[str, str]:
    """The parameters of a redirect to the application."""
    assert answer.is_redirect, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@pytest.fixture
async def entra(world: World) -> EntraVisitor:
    return EntraVisitor(world)


@pytest.fixture
async def make_world(tmp_path: Path, new_state: Path) -> AsyncIterator[Callable[..., World]]:
    """Makes worlds; keyword arguments are settings, ``outbound`` the client for handshakes and deliveries."""
    made: list[World] = []

    def make(outbound: httpx.AsyncClient | None = None, **settings: Any) -> World:
        given = {"state_dir": tmp_path / f"world-{len(made)}", **settings}
        if not given["state_dir"].exists():
            shutil.copytree(new_state, given["state_dir"])
        made.append(World(create_simulator(SimulatorSettings(**given), outbound=outbound)))
        made[-1].simulator.store.flush_nothing()
        return made[-1]

    yield make
    for world in made:
        await world.aclose()


@pytest.fixture
async def world(make_world: Callable[..., World]) -> World:
    return make_world()


READS = (
    "OnlineMeetings.Read.All OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All Mail.Read Calendars.Read "
    "Contacts.Read Files.Read.All User.Read.All CallRecordings.Read.All CallTranscripts.Read.All"
)
URL = "https://listener.example/hook"


class Watcher:
    """A subscriber of Contoso's: its ``address``, its ``graph`` with an application token, and changes to hear of."""

    def __init__(self, world: World, address: Address) -> None:
        self.world, self.address, self.simulator = world, address, world.simulator
        self._told = 0
        self.sign_in()

    def sign_in(self) -> None:
        """Another token: one lives an hour."""
        self.graph = self.world.graph(self.world.app_token(CONTOSO, READS))

    def person(self, name: str = "anna", permissions: str = READS) -> httpx.AsyncClient:
        return self.world.graph(self.world.token(f"{name}@contoso.example", permissions))

    def oid(self, name: str = "anna", domain: str = "contoso") -> str:
        user = find_user(self.simulator.store, f"{name}@{domain}.example")
        assert user is not None
        return str(user["id"])

    def wanted(self, resource: str, *, minutes: float = 50, **more: Any) -> dict[str, Any]:
        """The body of a create; None takes a property away."""
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        body = {"changeType": "created", "notificationUrl": URL, "resource": resource, "clientState": "secret"}
        body |= {"expirationDateTime": until.isoformat(), **more}
        return {name: value for name, value in body.items() if value is not None}

    def address_of(self, resource: str) -> str:
        """Call events are subscribed to in the beta."""
        own = str(self.graph.base_url).rstrip("/")
        return f"{own.replace('/v1.0', '/beta') if 'joinweburl' in resource.lower() else own}/subscriptions"

    async def subscribe(self, resource: str, *, graph: httpx.AsyncClient | None = None, **more: Any) -> dict[str, Any]:
        answer = await (graph or self.graph).post(self.address_of(resource), json=self.wanted(resource, **more))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def tell(self, covered: str, *, change: str = "created", tenant: str = CONTOSO, **data: Any) -> str:
        """Something changes; the id of the item."""
        self._told += 1
        key = f"item-{self._told}"
        data = {"id": key, **data}
        path = f"{covered}('{key}')"
        kind = "microsoft.graph.message"
        self.simulator.changes.tell(Change(change, kind, tenant, path, key, (covered,), data, etag=f'W/"{key}"'))
        return key

    async def after(self, seconds: float = 0) -> None:
        """So many seconds later on the service clock, one round of deliveries."""
        self.simulator.advance(seconds, "service")
        await self.simulator.settle()

    def told(self) -> list[str]:
        """Ids of the items the address heard of, in order."""
        return [item["resourceData"]["id"] for item in self.address.items]

    async def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.world.http.get("/control/notifications")).json()
        return found


@pytest.fixture
async def watcher(make_world: Callable[..., World]) -> Watcher:
    """On clocks that stand still."""
    address = Address()
    outbound = httpx.AsyncClient(transport=httpx.ASGITransport(address))
    return Watcher(make_world(outbound, frozen_at=datetime(2026, 11, 2, 9, tzinfo=UTC)), address)
