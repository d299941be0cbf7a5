"""The service on a real database, with the simulator of Microsoft on loopback ports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, ROLES, find_user
from m365_simulator.testing import Address, held
from shared.events import StorageLocationSelected, TranscriptImported, UserState
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher
from tenant_connector.main import create_service
from tenant_connector.settings import Settings

ADMINS = {"acme": "admin@contoso.example", "globex": "admin@fabrikam.example"}
Json = dict[str, Any]


class Contacts:
    """Stands where contacts answers whether people's contacts can be read; ``outcomes`` of each question, in order.

    ``asked``: the people of each question. Nothing answers while ``outcomes`` is empty.
    """

    def __init__(self) -> None:
        self.outcomes: list[Json] = [{"outcome": "read", "status": 200}]
        self.asked: list[list[str]] = []
        self.app = Starlette(routes=[Route("/internal/contact-access", self._try, methods=["POST"])])

    async def _try(self, request: Request) -> JSONResponse:
        self.asked.append((await request.json())["user_ids"])
        if not self.outcomes:
            return JSONResponse({"code": "internal_error"}, 500)
        said = {"path": "/me/contactFolders", "status": 0, "code": "", "request_id": "", "message": ""}
        at = datetime.now(UTC).isoformat()
        return JSONResponse({"tried": [said | {"at": at} | one for one in self.outcomes]})


class House(Harness):
    """The service and the simulator of Microsoft; ``ada`` is an Org Admin of each organisation."""

    contacts: Contacts

    def __init__(self, service: Service, keys: PlatformKeys, simulator: Simulator, microsoft: SimulatorClient) -> None:
        super().__init__(service, keys)
        self.simulator = simulator
        self.microsoft = microsoft

    async def call(
        self, method: str, path: str, *, user: str = "ada", roles: tuple[str, ...] = ("org_admin",), **more: Any
    ) -> httpx.Response:
        return await super().call(method, path, user=user, roles=roles, **more)

    async def tenant(self, org: str = "acme") -> Json:
        found: Json = (await self.call("GET", "/v1/tenant", org=org)).json()
        return found

    async def start(self, org: str = "acme", user: str = "ada") -> Json:
        answer = await self.call("POST", "/v1/tenant/consent", org=org, user=user, json={})
        assert answer.status_code == 201, answer.text
        started: Json = answer.json()
        return started

    async def consent(self, org: str = "acme", account: str | None = None, *, accept: bool = True) -> Json:
        """Through Microsoft's pages: the body the console would send to ``complete``."""
        return await self.returned(await self.start(org), account or ADMINS[org], accept=accept)

    async def returned(self, started: Json, account: str, *, accept: bool = True) -> Json:
        back = await self.microsoft.approve_admin_consent(started["consent_url"], account, accept=accept)
        return dict(parse_qsl(urlsplit(back).query)) | {"browser_key": started["browser_key"]}

    async def complete(self, body: Json, org: str = "acme", user: str = "ada") -> httpx.Response:
        return await self.call("POST", "/v1/tenant/consent/complete", org=org, user=user, json=body)

    async def signed_in(self, body: Json, org: str = "acme", account: str | None = None) -> Json:
        """The first leg done and the administrator signed in: the body the console would send to ``sign-in``."""
        answer = await self.complete(body, org)
        assert answer.status_code == 202, answer.text
        return await self.back_from(answer.json()["sign_in_url"], body["browser_key"], account or ADMINS[org])

    async def back_from(self, sign_in_url: str, browser_key: str, account: str) -> Json:
        back = await self.microsoft.sign_in(sign_in_url, account)
        return dict(parse_qsl(urlsplit(back).query)) | {"browser_key": browser_key}

    async def sign_in(self, body: Json, org: str = "acme", user: str = "ada") -> httpx.Response:
        return await self.call("POST", "/v1/tenant/consent/sign-in", org=org, user=user, json=body)

    async def claim(self, body: Json | None = None, org: str = "acme", account: str | None = None) -> httpx.Response:
        """Both legs, the first one from ``body`` on; the proof has not run."""
        body = body or await self.consent(org, account)
        return await self.sign_in(await self.signed_in(body, org, account), org)

    async def connect(self, org: str = "acme", account: str | None = None) -> Json:
        answer = await self.claim(org=org, account=account)
        assert answer.status_code == 202, answer.text
        await self.service.runner.drain()
        return await self.tenant(org)

    async def make_link(self, tenant: str = "contoso.example", org: str = "acme") -> str:
        """The token of a new link for an administrator of this tenant."""
        answer = await self.call("POST", "/v1/tenant/consent/link", org=org, json={"tenant": tenant})
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store"), answer.text
        url: str = answer.json()["url"]
        assert url.startswith("http://localhost:8365/connectors/microsoft365/grant#")
        return url.rsplit("#", 1)[1]

    async def by_link(self, leg: str, token: str, **body: Any) -> httpx.Response:
        """As whoever holds a link, without any account of Prospo."""
        return await self.http.post(f"/v1/tenant/consent/link/{leg}", json=body | {"token": token})

    async def until(self, status: str, org: str = "acme") -> Json:
        """Let the jobs run until the tenant has this status."""
        async with asyncio.timeout(15):
            while (found := await self.tenant(org))["status"] != status:
                await self.service.runner.drain()
                await asyncio.sleep(0.02)
        return found

    @asynccontextmanager
    async def while_working(self, waits_for: str) -> AsyncIterator[None]:
        """The jobs are done meanwhile, but for one that waits for Microsoft's answer until the end of the block."""
        async with held(self.simulator, waits_for) as asked:
            running = asyncio.create_task(self.work())
            await asked()
            yield
        await running

    async def switch(self, change: Json, etag: str | None = None, **more: Any) -> httpx.Response:
        etag = etag or (await self.call("GET", "/v1/tenant", org=more.get("org", "acme"))).headers["etag"]
        return await self.call("PATCH", "/v1/tenant/features", json=change, headers={"If-Match": etag}, **more)

    async def app_token(self, org: str = "acme", refused: str | None = None, **headers: str) -> httpx.Response:
        service_token = self.bearer_of_service("recording-ingest")
        given = {"Authorization": f"Bearer {service_token}"} | headers
        body = {"org_id": org} | ({} if refused is None else {"refused": refused})
        return await self.http.post("/internal/app-token", json=body, headers=given)

    async def select_location(self, location: str = "Teams/General", version: int = 1) -> None:
        await self.hear(StorageLocationSelected(org_id="acme", aggregate_version=version, location=location))

    async def know(self, *names: str, version: int = 1, connected: bool = True, **more: Any) -> None:
        """These people of Contoso connect their accounts, or disconnect them."""
        for name in names:
            oid = (find_user(self.simulator.store, f"{name}@contoso.example") or {"id": f"oid of {name}"})["id"]
            about: Json = {"tid": CONTOSO, "oid": oid, "name": name, "email": f"{name}@contoso.example"}
            status = "connected" if connected else "disconnected"
            about |= {"status": status, "changed_at": "2026-01-01T00:00:00Z", "aggregate_version": version}
            await self.hear(UserState(org_id="acme", user_id=name, connected=connected, **about, **more))

    async def transcript(self, *speakers: str, lines: int = 3) -> None:
        about: Json = {"meeting_id": "m", "artefact_id": "t", "line_count": lines, "aggregate_version": 1}
        about["created_at"] = "2026-01-01T00:00:00Z"
        await self.hear(TranscriptImported(org_id="acme", speakers=list(speakers), **about))

    async def do_now(self, kind: str) -> None:
        """The waiting job of this kind is due, and everything due is done."""
        await self.hurry(kind)
        await self.work()

    async def next_in_s(self, kind: str) -> float | None:
        """When the job of this kind is due; None when there is none."""
        left = "extract(epoch FROM run_at - clock_timestamp()) AS s"
        rows = await self.sql(f"SELECT {left} FROM job WHERE kind = :kind", kind=kind)
        return float(rows[0].s) if rows else None

    async def read_board(self, **more: Any) -> Json:
        answer = await self.call("GET", "/v1/tenant/readiness", **more)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def ask_check(self, **more: Any) -> httpx.Response:
        return await self.call("POST", "/v1/tenant/readiness/check", **more)

    async def checked(self) -> dict[str, Json]:
        """The board after a check that somebody asked for, by capability."""
        answer = await self.ask_check()
        assert answer.status_code == 202, answer.text
        await self.service.runner.drain()
        return {row["capability"]: row for row in (await self.read_board())["capabilities"]}

    def take_away(self, *roles: str) -> None:
        """An administrator of Contoso takes these application permissions away; all others are there."""
        store = self.simulator.store
        for key in store.keys("consents"):
            row = store.get("consents", key) or {}
            if row.get("tenant") == CONTOSO:
                store.put("consents", key, row | {"roles": [name for name in ROLES if name not in roles]})

    def asked(self, word: str) -> list[Json]:
        """Calls at Microsoft with this in their path."""
        return [row for row in self.simulator.calls.rows if word in row["path"]]

    async def told(self) -> list[tuple[str, str | None, str]]:
        """Capability, verdict before and after, of each change that was published."""
        events = await self.published("tenant.readiness_changed")
        return [(event["capability"], event["previous"], event["verdict"]) for event in events]

    @property
    def owner_url(self) -> str:
        return str(self.service.settings.migration_database_url)

    async def trail(self, org: str = "acme") -> list[tuple[str, str, str | None]]:
        """Action, outcome and code of the audit trail, oldest first."""
        rows = await self.sql(
            "SELECT action, outcome, details->>'code' AS code FROM audit ORDER BY occurred_at", org=org
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def house(
    start_service: StartService, platform_keys: PlatformKeys, simulator: Simulator, microsoft: SimulatorClient
) -> AsyncIterator[House]:
    known, contacts = simulator.settings, Contacts()
    async with serving(Dispatcher({"contacts": contacts.app})) as url:
        service = await start_service(
            create_service,
            Settings,
            "tenant-connector",
            graph_base_url=f"{known.http_base_url}/v1.0",
            entra_authority=known.https_base_url,
            entra_page_authority=known.http_base_url,
            internal_url=url + "/{service}",
            ca_bundle=known.state_dir / "ca.pem",
            client_id=known.client_id,
            client_secret=known.client_secret,
            proof_retry_s=0.02,
            sign_in_patience_s=0,
            sign_in_pause_s=0.02,
            readiness_first_check_s=3600,
        )
        house = House(service, platform_keys, simulator, microsoft)
        house.contacts = contacts
        yield house


@pytest.fixture
async def webhook() -> AsyncIterator[Address]:
    """Where Microsoft shakes hands; ``place`` is its URL."""
    address = Address()
    async with serving(address) as url:
        address.place = url  # type: ignore[attr-defined]
        yield address


@pytest.fixture
async def board(house: House, webhook: Any) -> House:
    """Contoso is connected, and Anna and Ben are. Nobody has to wait: for the next check, or for Microsoft to know."""
    settings: Any = house.service.settings
    settings.readiness_check_pause_s = settings.readiness_propagation_s = settings.readiness_confirm_s = 0
    settings.notification_base_url = webhook.place
    await house.connect()
    await house.know("anna", "ben")
    return house
