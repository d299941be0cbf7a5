"""Pytest fixtures: PostgreSQL with non-superuser roles, Kafka, keys, an issuer of user tokens, clients over ASGI.

PostgreSQL is ``POSTGRES_URL`` when set, else a container where engines are required or ``PROSPO_TEST_CONTAINERS=1``,
else the embedded one. Kafka, for tests marked ``engine``, is ``KAFKA_BOOTSTRAP_SERVERS`` when set, else a container
where Docker answers, else they skip. With ``PROSPO_REQUIRE_ENGINES=1`` a skip is a failure.
"""

import asyncio
import base64
import inspect
import json
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import URL, make_url

from shared.secrets import KeyRing
from shared.telemetry import TALKATIVE
from shared.testing import engines
from shared.testing.databases import Databases, TestDatabase
from shared.testing.logs import plain_logs
from shared.testing.memory_bus import MemoryBus
from shared.testing.serving import LISTENER, close_listeners
from shared.web.identity import UserTokens

ISSUER = "https://issuer.example"
KAFKA = "KAFKA_BOOTSTRAP_SERVERS"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[URL]:
    """A server to make databases on, as a superuser."""
    given = os.environ.get("POSTGRES_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+asyncpg")
        return
    in_container = engines.containers_wanted() and engines.docker_answers()
    with engines.postgres_container() if in_container else engines.embedded_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[str]:
    """Bootstrap servers of real Kafka, which the session's environment names too; skips where there is none."""
    given = os.environ.get(KAFKA)
    if given:
        yield given
        return
    if not engines.docker_answers():
        pytest.skip(f"needs Kafka: start Docker or set {KAFKA}=host:port")
    with engines.kafka_container() as servers, pytest.MonkeyPatch.context() as environment:
        environment.setenv(KAFKA, servers)
        yield servers


@pytest.fixture(autouse=True)
def _engine(request: pytest.FixtureRequest) -> None:
    """A test marked ``engine`` finds Kafka running."""
    if request.node.get_closest_marker("engine"):
        request.getfixturevalue("kafka_servers")


@pytest.fixture(scope="session")
async def databases(postgres_url: URL) -> AsyncIterator[Databases]:
    made = Databases(postgres_url)
    await made.open()
    with pytest.MonkeyPatch.context() as patch:
        made.pools.replace(patch)
        yield made
        await made.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[TestDatabase]:
    """An empty database for one test: for migrations, and for what a test changes of rights or tables."""
    made = await databases.new()
    yield made
    await databases.drop(made)


@pytest.fixture(scope="session", autouse=True)
async def _listeners() -> AsyncIterator[None]:
    yield
    await close_listeners()


