"""What every benchmark stands on: a PostgreSQL of its own with the engines' tables, and a Kafka."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from dev.embedded.engines import EmbeddedKafka, EmbeddedPostgres, ServiceDatabase
from shared.bus.kafka import KafkaBus
from shared.database.row_security import rights, role_of
from shared.database.unit_of_work import Database
from shared.hosting.migrate import engine_ddl, protect

ORG = "acme"
LANES = 8
_THING = """CREATE TABLE IF NOT EXISTS thing (
    org_id text, id text, n bigint NOT NULL DEFAULT 0, PRIMARY KEY (org_id, id))"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The engines of a run."""

    url: str
    request_url: str
    owner_url: str
    kafka: str
    kafka_kind: str
    postgres: EmbeddedPostgres
    postgres_version: str
    durable: bool

    def database(self, made: ServiceDatabase | None = None) -> Database:
        url, request_url = (made.url, made.request_url) if made else (self.url, self.request_url)
        return Database(url, request_url=request_url, pool_size=LANES, source="bench")

    async def another(self) -> ServiceDatabase:
        """Another database of the same make."""
        made = await self.postgres.database("bench_another")
        await _prepare(made)
        return made

    async def connect(self, url: str | None = None) -> Any:
        """A bare asyncpg connection as the service's role, so that row-level security binds the peer too."""
        return await asyncpg.connect(
            make_url(url or self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        )

    async def topic(self, name: str) -> str:
        """A new topic."""
        topic = f"bench.{name}-{uuid.uuid4().hex[:8]}"
        await KafkaBus(self.kafka).ensure_topics([topic])
        return topic


class _Statements:
    """Stands where Alembic's ``op`` stands."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def execute(self, statement: str) -> None:
        self.all.append(statement)


@asynccontextmanager
async def raise_stage() -> AsyncIterator[Stage]:
    """Start what is not given: PostgreSQL always, Kafka's mock unless ``KAFKA_BOOTSTRAP_SERVERS`` names a real one."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    mock = None if given else EmbeddedKafka()
    with tempfile.TemporaryDirectory(prefix="prospo-bench-", ignore_cleanup_errors=True) as folder:
        postgres = await asyncio.to_thread(EmbeddedPostgres, Path(folder))
        try:
            made = await postgres.database("bench")
            version, durable = await _prepare(made)
            servers, kind = (given, "Apache Kafka") if given else (mock.bootstrap_servers, "librdkafka's mock")  # type: ignore[union-attr]
            yield Stage(made.url, made.request_url, made.owner_url, servers, kind, postgres, version, durable)
        finally:
            await asyncio.to_thread(postgres.stop)


async def _prepare(made: ServiceDatabase) -> tuple[str, bool]:
    owner = await asyncpg.connect(
        make_url(made.owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    op = _Statements()
    op.all += engine_ddl()
    op.execute(_THING)
    op.execute("CREATE TABLE IF NOT EXISTS entry (org_id text, id bigint GENERATED ALWAYS AS IDENTITY, words text)")
    protect(op, "thing")
    protect(op, "entry")
    for statement in [*op.all, *rights(role_of(made.url), role_of(made.request_url))]:
        await owner.execute(statement)
    version = str(await owner.fetchval("SHOW server_version"))
    durable = [await owner.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]
    await owner.close()
    return version, durable
