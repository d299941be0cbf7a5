"""The relay's shape and faults: few statements, no cursor, one active, refusals parked, tables bounded."""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import structlog
from aiokafka.errors import OutOfOrderSequenceNumber
from asyncpg.exceptions import CheckViolationError
from confluent_kafka import Producer

from shared.bus import BusUnavailable, Record
from shared.bus.kafka import KafkaBus
from shared.database import outbox as outbox_module
from shared.database.housekeeping import keep_house
from shared.eventing import relay as relay_module
from shared.eventing.relay import TRIES, Relay
from shared.events import MeetingCancelled, UserState
from shared.hosting.commands import operate, parser
from shared.hosting.service import Service
from shared.testing.databases import TestDatabase, connect
from shared.testing.examples import tenant_state, user_state
from shared.testing.logs import plain_logs
from shared.testing.memory_bus import MemoryBus
from shared.testing.statements import statements_of
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
_INSERT = """INSERT INTO outbox (event_id, topic, key, headers, payload)
    SELECT gen_random_uuid(), $1, 'k' || n % 7, '{"ce_id": "x"}', $2 FROM generate_series(1, $3::integer) n"""


@pytest.fixture(autouse=True)
def _errors_only() -> Iterator[None]:
    """Tracebacks with every local, five for each poison, take longer than the tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    plain_logs()


@pytest.fixture
async def owner(make_service: MakeService, database: TestDatabase) -> AsyncIterator[Any]:
    """A bare connection to the service's database, whose tables are there; it sees every organisation."""
    connection = await connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def mock_bus() -> AsyncIterator[KafkaBus]:
    """Kafka's protocol against librdkafka's mock cluster."""
    holder = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1, "log_level": 2})
    broker = next(iter(holder.list_topics(timeout=10).brokers.values()))
    bus = KafkaBus(f"{broker.host}:{broker.port}")
    yield bus
    await bus.stop()


async def emit(service: Service, *events: Any, org_id: str = "acme") -> None:
    async with service.db.unit_of_work(org_id) as work:
        for one in events:
            work.outbox.add(one)


def versions(bus: MemoryBus, topic: str) -> list[int]:
    return [json.loads(record.value)["aggregate_version"] for record in bus.records(topic)]


def logged(relay: Relay) -> list[str]:
    """The statements of the relay's own connection, from its first on."""
    statements: list[str] = []
    make = relay._connect

    async def with_log() -> Any:
        connection = await make()
        connection.add_query_logger(lambda query: statements.append(query.query))
        return connection

    relay._connect = with_log  # type: ignore[method-assign]
    return statements


async def test_the_relay_needs_two_statements_a_batch_and_three_a_pass(
    make_service: MakeService, memory_bus: MemoryBus, owner: Any
) -> None:
    service = await make_service()
    await owner.execute(_INSERT, "meeting.ended", b"{}", 2000)
    statements = logged(service.relay)
    await service.relay.drain()
    assert len(memory_bus.records("meeting.ended")) == 2000
    of_ours = [statement for statement in statements if "pg_catalog" not in statement and "jit" not in statement]
    assert len(of_ours) <= 2 * 2000 / 500 + 3, of_ours
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 0


