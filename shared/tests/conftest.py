"""A small service that uses every engine, so that shared is tested as services use it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text

from shared.bus import MemoryBus
from shared.handlers import Handlers
from shared.jobs import Jobs
from shared.migrate import create_engine_tables, protect
from shared.service import Service
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings, PlatformKeys, TestDatabase, connect
from shared.web import AdminCaller, Caller, ServiceCaller, StrictModel, Work


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
async def who(caller: ServiceCaller) -> dict[str, str]:
    return {"caller": caller}


class _Plain:
    """Stands where Alembic's ``op`` stands, for statements only."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)


async def make_tables(database: TestDatabase) -> None:
    op = _Plain()
    create_engine_tables(op)
    op.execute("CREATE TABLE note (org_id text NOT NULL, words text NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY)")
    protect(op, "note")
    owner = await connect(database.owner_url)
    role = database.url.split("//")[1].split(":")[0]
    for statement in op.statements:
        await owner.execute(statement)
    await owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    await owner.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    await owner.close()


ClientOf = Callable[[Any], Awaitable[httpx.AsyncClient]]
MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service(
    database: TestDatabase, make_settings: MakeSettings, platform_keys: PlatformKeys, memory_bus: MemoryBus
) -> AsyncIterator[MakeService]:
    """``await make_service(handlers, jobs)``: the small service, not yet started, on a database with its tables."""
    await make_tables(database)
    made: list[Service] = []

    async def make(handlers: Handlers | None = None, jobs: Jobs | None = None, bus: Any = None) -> Service:
        service = Service("notes", "notes", make_settings(ServiceSettings, "notes"), bus=bus or memory_bus)
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
