"""A small service that uses every engine, so that shared is tested as services use it; and Graph to subscribe at."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text

from m365_simulator import Simulator, SimulatorSettings
from m365_simulator.changes import Change
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.database.row_security import rights, role_of
from shared.database.unit_of_work import Database
from shared.eventing.handlers import Handlers
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphReconnect
from shared.hosting.migrate import engine_ddl, protect
from shared.hosting.service import Service
from shared.jobs import Jobs
from shared.settings import ServiceSettings
from shared.subscriptions.certificates import Certificates
from shared.subscriptions.notifications import receiver
from shared.subscriptions.rich import CertificateRing, ValidationTokens, new_certificate
from shared.subscriptions.subscriptions import Subscriptions
from shared.testing.databases import Databases, TestDatabase, connect
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.memory_bus import MemoryBus
from shared.testing.serving import NO_TLS, serving
from shared.web.routes import AdminCaller, Caller, StrictModel, Work, called_by


class Note(StrictModel):
    words: str


router = APIRouter()


@router.post("/v1/notes", status_code=201)
async def write_note(note: Note, caller: Caller, work: Work) -> dict[str, str]:
    await work.session.execute(
        text("INSERT INTO note (org_id, words) VALUES (:org_id, :words)"),
        {"org_id": caller.org_id, "words": note.words},
    )
    return {"words": note.words}


@router.get("/v1/notes")
async def read_notes(work: Work) -> list[str]:
    return list((await work.session.execute(text("SELECT words FROM note ORDER BY words"))).scalars())


@router.delete("/v1/notes")
async def forget_notes(caller: AdminCaller, work: Work) -> dict[str, str]:
    await work.session.execute(text("DELETE FROM note"))
    return {"by": caller.user_id}


@router.get("/internal/who")
async def who(caller: Annotated[str, called_by("meetings")]) -> dict[str, str]:
    return {"caller": caller}


class _Plain:
    """Stands where Alembic's ``op`` stands, for statements only."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)


async def make_tables(database: TestDatabase) -> None:
    op = _Plain()
    op.statements += engine_ddl()
    op.execute("CREATE TABLE note (org_id text NOT NULL, words text NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY)")
    protect(op, "note")
    owner = await connect(database.owner_url)
    for statement in [*op.statements, *rights(role_of(database.url), role_of(database.request_url))]:
        await owner.execute(statement)
    await owner.close()


@pytest.fixture
async def database(databases: Databases) -> TestDatabase:
    """The small service's, with its tables."""
    return await databases.empty("notes", make_tables)


ClientOf = Callable[[Any], Awaitable[httpx.AsyncClient]]
MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service(
    database: TestDatabase, make_settings: MakeSettings, platform_keys: PlatformKeys, memory_bus: MemoryBus
) -> AsyncIterator[MakeService]:
    """``await make_service(handlers, jobs)``: the small service, not yet started, on a database with its tables."""
    made: list[Service] = []

    async def make(
        handlers: Handlers | None = None, jobs: Jobs | None = None, bus: Any = None, direct_url: str | None = None
    ) -> Service:
        own = database.settings | ({"database_direct_url": direct_url} if direct_url else {})
        service = Service("notes", "notes", make_settings(ServiceSettings, "notes", **own), bus=bus or memory_bus)
        service.include(router)
        service.consume(handlers or Handlers())
        service.work(jobs or Jobs())
        platform_keys.know_issuer(service.user_tokens)
        made.append(service)
        return service

    yield make
    for service in made:
        await service.stop()


@pytest.fixture
async def http(
    make_service: MakeService, client_of: Callable[[Any], Awaitable[httpx.AsyncClient]]
) -> httpx.AsyncClient:
    return await client_of(await make_service())


RESOURCE = "communications/onlineMeetings/getAllRecordings"


class Token:
    def __init__(self, value: str) -> None:
        self.value = value


class Tokens:
    """Application tokens of the simulator's, by organisation, or the code with which user-auth refuses them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.refused = ""

    async def app_token(self, org_id: str, *, leaving: bool = False) -> Token:
        if self.refused:
            raise GraphReconnect("Connect again.", 409, self.refused)
        return Token(self.values[org_id])

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None, leaving: bool = False) -> Token:
        return await self.app_token(org_id)

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        return None


class Before:
    """Runs ``then`` before a create reaches the simulator, with the create's body; ``asked`` is each path."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.then: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        if self.then and (scope["method"], scope["path"]) == ("POST", "/v1.0/subscriptions"):
            message = await receive()
            then, self.then = self.then, None
            await then(httpx.Response(200, content=message["body"]).json())

            async def again() -> Any:
                return message

            await self._app(scope, again, send)
            return
        await self._app(scope, receive, send)