async def test_writing_many_events_is_one_statement(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await make_service()
    statements = statements_of(service.db, monkeypatch)
    await emit(service, *(user_state("anna", version) for version in range(1, 101)))
    assert [one.split()[0] for one in statements] == ["BEGIN", "SELECT", "INSERT", "COMMIT"]


async def test_a_row_that_commits_late_with_a_lower_id_is_published(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    service = await make_service()
    async with service.db.unit_of_work("acme") as slow:
        late = outbox_module.Outbox(source="notes")
        late.add(user_state("late", 1))
        connection = await slow.session.connection()  # the lower id is taken, not committed
        await connection.exec_driver_sql(outbox_module.INSERT, tuple(late.rows[0]))
        await emit(service, user_state("early", 2))
        await service.relay.drain()
        assert versions(memory_bus, "user.state") == [2]
    await service.relay.drain()
    assert sorted(versions(memory_bus, "user.state")) == [1, 2]


class SlowBus(MemoryBus):
    """A broker that keeps the relay waiting until told."""

    def __init__(self) -> None:
        super().__init__()
        self.publishing = asyncio.Event()
        self.go_on = asyncio.Event()

    async def publish(self, records: Any) -> dict[int, str]:
        self.publishing.set()
        await self.go_on.wait()
        return await super().publish(records)


async def test_of_two_relays_one_is_active_and_the_other_takes_over_when_it_dies(make_service: MakeService) -> None:
    first_bus, second_bus = SlowBus(), MemoryBus()
    first = await make_service(bus=first_bus)
    second = await make_service(bus=second_bus)
    await emit(first, tenant_state())
    active = asyncio.create_task(first.relay.run())
    await first_bus.publishing.wait()
    asked = logged(second.relay)
    standby = asyncio.create_task(second.relay.run())

    async def denied() -> bool:
        return len(asked) >= 3

    await until(denied)
    assert set(asked) == {"SELECT pg_try_advisory_lock($1)"}
    assert second_bus.records("tenant.state") == []
    active.cancel()
    await asyncio.gather(active, return_exceptions=True)

    async def taken_over() -> bool:
        return len(second_bus.records("tenant.state")) == 1

    await until(taken_over)
    standby.cancel()
    await asyncio.gather(standby, return_exceptions=True)


async def test_a_relay_that_hangs_loses_the_lock(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(relay_module._SERVER_SETTINGS, "idle_session_timeout", "300")
    monkeypatch.setattr(relay_module, "STANDBY_S", (0.05, 0.05))
    first, second = await make_service(), await make_service(bus=MemoryBus())
    hung = await first.relay._connect()
    assert await hung.fetchval(relay_module._TRY_LOCK, relay_module._LOCK)
    await emit(first, tenant_state())
    standby = asyncio.create_task(second.relay.run())

    async def taken_over() -> bool:
        bus: Any = second.bus
        return len(bus.records("tenant.state")) == 1

    await until(taken_over)
    assert hung.is_closed()
    standby.cancel()
    await asyncio.gather(standby, return_exceptions=True)


async def test_a_relay_keeps_the_lock_while_the_broker_is_slow(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(relay_module._SERVER_SETTINGS, "idle_session_timeout", "1000")
    monkeypatch.setattr(relay_module, "STANDBY_S", (0.05, 0.05))
    monkeypatch.setattr(relay_module, "BEAT_S", 0.1)
    slow, other = SlowBus(), MemoryBus()
    first, second = await make_service(bus=slow), await make_service(bus=other)
    said = logged(first.relay)
    await emit(first, tenant_state())
    relays = [asyncio.create_task(first.relay.run())]
    await slow.publishing.wait()
    relays.append(asyncio.create_task(second.relay.run()))

    async def long_idle() -> bool:
        return said.count("SELECT 1") >= 15  # at 0.1 s each: longer than an idle session lives

    await until(long_idle)
    slow.go_on.set()

    async def published() -> bool:
        return len(slow.records("tenant.state")) == 1

    await until(published)
    assert other.records("tenant.state") == []
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)


async def test_the_server_ends_a_relays_session_that_says_nothing(make_service: MakeService) -> None:
    connection = await (await make_service()).relay._connect()
    try:
        assert await connection.fetchval("SHOW idle_session_timeout") == f"{relay_module.IDLE_S}s"
    finally:
        await connection.close()


async def test_a_relay_whose_connection_is_cut_connects_again(
    make_service: MakeService, memory_bus: MemoryBus, owner: Any, postgres_url: Any
) -> None:
    service = await make_service()
    running = asyncio.create_task(service.relay.run())
    await emit(service, tenant_state(version=1))

    async def sent(count: int) -> bool:
        return set(versions(memory_bus, "tenant.state")) == set(range(1, count + 1))  # again after a cut is allowed

    await until(lambda: sent(1))
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    relays = "FROM pg_stat_activity WHERE datname = $1 AND application_name = 'relay'"
    name = await owner.fetchval("SELECT current_database()")
    assert await admin.fetchval(f"SELECT count(pg_terminate_backend(pid)) {relays}", name) == 1
    await admin.close()
    await emit(service, tenant_state(version=2))
    await until(lambda: sent(2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_refused_key_is_parked_in_order_and_a_re_drive_sends_it(
    make_service: MakeService, memory_bus: MemoryBus, owner: Any
) -> None:
    service = await make_service()
    memory_bus.closed["meeting.cancelled"] = "TopicAuthorizationFailedError"
    cancelled = [MeetingCancelled(org_id="acme", meeting_id="m1", aggregate_version=n) for n in (1, 2)]
    await emit(service, cancelled[0], user_state("anna", 1), cancelled[1])
    for _ in range(TRIES):
        await service.relay.drain()
    await emit(service, cancelled[0].model_copy(update={"aggregate_version": 3}), user_state("anna", 2))
    memory_bus.closed.clear()
    await service.relay.drain()
    assert versions(memory_bus, "user.state") == [1, 2]
    assert versions(memory_bus, "meeting.cancelled") == []
    parked = await owner.fetch("SELECT attempts, last_error FROM outbox WHERE parked_at IS NOT NULL ORDER BY id")
    assert [row["attempts"] for row in parked] == [TRIES, TRIES, 1]
    assert parked[0]["last_error"] == "TopicAuthorizationFailedError"

    assert await service.relay.redrive("another key") == 0
    assert await service.relay.redrive() == 3
    await service.relay.drain()
    assert versions(memory_bus, "meeting.cancelled") == [1, 2, 3]


async def test_kafka_refuses_a_record_without_stopping_the_others(
    make_service: MakeService, mock_bus: KafkaBus, owner: Any
) -> None:
    service = await make_service(bus=mock_bus)
    await owner.execute(_INSERT, "no topic name", b"{}", 1)
    await owner.execute(_INSERT, "dlq.notes", b"x" * 2_000_000, 1)
    await owner.execute(_INSERT, "meeting.ended", b"{}", 20)
    for _ in range(TRIES):
        await service.relay.drain()
    left = await owner.fetch("SELECT topic, last_error FROM outbox WHERE parked_at IS NOT NULL ORDER BY id")
    assert [row["topic"] for row in left] == ["no topic name", "dlq.notes"]
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 2


async def test_a_producer_that_lost_its_sequence_is_made_again(mock_bus: KafkaBus) -> None:
    record = Record("meeting.ended", "m1", b"{}")
    assert await mock_bus.publish([record]) == {}
    assert mock_bus._producer is not None
    mock_bus._producer._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    with pytest.raises(BusUnavailable):
        await mock_bus.publish([record])
    assert await mock_bus.publish([record]) == {}


async def test_the_inbox_and_what_was_sent_are_pruned(
    make_service: MakeService, memory_bus: MemoryBus, owner: Any
) -> None:
    service = await make_service()
    service.relay._keep_sent_s = 3600
    await owner.execute(
        """INSERT INTO inbox (event_id, topic, handled_at)
           SELECT n::text, 't', clock_timestamp() - make_interval(days => n) FROM generate_series(1, 20) n"""
    )
    await emit(service, tenant_state())
    await service.relay.drain()
    await owner.execute("UPDATE outbox_sent SET sent_at = sent_at - interval '2 h'")
    await emit(service, tenant_state(version=2))
    await service.relay.drain()
    running = asyncio.create_task(keep_house(service.db, 3600, None))

    async def pruned() -> bool:
        inbox = await owner.fetchval("SELECT count(*) FROM inbox")
        return inbox == 13 and await owner.fetchval("SELECT count(*) FROM outbox_sent") == 1

    await until(pruned)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert versions(memory_bus, "tenant.state") == [1, 2]


async def test_the_newest_state_of_each_key_is_kept_for_every_replay(
    make_service: MakeService, memory_bus: MemoryBus, owner: Any
) -> None:
    service = await make_service()
    service.relay._keep_sent_s = 3600
    await emit(service, tenant_state(), tenant_state(version=2), user_state("anna"), user_state("ben"))
    async with service.db.unit_of_work("acme") as work:
        work.outbox.bury(UserState, "acme", "acme:ben")
        work.outbox.add(MeetingCancelled(org_id="acme", meeting_id="m1", aggregate_version=1))
    await service.relay.drain()
    for states, events in ([1, 2], [1]), ([2], []):  # at 40 and at 80 minutes: what is published again is no younger
        await owner.execute("UPDATE outbox_sent SET sent_at = sent_at - interval '40 minutes'")
        memory_bus.logs.clear()
        await service.relay.replay_sent()
        await service.relay.drain()
        assert versions(memory_bus, "tenant.state") == states
        assert versions(memory_bus, "meeting.cancelled") == events
    assert [record.key for record in memory_bus.records("user.state")] == ["acme:anna"]


async def test_a_payload_over_the_limit_is_refused_when_it_is_added(make_service: MakeService, owner: Any) -> None:
    service = await make_service()
    with pytest.raises(ValueError, match="put ids in events"):
        await emit(service, user_state("a" * 70_000))
    with pytest.raises(CheckViolationError, match="outbox_payload_size"):
        await owner.execute(_INSERT, "meeting.ended", b"x" * 65_537, 1)


async def test_one_command_re_drives_records_events_and_jobs(make_service: MakeService, owner: Any) -> None:
    service = await make_service()
    await owner.execute(_INSERT, "meeting.ended", b"{}", 1)
    await owner.execute("UPDATE outbox SET parked_at = clock_timestamp(), attempts = 5")
    await owner.execute(
        """INSERT INTO job (org_id, kind, payload, dedupe_key, priority, state, attempt)
           VALUES ('acme', 'note', '{}', 'm1', 1, 'failed', 20), ('acme', 'note', '{}', 'm1', 1, 'failed', 20),
                  ('acme', 'note', '{}', NULL, 1, 'failed', 20)"""
    )
    assert await operate(service, parser().parse_args(["redrive"])) == 0
    assert await owner.fetchval("SELECT count(*) FROM outbox WHERE parked_at IS NULL AND attempts = 0") == 1
    states = [row["state"] for row in await owner.fetch("SELECT state FROM job ORDER BY id")]
    assert states == ["failed", "waiting", "waiting"]


def test_event_ids_sort_by_time_and_say_their_version() -> None:
    assert uuid.UUID(outbox_module.uuid7()).version == 7
