"""The service on a real database, and the simulator of Microsoft over https with a door a test can stand in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from m365_simulator import Simulator, SimulatorSettings
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from m365_simulator.testing import Hosting
from shared.events import Features, TenantState
from shared.hosting.service import Service
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.web.identity import ServiceTokens
from user_auth.main import create_service
from user_auth.settings import Settings

Json = dict[str, Any]
ANNA = {"org_id": "acme", "user_id": "anna"}


class Door:
    """In front of the simulator: counts what is asked of the token endpoint, and may change or keep its answers."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.grants: list[str] = []
        self.claims: list[str] = []
        self.sent_refresh_tokens: list[str] = []
        self.secrets: set[str] = set()
        self.key_fetches = 0
        self.edit: Callable[[Json], Any] | None = None
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.refuse_with: tuple[int, Json] | None = None
        self.graph_waits: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.key_fetches += scope.get("path", "").endswith("/discovery/v2.0/keys")
        if self.graph_waits is not None and scope.get("path", "").startswith("/v1.0/me"):
            await self.graph_waits.wait()
        if scope["type"] == "http" and scope["path"].endswith("/oauth2/v2.0/token"):
            await self._token(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _token(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        form = dict(parse_qsl(body.decode()))
        self.grants.append(form["grant_type"])
        self.claims.append(form.get("claims", ""))
        self.sent_refresh_tokens += [form["refresh_token"]] if "refresh_token" in form else []
        self.secrets |= {form[name] for name in ("code", "code_verifier", "refresh_token") if name in form}
        status, answer, *more = self.refuse_with or await self._asked(scope, body)
        self.secrets |= {answer[name] for name in ("access_token", "refresh_token", "id_token") if name in answer}
        if self.before_answer is not None:
            await self.before_answer()
        headers = [(b"content-type", b"application/json"), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def _asked(self, scope: Any, body: bytes) -> Any:
        """Status, body, and the header that says how long to wait if there is one."""
        said: list[Any] = []

        async def receive() -> Json:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self.app(scope, receive, send)
        answer = json.loads(b"".join(message.get("body", b"") for message in said))
        if self.edit is not None and said[0]["status"] == 200:
            self.edit(answer)
        return said[0]["status"], answer, *(pair for pair in said[0]["headers"] if pair[0] == b"retry-after")

    @property
    def refreshes(self) -> int:
        return self.grants.count("refresh_token")


@dataclass
class Tenant365:
    """The running simulator."""

    settings: SimulatorSettings
    simulator: Any
    client: SimulatorClient
    door: Door


@pytest.fixture(scope="session")
async def consented(hosting: Hosting) -> None:
    """Contoso's consent, with which every simulator here starts."""
    async with hosting.seeding("consented") as simulator, SimulatorClient(hosting.settings.http_base_url) as client:
        await consent(simulator.settings, client)


@pytest.fixture
def seed(consented: None) -> str:
    return "consented"


@pytest.fixture
def microsoft(simulator: Simulator, microsoft: SimulatorClient) -> Tenant365:
    door = Door(simulator.app)
    simulator.app = door
    return Tenant365(simulator.settings, simulator, microsoft, door)


async def consent(settings: SimulatorSettings, client: SimulatorClient) -> None:
    query = {
        "client_id": settings.client_id,
        "redirect_uri": "http://localhost:8365/connectors/microsoft365/callback",
        "state": "s",
        "scope": "https://graph.microsoft.com/.default",
    }
    url = f"{settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"
    await client.approve_admin_consent(url, "admin@contoso.example")


class House(Harness):
    """The service, and the simulator of Microsoft with a door a test can stand in."""

    def __init__(self, service: Service, keys: PlatformKeys, microsoft: Tenant365, caller: ServiceTokens) -> None:
        super().__init__(service, keys)
        self.microsoft = microsoft
        self.caller = caller
        self.make: Callable[[], Awaitable[Service]]
        self.secrets: set[str] = set()

    async def call_json(self, path: str, body: Json, **who: str) -> Any:
        """As JSON with every character escaped, so that a lone surrogate arrives as well."""
        headers = {"Authorization": f"Bearer {self.keys.token(**(ANNA | who))}", "Content-Type": "application/json"}
        return await self.http.post(path, content=json.dumps(body), headers=headers)

    async def start(self, return_to: str = "/meetings/new", features: tuple[str, ...] = (), **who: str) -> Any:
        body = {"return_to": return_to} | ({"features": list(features)} if features else {})
        return await self.call("POST", "/v1/connection/sign-in", json=body, **who)

    async def at_microsoft(self, account: str, *, accept: bool = True, **start: Any) -> Json:
        """Set out and sign in; what the browser brings back. An account that is not the hint is chosen there."""
        started = (await self.start(**start)).json()
        url = httpx.URL(started["authorize_url"])
        if url.params.get("login_hint") not in {None, account}:
            url = url.copy_remove_param("login_hint").copy_set_param("prompt", "select_account")
        back = await self.microsoft.client.sign_in(str(url), account, accept=accept)
        answer = query_of(back) | {"browser_key": started["browser_key"]}
        self.secrets |= {answer["state"], answer["browser_key"]}
        return answer

    async def complete(self, answer: Json, **who: str) -> Any:
        return await self.call("POST", "/v1/connection/complete", json=answer, **who)

    async def connect(self, account: str = "anna@contoso.example", **start: Any) -> Any:
        who = {name: value for name, value in start.items() if name in {"user", "org"}}
        return await self.complete(await self.at_microsoft(account, **start), **who)

    async def disconnect(self, **who: str) -> Any:
        return await self.call("DELETE", "/v1/connection", **who)

    async def connection(self, **who: str) -> Json:
        shown: Json = (await self.call("GET", "/v1/connection", **who)).json()
        return shown

    async def token(self, org: str = "acme", user: str = "anna", **more: Any) -> Any:
        body = {"org_id": org, "user_id": user} | more
        return await self.ask(self.http, body)

    async def ask(self, http: httpx.AsyncClient, body: Json) -> Any:
        headers = {"Authorization": f"Bearer {self.caller.issue('user-auth')}"}
        return await http.post("/internal/tokens", json=body, headers=headers)

    async def has_tenant(self, org: str = "acme", version: int = 1, *, mail: bool = False) -> None:
        await self.hear(tenant_state(version, org_id=org, mail=mail))

    async def nothing_is_stored(self, **who: str) -> None:
        """Check that a refused first sign-in left no connection and no event, only a line of the audit trail."""
        assert await self.rows("connection") == []
        assert await self.rows("sign_in_attempt") == []
        assert await self.published("user.state") == []
        assert [line["outcome"] for line in await self.rows("audit")] == ["refused"]
        assert (await self.connection(**who))["status"] == "not_connected"

    def short_tokens(self, left_s: int) -> None:
        """Microsoft's access tokens live ``left_s`` seconds from now on."""
        self.microsoft.door.edit = lambda said: said.update(expires_in=left_s)


def query_of(url: str) -> Json:
    return dict(parse_qsl(urlsplit(url).query))


def tenant_state(
    version: int = 1, *, connected: bool = True, tid: str = CONTOSO, org_id: str = "acme", mail: bool = False
) -> TenantState:
    """With ``mail`` the next token is asked for the permissions that the organisation's consent may hold."""
    return TenantState(
        org_id=org_id,
        aggregate_version=version,
        connected=connected,
        tid=tid,
        features=Features(outlook_email=mail),
        changed_at=datetime.now(UTC),
    )


@pytest.fixture
async def empty_house(
    start_service: StartService, make_settings: MakeSettings, platform_keys: PlatformKeys, microsoft: Tenant365
) -> House:
    """No tenant is connected yet."""
    known = microsoft.settings
    reach = {"graph_base_url": f"{known.http_base_url}/v1.0", "entra_authority": known.https_base_url}
    reach |= {"client_id": known.client_id, "client_secret": known.client_secret}

    async def make() -> Service:
        return await start_service(create_service, Settings, "user-auth", ca_bundle=known.state_dir / "ca.pem", **reach)

    caller = ServiceTokens(make_settings(Settings, "meetings"), "meetings")
    house = House(await make(), platform_keys, microsoft, caller)
    house.make = make
    return house


@pytest.fixture
def mail() -> bool:
    """Whether the Org Admin has Outlook email switched on."""
    return False


@pytest.fixture
async def house(empty_house: House, mail: bool) -> House:
    await empty_house.has_tenant(mail=mail)
    return empty_house
