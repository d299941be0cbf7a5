"""Tombstones: an erased aggregate leaves its state topic, and nobody who consumes the topic stumbles over it."""

from typing import Any

import pytest
from sqlalchemy import text

from shared.bus import Record
from shared.bus.kafka import KafkaBus, append
from shared.eventing.handlers import Handlers
from shared.events import TenantState, UserState
from shared.testing.examples import tenant_state, user_state
from shared.testing.harness import consume
from shared.testing.memory_bus import MemoryBus

from .conftest import MakeService


class Heard:
    """A service's reactions that only remember."""

    def __init__(self) -> None:
        self.on = Handlers()
        self.versions: list[tuple[str, int]] = []
        for kind in (TenantState, UserState):
            self.on(kind)(self.remember)

    async def remember(self, event: Any) -> None:
        self.versions.append((event.key, event.aggregate_version))


async def test_a_tombstone_is_published_after_what_came_before_it(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    service = await make_service()
    async with service.db.unit_of_work("acme") as work:
        work.outbox.add(user_state("anna", 1))
        work.outbox.bury(UserState, "acme", "acme:anna")
    await service.relay.drain()
    state, buried = memory_bus.records("user.state")
    assert (state.key, buried.key, buried.value, buried.is_tombstone) == ("acme:anna", "acme:anna", b"", True)
    assert (buried.headers["ce_type"], buried.headers["ce_orgid"]) == ("com.prospo.m365.user.state.v1", "acme")
    assert buried.headers["ce_id"] != state.headers["ce_id"]


async def test_a_handler_that_meets_a_tombstone_ignores_it_and_goes_on(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    heard = Heard()
    service = await make_service(heard.on)
    async with service.db.unit_of_work("acme") as work:
        work.outbox.add(tenant_state(version=1))
        work.outbox.bury(TenantState, "acme", "acme")
        work.outbox.add(tenant_state(version=2))
    await service.relay.drain()
    await consume(service)
    assert heard.versions == [("acme", 1), ("acme", 2)]
    assert memory_bus.records("dlq.notes") == []
    async with service.db.system_work() as work:
        assert (await work.session.execute(text("SELECT count(*) FROM parked_record"))).scalar() == 0


async def test_a_tombstone_behind_a_parked_record_is_ignored_too(make_service: MakeService) -> None:
    heard = Heard()
    service = await make_service(heard.on)
    await service.bus.publish([Record("tenant.state", "acme", b"no event"), Record("tenant.state", "acme", b"")])
    await consume(service)
    async with service.db.system_work() as work:
        assert (await work.session.execute(text("SELECT count(*) FROM parked_record"))).scalar() == 1


def test_kafka_is_given_null_for_a_tombstone() -> None:
    """An empty value would stay in a compacted topic for ever."""
    given: list[Any] = []

    class Batch:
        def append(self, *, key: bytes, value: bytes | None, **_more: Any) -> bool:
            given.append((key, value))
            return True

    for value in (b"", b"{}"):
        assert append(Batch(), b"acme:anna", Record("user.state", "acme:anna", value))
    assert given == [(b"acme:anna", None), (b"acme:anna", b"{}")]


@pytest.mark.engine
async def test_a_tombstone_goes_through_kafka(kafka_servers: str) -> None:
    bus = KafkaBus(kafka_servers)
    await bus.ensure_topics(["grave.state"])
    assert await bus.publish([Record("grave.state", "acme:anna", b"{}"), Record("grave.state", "acme:anna", b"")]) == {}
    consumer = bus.consumer("grave-diggers", ["grave.state"])

    async def revoked(_: Any) -> None: ...

    await consumer.start(revoked)
    found: list[Record] = []
    while len(found) < 2:
        found += await consumer.fetch(10, 1)
    await consumer.stop()
    await bus.stop()
    assert [record.is_tombstone for record in found] == [False, True]