class Fixed(Certificates):
    """One ring for every organisation."""

    def __init__(self, *made: tuple[str, bytes]) -> None:
        self.made = made

    @property
    def of_all(self) -> CertificateRing:
        return CertificateRing.of(dict(self.made), self.made[-1][0])

    async def ring(self, org_id: str) -> CertificateRing:
        del org_id
        return self.of_all


@dataclass
class Watch:
    """The small service with a receiver, and Graph to subscribe at."""

    service: Service
    subscriptions: Subscriptions
    graph: Graph
    simulator: Simulator
    before: Before
    tokens: Tokens
    http: httpx.AsyncClient
    another: Callable[[], Database]
    certificates: Fixed
    verifier: ValidationTokens

    @property
    def caller(self) -> GraphCaller:
        return self.graph.as_app("acme")

    @property
    def ring(self) -> CertificateRing:
        return self.certificates.of_all

    def open(self, told: Any) -> dict[str, Any]:
        """The resource data of a notification."""
        return self.ring.open(told.encrypted_content)

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.service.db.system_work() as work:
            return list(await work.session.execute(text(statement), values))

    def at_graph(self) -> list[dict[str, Any]]:
        return self.simulator.store.all("subscriptions")

    def calls(self, method: str) -> int:
        path = "/v1.0/subscriptions"
        return sum(one["method"] == method and one["path"].startswith(path) for one in self.simulator.calls.rows)

    async def tell(self, *items: dict[str, Any]) -> httpx.Response:
        return await self.http.post("/webhooks/graph", json={"value": list(items)})

    async def subscribed(self) -> str:
        """An existing subscription's clientState."""
        await self.subscriptions.ensure(self.caller, RESOURCE)
        return str(self.at_graph()[0]["clientState"])

    def strike(self, fault: str, **options: Any) -> None:
        """Script a fault."""
        self.simulator.faults.add(fault, options)

    def change(self, covered: str = RESOURCE, *, tenant: str = CONTOSO, kind: str = "created", **data: Any) -> str:
        """Something changes at Microsoft's; the id of the item."""
        key = f"item-{len(self.simulator.store.keys('notifications')) + 1}"
        path, data = f"{covered}('{key}')", {"id": key, **data}
        self.simulator.changes.tell(Change(kind, "microsoft.graph.callRecording", tenant, path, key, (covered,), data))
        return key


@pytest.fixture(scope="session")
def certificate() -> tuple[str, bytes]:
    """Its key takes a fifth of a second to make."""
    return new_certificate(2048)


@pytest.fixture
async def watch(
    make_service: Any, database: TestDatabase, client_of: Any, simulator: Simulator, certificate: tuple[str, bytes]
) -> AsyncIterator[Watch]:
    settings = simulator.settings
    before = simulator.app = Before(simulator.app)
    graph_url = settings.http_base_url
    service: Service = await make_service()
    service.settings.entra_authority, service.settings.client_id = graph_url, settings.client_id
    verifier = ValidationTokens(service.settings)
    service.include(receiver(verifier))
    tokens = Tokens()
    databases: list[Database] = []

    def another() -> Database:
        databases.append(Database(database.url, source="notes"))
        return databases[-1]

    async with serving(service.app) as our_url:
        settings.https_base_url = graph_url
        tokens.values["acme"] = await application_token(settings)
        service.settings.graph_base_url, service.settings.public_url = f"{graph_url}/v1.0", our_url
        graph = Graph(service.settings, tokens)
        fixed = Fixed(certificate)
        subscriptions = Subscriptions(service.db, service.settings, "notes", fixed)
        subscriptions.url = f"{our_url}/webhooks/graph"  # no gateway stands before the small service
        http = await client_of(service)
        yield Watch(service, subscriptions, graph, simulator, before, tokens, http, another, fixed, verifier)
        await graph.aclose()
    for one in databases:
        await one.close()


async def application_token(settings: SimulatorSettings, tenant: str = CONTOSO, domain: str = "contoso") -> str:
    query = {"client_id": settings.client_id, "redirect_uri": settings.redirect_uris[0], "state": "s"}
    query["scope"] = "https://graph.microsoft.com/.default"
    async with SimulatorClient(settings.http_base_url) as client:
        url = f"{settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"
        await client.approve_admin_consent(url, f"admin@{domain}.example")
    form = {"client_id": settings.client_id, "client_secret": settings.client_secret}
    form |= {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        answer = await http.post(f"{settings.http_base_url}/{tenant}/oauth2/v2.0/token", data=form)
    return str(answer.raise_for_status().json()["access_token"])
