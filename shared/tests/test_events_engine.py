"""Outbox, relay, bus, lanes and dead letters as a service meets them: an event in, an effect in the database once."""

import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from sqlalchemy import text

from shared.bus import Bus, Record
from shared.bus.kafka import KafkaBus
from shared.connections import keep, tenant_of
from shared.database.unit_of_work import Database
from shared.eventing.handlers import Handlers
from shared.events import MeetingCancelled, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.examples import tenant_state, user_state
from shared.testing.harness import consume
from shared.testing.memory_bus import MemoryBus
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]


async def words(db: Database, org_id: str = "acme") -> list[str]:
    async with db.unit_of_work(org_id) as work:
        return list((await work.session.execute(text("SELECT words FROM note ORDER BY n"))).scalars())


async def write(session: Any, org_id: str, said: str) -> None:
    values = {"org_id": org_id, "words": said}
    await session.execute(text("INSERT INTO note (org_id, words) VALUES (:org_id, :words)"), values)


async def emit(service: Service, *events: Any) -> None:
    async with service.db.unit_of_work("acme") as work:
        for event in events:
            work.outbox.add(event)
    await service.relay.drain()


def note_users(group_handlers: Handlers | None = None) -> Handlers:
    """Handlers that write down each user state's user and version."""
    on = group_handlers or Handlers()

    @on(UserState)
    async def note_user(event: UserState, *, session: Any) -> None:
        await write(session, event.org_id, f"{event.user_id} {event.aggregate_version}")

    return on


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    for service in services:
        await service.start(api=False, worker=True)
    yield
    for service in services:
        await service.stop()


async def test_an_event_of_a_committed_transaction_has_its_effect(make_service: MakeService) -> None:
    service = await make_service(note_users())
    await emit(service, user_state("anna"))
    await consume(service)
    assert await words(service.db) == ["anna 1"]


