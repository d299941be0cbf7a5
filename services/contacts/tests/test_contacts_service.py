"""The contacts service through its front door, on a migrated database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from contacts.main import create_service
from contacts.settings import Settings
from shared.bus import MemoryBus
from shared.copies import tenant_of, user_of
from shared.events import Features, TenantState, UserState
from shared.migrate import migrate
from shared.service import Service
from shared.testing.databases import Databases
from shared.testing.harness import consume


@pytest.fixture
async def service(databases: Databases, make_settings: Any, memory_bus: MemoryBus) -> AsyncIterator[Service]:
    settings = make_settings(Settings, "contacts")
    await databases.empty("contacts")
    service = create_service(settings, bus=memory_bus)
    await service.start(api=False, worker=False)
    yield service
    await service.stop()


async def test_the_service_is_ready_once_its_database_answers(service: Service, client_of: Any) -> None:
    client = await client_of(service)
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200


async def test_migrating_twice_changes_nothing(service: Service) -> None:
    await migrate("contacts", service.settings)
    async with service.db.unit_of_work("acme") as work:
        assert (await work.session.execute(text("SELECT count(*) FROM contact"))).scalar() == 0


async def test_tenant_and_user_state_arrive_by_events(service: Service) -> None:
    now = datetime.now(UTC)
    async with service.db.unit_of_work("acme") as work:
        work.outbox.add(
            TenantState(org_id="acme", connected=True, tid="t1", features=Features(auto_recording=True), changed_at=now)
        )
        work.outbox.add(
            UserState(
                org_id="acme",
                user_id="anna",
                connected=True,
                status="connected",
                tid="t1",
                oid="o1",
                name="Anna",
                email="anna@acme.example",
                changed_at=now,
            )
        )
    await service.relay.drain()
    await consume(service)
    async with service.db.unit_of_work("acme") as work:
        tenant, user = await tenant_of(work.session, "acme"), await user_of(work.session, "acme", "anna")
    assert tenant is not None
    assert tenant.features.auto_recording
    assert user is not None
    assert user.name == "Anna"