@pytest.fixture(autouse=True)
def _ends_its_tasks(request: pytest.FixtureRequest) -> None:
    """What a test leaves running is cancelled after it, as if each test had a loop of its own."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_tasks_of_the_test")


@pytest.fixture
async def _tasks_of_the_test() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task.get_name() != LISTENER}
    left.discard(asyncio.current_task())
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="session", autouse=True)
def _first_log_handlers() -> tuple[list[logging.Handler], int]:
    """Pytest's own, and the root logger's level."""
    root = logging.getLogger()
    return root.handlers[:], root.level


@pytest.fixture(autouse=True)
def _logs(_first_log_handlers: tuple[list[logging.Handler], int]) -> Iterator[None]:
    """Each test finds the logs as pytest made them, whatever the one before it set up."""
    plain_logs()
    yield
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    root.handlers[:], level = _first_log_handlers
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def memory_bus() -> MemoryBus:
    return MemoryBus()


class PlatformKeys:
    """A key ring, service keys, and an issuer of user tokens whose keys the tests hold."""

    def __init__(self, folder: Path, issuer_key: rsa.RSAPrivateKey) -> None:
        self.key_ring_dir = folder / "ring"
        self.private = folder / "private"
        self.public = folder / "public"
        self.issuer_key = issuer_key

    @classmethod
    def make(cls, folder: Path, services: list[str]) -> "PlatformKeys":
        made = cls(folder, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        KeyRing.create(made.key_ring_dir)
        for part in (made.private, made.public):
            part.mkdir()
        for name in services:
            made.add_service(name)
        return made

    def copied(self, folder: Path) -> "PlatformKeys":
        """The same keys in another folder, for a test that adds or changes some.

        The files are the same too: to link them takes a sixth of what copying takes. So a file is never written again,
        but another one put in its place.
        """
        shutil.copytree(self.private.parent, folder, copy_function=os.link)
        return PlatformKeys(folder, self.issuer_key)

    def add_service(self, name: str) -> None:
        key = Ed25519PrivateKey.generate()
        pem, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        plain = serialization.NoEncryption()
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        public = key.public_key().public_bytes(pem, spki)
        for folder, content in ((self.private, private), (self.public, public)):
            path = folder / f"{name}.pem"
            path.unlink(missing_ok=True)
            path.write_bytes(content)

    def token(
        self, org_id: str = "acme", user_id: str = "anna", roles: tuple[str, ...] = ("user",), **more: Any
    ) -> str:
        """A user JWT as the gateway passes it on, good for at least five minutes; ``more`` overrides claims."""
        claims = {
            "iss": ISSUER,
            "aud": "prospo-m365",
            "sub": user_id,
            "org_id": org_id,
            "roles": list(roles),
            "exp": (int(time.time()) // 60 + 6) * 60,
        }
        return _signed(self.issuer_key, json.dumps(claims | more))

    def jwks(self) -> dict[str, Any]:
        numbers = self.issuer_key.public_key().public_numbers()
        parts = {"n": numbers.n, "e": numbers.e}
        encoded = {name: _b64(value.to_bytes((value.bit_length() + 7) // 8)) for name, value in parts.items()}
        return {"keys": [{"kty": "RSA", "kid": "test", "use": "sig", "alg": "RS256", **encoded}]}

    def know_issuer(self, tokens: UserTokens) -> None:
        """Have a service fetch the issuer's keys from here, however long its tests take."""

        async def fetch() -> None:
            tokens.keys.accept(self.jwks())

        tokens.keys.fetch = fetch  # type: ignore[method-assign]


@lru_cache(maxsize=1000)
def _signed(key: rsa.RSAPrivateKey, claims: str) -> str:
    """Most requests of tests want a token that an earlier request had; to sign one takes a third of a millisecond."""
    return jwt.encode(json.loads(claims), key, algorithm="RS256", headers={"kid": "test"})


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


SERVICES = ["tenant-connector", "user-auth", "meetings", "contacts", "storage", "mail", "recording-ingest", "notes"]


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> PlatformKeys:
    return PlatformKeys.make(tmp_path_factory.mktemp("keys"), SERVICES)


@pytest.fixture
def platform_keys(made_keys: PlatformKeys, tmp_path: Path) -> PlatformKeys:
    return made_keys.copied(tmp_path / "keys")


MakeSettings = Callable[..., Any]


@pytest.fixture
def make_settings(databases: Databases, platform_keys: PlatformKeys) -> MakeSettings:
    """``make_settings(Settings, "meetings", more=…)``: settings on the service's database, which ``empty`` makes."""

    def make(kind: type[Any], service: str, **more: Any) -> Any:
        if not (platform_keys.private / f"{service}.pem").exists():
            platform_keys.add_service(service)
        values = databases.named(service.replace("-", "_")).settings | {
            "kafka_bootstrap_servers": "nowhere:9092",
            "key_ring_dir": platform_keys.key_ring_dir,
            "service_key_path": platform_keys.private / f"{service}.pem",
            "service_public_keys_dir": platform_keys.public,
            "jwt_issuer": ISSUER,
            "jwt_jwks_url": f"{ISSUER}/jwks",
        }
        return kind(**(values | more))

    return make


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[[Any], Awaitable[httpx.AsyncClient]]]:
    """``await client_of(service)``: an HTTP client over the service's app."""
    clients: list[httpx.AsyncClient] = []

    async def make(service: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://service"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()