async def test_an_event_of_a_rolled_back_transaction_does_not_exist(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    service = await make_service()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the rollback is what is tested
        async with service.db.unit_of_work("acme") as work:
            work.outbox.add(user_state())
            raise ZeroDivisionError
    await service.relay.drain()
    assert memory_bus.records("user.state") == []


async def test_the_headers_are_cloudevents_in_binary_mode(make_service: MakeService, memory_bus: MemoryBus) -> None:
    service = await make_service()
    await emit(service, tenant_state(version=3))
    (record,) = memory_bus.records("tenant.state")
    assert record.headers["ce_type"] == "com.prospo.m365.tenant.state.v1"
    assert record.headers["ce_source"] == "/notes"
    assert (record.headers["ce_orgid"], record.headers["ce_aggregateversion"]) == ("acme", "3")
    assert uuid.UUID(record.headers["ce_id"]).version == 7
    assert json.loads(record.value)["connected"] is True


async def test_a_delivery_twice_has_one_effect(make_service: MakeService, memory_bus: MemoryBus) -> None:
    service = await make_service(note_users())
    await emit(service, user_state("anna"))
    (record,) = memory_bus.records("user.state")
    await memory_bus.publish([replace(record)])
    await consume(service)
    assert await words(service.db) == ["anna 1"]


async def test_a_structured_cloudevent_is_read_too(make_service: MakeService, memory_bus: MemoryBus) -> None:
    service = await make_service(note_users())
    whole = {
        "specversion": "1.0",
        "id": "x1",
        "time": "2026-01-01T00:00:00Z",
        "data": user_state().model_dump(mode="json"),
    }
    headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
    await memory_bus.publish([Record("user.state", "acme:anna", json.dumps(whole).encode(), headers)])
    await consume(service)
    assert await words(service.db) == ["anna 1"]


async def test_a_handlers_own_event_is_caused_by_the_one_it_handled(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    on = Handlers()

    @on(TenantState)
    async def answer(event: TenantState, *, outbox: Any) -> None:
        outbox.add(MeetingCancelled(org_id=event.org_id, aggregate_version=1, meeting_id="m1"))

    service = await make_service(on)
    await emit(service, tenant_state())
    await consume(service)
    await service.relay.drain()
    (cause,), (effect,) = memory_bus.records("tenant.state"), memory_bus.records("meeting.cancelled")
    assert effect.headers["ce_causationid"] == cause.headers["ce_id"]
    assert effect.headers["ce_correlationid"] == cause.headers["ce_correlationid"]


async def test_an_older_state_does_not_overwrite_a_newer_copy(make_service: MakeService) -> None:
    on = Handlers()
    keep(on)
    service = await make_service(on)
    await emit(service, tenant_state(version=2, auto_recording=True), tenant_state(version=1))
    await consume(service)
    async with service.db.unit_of_work("acme") as work:
        assert (await tenant_of(work.session, "acme")).has_on("auto_recording")


def poisoned(broken: list[bool]) -> Handlers:
    on = Handlers()

    @on(UserState)
    async def note_unless_broken(event: UserState, *, session: Any) -> None:
        await write(session, event.org_id, f"{event.user_id} {event.aggregate_version}")
        if broken and event.user_id == "anna":
            raise LookupError("anna cannot be handled")

    return on


async def test_a_poison_record_parks_its_key_and_the_others_go_on(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    broken = [True]
    service = await make_service(poisoned(broken))
    await emit(service, user_state("anna", 1), user_state("ben", 1), user_state("anna", 2))
    await consume(service)
    assert await words(service.db) == ["ben 1"]
    await service.relay.drain()
    assert [json.loads(record.value)["aggregate_version"] for record in memory_bus.records("dlq.notes")] == [1, 2]

    assert await service.lanes.redrive() == 0
    broken.clear()
    assert await service.lanes.redrive() == 2
    assert await words(service.db) == ["ben 1", "anna 1", "anna 2"]


async def test_what_cannot_be_decoded_is_parked_not_dropped(make_service: MakeService, memory_bus: MemoryBus) -> None:
    service = await make_service(note_users())
    await memory_bus.publish([Record("user.state", "acme:anna", b"{not json", {"ce_id": "1"})])
    await consume(service)
    await service.relay.drain()
    (dead,) = memory_bus.records("dlq.notes")
    assert dead.value == b"{not json"
    assert dead.headers["dlq_topic"] == "user.state"


async def test_what_was_sent_can_be_sent_again_and_has_no_second_effect(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    service = await make_service(note_users())
    service.relay._keep_sent_s = 3600
    await emit(service, user_state("anna"))
    await consume(service)
    await service.relay.replay_sent()
    await service.relay.drain()
    assert len({record.headers["ce_id"] for record in memory_bus.records("user.state")}) == 1
    assert len(memory_bus.records("user.state")) == 2
    await consume(service)
    assert await words(service.db) == ["anna 1"]


async def test_a_handler_that_wants_what_nobody_provides_stops_the_start(make_service: MakeService) -> None:
    on = Handlers()

    @on(UserState)
    async def wants_much(event: UserState, *, moon: Any) -> None:
        raise AssertionError(event, moon)

    service = await make_service(on)
    with pytest.raises(ValueError, match="moon"):
        _ = service.lanes


# One suite for every bus, through the running loops.


@pytest.fixture(params=["memory", "mock", pytest.param("kafka", marks=pytest.mark.engine)])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    kind: str = request.param
    if kind == "memory":
        yield MemoryBus()
    elif kind == "mock":
        owner = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1, "log_level": 2})
        broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
        yield KafkaBus(f"{broker.host}:{broker.port}")
    else:
        yield KafkaBus(kafka_servers())


def kafka_servers() -> str:
    """Real Kafka, as the engine tests are told of it."""
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if servers is None:
        pytest.skip("needs Kafka: set KAFKA_BOOTSTRAP_SERVERS=host:port")
    return servers


async def test_events_arrive_once_in_effect_and_in_order_per_key_on_every_bus(
    make_service: MakeService, bus: Bus
) -> None:
    org = f"acme-{uuid.uuid4().hex[:8]}"
    service = await make_service(note_users(), bus=bus)
    service.name = f"notes-{org}"
    users = [f"u{n}" for n in range(10)]
    async with running(service):
        async with service.db.unit_of_work(org) as work:
            for version in range(1, 21):
                for user in users:
                    work.outbox.add(user_state(user, version).model_copy(update={"org_id": org}))
        service.relay._db.on_commit_wake["outbox"].set()

        async def all_there() -> bool:
            return len(await words(service.db, org)) >= 200

        await until(all_there)
    seen = await words(service.db, org)
    assert len(seen) == 200
    for user in users:
        assert [line for line in seen if line.split()[0] == user] == [f"{user} {v}" for v in range(1, 21)]


@pytest.mark.parametrize(
    ("bus", "wait_ms"),
    [("mock", 250), pytest.param("kafka", 1000, marks=pytest.mark.engine)],
    indirect=["bus"],
)
async def test_a_broker_keeps_an_empty_answer_unless_it_is_the_mock(bus: KafkaBus, wait_ms: int) -> None:
    """Kafka ends it when a record comes; the mock keeps it to the end, and each answer costs a worker at rest."""
    await bus.ensure_topics(["meeting.ended"])
    consumer = bus.consumer("at-rest", ["meeting.ended"])
    try:
        assert consumer._consumer._fetch_max_wait_ms == wait_ms
        assert consumer._consumer._consumer_timeout >= 1, "aiokafka wakes five times a second for nothing"
    finally:
        await consumer.stop()


@pytest.mark.engine
async def test_two_members_share_a_group_and_a_rebalance_loses_nothing(make_service: MakeService) -> None:
    servers = kafka_servers()
    org = f"acme-{uuid.uuid4().hex[:8]}"
    first = await make_service(note_users(), bus=KafkaBus(servers))
    second = await make_service(note_users(), bus=KafkaBus(servers))
    first.name = second.name = f"notes-{org}"

    async def publish(version: int) -> None:
        async with first.db.unit_of_work(org) as work:
            for n in range(100):
                work.outbox.add(user_state(f"u{n}", version).model_copy(update={"org_id": org}))

    async def count(wanted: int) -> bool:
        return len(await words(first.db, org)) >= wanted

    await first.start(api=False, worker=True)
    await publish(1)
    await until(lambda: count(100))
    await second.start(api=False, worker=True)
    for version in (2, 3, 4):
        await publish(version)
    await until(lambda: count(400))
    await second.stop()
    await publish(5)
    await until(lambda: count(500))
    seen = await words(first.db, org)
    assert len(seen) == len(set(seen)) == 500
