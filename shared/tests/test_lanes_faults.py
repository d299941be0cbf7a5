"""Lanes when something is wrong: outages, poison, keys behind it, rebalances, floods."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from shared.bus import Record
from shared.database.unit_of_work import AS_SERVICE
from shared.eventing import lanes as lanes_module
from shared.eventing.handlers import Handlers
from shared.eventing.inbox import QUICK_TRIES, TOGETHER, Inbox
from shared.eventing.lanes import FETCH, LANE_DEPTH, LANES
from shared.events import UserDisconnected, UserState
from shared.hosting.service import Service
from shared.testing.databases import TestDatabase, connect
from shared.testing.examples import user_state
from shared.testing.logs import plain_logs
from shared.testing.memory_bus import MemoryBus
from shared.testing.statements import statements_of
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
_NOTE = text("INSERT INTO note (org_id, words) VALUES (:org_id, :words)")


@pytest.fixture(autouse=True)
def _errors_only() -> Iterator[None]:
    """Tracebacks with every local, five for each poison, take longer than the tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    plain_logs()


def record(user: str, version: int, offset: int = -1, org_id: str = "acme") -> Record:
    event = user_state(user, version).model_copy(update={"org_id": org_id})
    headers = {"ce_id": f"{org_id} {user} {version}"}
    return Record("user.state", event.key, event.model_dump_json().encode(), headers, 0, offset)


async def note(event: UserState, session: Any) -> None:
    await session.execute(_NOTE, {"org_id": event.org_id, "words": f"{event.user_id} {event.aggregate_version}"})


def noting(before: Callable[[UserState, Any], Awaitable[None]] | None = None) -> Handlers:
    """Handlers that write down user and version, after ``before``."""
    on = Handlers()

    @on(UserState)
    async def note_user(event: UserState, *, session: Any) -> None:
        await note(event, session)
        if before is not None:
            await before(event, session)

    return on


async def words(service: Service, org_id: str = "acme") -> list[str]:
    async with service.db.unit_of_work(org_id) as work:
        return list((await work.session.execute(text("SELECT words FROM note ORDER BY n"))).scalars())


async def parked(service: Service) -> list[int]:
    async with service.db.system_work() as work:
        values = (await work.session.execute(text("SELECT value FROM parked_record ORDER BY id"))).scalars()
        return [json.loads(value)["aggregate_version"] for value in values]


def inbox_of(service: Service, handlers: Handlers) -> Inbox:
    handlers.bind({})
    return Inbox("notes", service.db, handlers)


async def test_a_record_costs_one_statement_beside_its_handlers(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, handlers = await make_service(), noting()
    statements = statements_of(service.db, monkeypatch)
    await inbox_of(service, handlers).handle(record("anna", 1))
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "WITH", "INSERT", "COMMIT"]


async def test_records_that_wait_together_share_a_transaction_per_organisation(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, handlers = await make_service(), noting()
    statements = statements_of(service.db, monkeypatch)
    waiting = [record(f"u{n}", 1) for n in range(10)] + [record("carl", 1, org_id="globex")]
    await inbox_of(service, handlers).handle_all(waiting)
    assert len(statements) == 11 + 2 * 3
    assert await words(service) == [f"u{n} 1" for n in range(10)]
    assert await words(service, "globex") == ["carl 1"]


async def test_row_level_security_binds_a_handler_to_the_records_organisation(make_service: MakeService) -> None:
    seen: list[int] = []

    async def count(event: UserState, session: Any) -> None:
        seen.append((await session.execute(text("SELECT count(*) FROM note"))).scalar())

    service, handlers = await make_service(), noting(count)
    waiting = [record("anna", 1), record("ben", 1), record("carl", 1, org_id="globex"), record("anna", 2)]
    await inbox_of(service, handlers).handle_all(waiting)
    assert seen == [1, 2, 1, 3]


async def test_a_delivery_twice_among_records_that_wait_together_has_one_effect(make_service: MakeService) -> None:
    service, handlers = await make_service(), noting()
    inbox = inbox_of(service, handlers)
    await inbox.handle_all([record("anna", 1), record("anna", 1), record("ben", 1)])
    await inbox.handle_all([record("anna", 1), record("ben", 2)])
    assert await words(service) == ["anna 1", "ben 1", "ben 2"]


async def test_one_poison_among_records_that_wait_together_parks_its_key_only(make_service: MakeService) -> None:
    tries: list[int] = []

    async def fail(event: UserState, session: Any) -> None:
        if event.user_id == "anna" and event.aggregate_version == 2:
            tries.append(1)
            raise LookupError("anna cannot be handled")

    service, handlers = await make_service(), noting(fail)
    waiting = [record("anna", 1, 0), record("anna", 2, 1), record("ben", 1, 2), record("anna", 3, 3)]
    await inbox_of(service, handlers).handle_all(waiting)
    assert await words(service) == ["anna 1", "ben 1"]
    assert await parked(service) == [2, 3]
    assert len(tries) == QUICK_TRIES + 1


async def test_an_outage_is_never_counted_against_a_record(make_service: MakeService) -> None:
    left = [QUICK_TRIES + 2]

    async def cut(event: UserState, session: Any) -> None:
        if left[0]:
            left[0] -= 1
            await session.execute(AS_SERVICE)  # whose connection it is
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    service, handlers = await make_service(), noting(cut)
    await inbox_of(service, handlers).handle(record("anna", 1))
    assert await words(service) == ["anna 1"]
    assert await parked(service) == []


async def test_two_lanes_that_deadlock_are_both_handled(make_service: MakeService) -> None:
    both = asyncio.Barrier(2)
    met: set[str] = set()

    async def cross(event: UserState, session: Any) -> None:
        lock = text("SELECT pg_advisory_xact_lock(:number)")
        order = [1, 2] if event.user_id == "anna" else [2, 1]
        await session.execute(lock, {"number": order[0]})
        if event.user_id not in met:
            met.add(event.user_id)
            await both.wait()
        await session.execute(lock, {"number": order[1]})

    service, handlers = await make_service(), noting(cross)
    inbox = inbox_of(service, handlers)
    await asyncio.gather(inbox.handle(record("anna", 1)), inbox.handle(record("ben", 1)))
    assert sorted(await words(service)) == ["anna 1", "ben 1"]
    assert await parked(service) == []


@pytest.mark.parametrize("statement", ["SELECT 1/0", "SELECT CAST('x' AS integer)", "SELECT nothing FROM nowhere"])
async def test_a_handlers_own_database_error_is_counted(make_service: MakeService, statement: str) -> None:
    async def fail(event: UserState, session: Any) -> None:
        await session.execute(text(statement))

    service, handlers = await make_service(), noting(fail)
    async with asyncio.timeout(20):
        await inbox_of(service, handlers).handle(record("anna", 1, 0))
    assert await parked(service) == [1]


async def test_a_wrong_type_of_a_handler_is_counted_not_waited_out(make_service: MakeService) -> None:
    async def fail(event: UserState, session: Any) -> None:
        await session.execute(text("SELECT CAST(:number AS bigint)"), {"number": 2**70})

    service, handlers = await make_service(), noting(fail)
    async with asyncio.timeout(20):
        await inbox_of(service, handlers).handle(record("anna", 1, 0))
    assert await parked(service) == [1]


async def test_a_record_at_an_offset_of_an_earlier_topic_is_parked_too(make_service: MakeService) -> None:
    async def fail(event: UserState, session: Any) -> None:
        raise LookupError

    service, handlers = await make_service(), noting(fail)
    inbox = inbox_of(service, handlers)
    await inbox.handle(record("anna", 1, 0))
    await inbox.handle(record("anna", 1, 0))
    await inbox.handle(record("anna", 2, 0))
    assert await parked(service) == [1, 2]


async def test_a_re_drive_stops_a_key_at_its_first_failure_not_others(make_service: MakeService) -> None:
    broken = {("anna", 1), ("anna", 2), ("ben", 1)}

    async def fail(event: UserState, session: Any) -> None:
        if (event.user_id, event.aggregate_version) in broken:
            raise LookupError

    service, handlers = await make_service(), noting(fail)
    inbox = inbox_of(service, handlers)
    for offset, (user, version) in enumerate([("anna", 1), ("ben", 1), ("anna", 2), ("anna", 3)]):
        await inbox.handle(record(user, version, offset))
    broken -= {("anna", 1), ("ben", 1)}
    assert await inbox.redrive() == 2
    assert await words(service) == ["anna 1", "ben 1"]
    assert await parked(service) == [2, 3]
    broken.clear()
    assert await inbox.redrive("acme:anna") == 2
    assert await words(service) == ["anna 1", "ben 1", "anna 2", "anna 3"]


async def test_a_running_worker_learns_of_a_re_drive_by_another_process(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    broken = [True]

    async def fail(event: UserState, session: Any) -> None:
        if broken:
            raise LookupError

    service, other = await make_service(noting(fail)), await make_service(noting())
    worker = asyncio.create_task(service.lanes.run())
    await memory_bus.publish([record("anna", 1)])

    async def is_parked() -> bool:
        return await parked(service) == [1]

    await until(is_parked)
    broken.clear()
    assert await other.lanes.redrive() == 1
    await memory_bus.publish([record("anna", 2)])

    async def both() -> bool:
        return await words(service) == ["anna 1", "anna 2"]

    await until(both)
    assert await parked(service) == []
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


class Gate:
    """Holds handlers until opened, and knows who is inside."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.inside = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, event: UserState, session: Any) -> None:
        self.entered.append(f"{event.user_id} {event.aggregate_version}")
        self.inside.set()
        await self.opened.wait()


async def test_a_rebalance_finishes_what_is_in_hand_then_commits_it(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    gate = Gate()
    service = await make_service(noting(gate))
    worker = asyncio.create_task(service.lanes.run())
    await memory_bus.publish([record("anna", 1)])
    await gate.inside.wait()
    await memory_bus.publish([record("anna", 2), record("anna", 3)])
    rebalance = asyncio.create_task(memory_bus.rebalance("notes"))
    await asyncio.sleep(0)
    assert memory_bus.committed["notes"] == {}
    gate.opened.set()
    await rebalance
    assert list(memory_bus.committed["notes"].values()) == [1]

    async def all_there() -> bool:
        return await words(service) == ["anna 1", "anna 2", "anna 3"]

    await until(all_there)
    assert gate.entered == ["anna 1", "anna 2", "anna 3"]
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_a_rebalance_does_not_wait_for_ever_and_no_effect_doubles(
    make_service: MakeService, memory_bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "SETTLE_S", 0.2)
    gate = Gate()
    service = await make_service(noting(gate))
    worker = asyncio.create_task(service.lanes.run())
    await memory_bus.publish([record("anna", 1), record("anna", 2)])
    await gate.inside.wait()
    await memory_bus.rebalance("notes")
    assert memory_bus.committed["notes"] == {}
    gate.opened.set()

    async def committed() -> bool:
        return list(memory_bus.committed["notes"].values()) == [2]

    await until(committed)
    assert await words(service) == ["anna 1", "anna 2"]
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_a_member_that_cannot_keep_up_takes_no_more_than_its_lanes_hold(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    gate = Gate()
    service = await make_service(noting(gate))
    worker = asyncio.create_task(service.lanes.run())
    await memory_bus.publish([record(f"u{n % 50}", n) for n in range(3000)])

    await gate.inside.wait()
    for _ in range(1000):  # turns of the loop, in which an unbounded member would have taken everything
        await asyncio.sleep(0)
    taken = sum(memory_bus.members["notes"]._next.values())
    assert LANE_DEPTH < taken <= FETCH + LANES * (LANE_DEPTH + TOGETHER) < 3000
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_a_nul_in_a_foreign_record_does_not_stop_the_lane(
    make_service: MakeService, memory_bus: MemoryBus
) -> None:
    async def fail(event: UserState, session: Any) -> None:
        raise LookupError("a \0 in the reason")

    service, handlers = await make_service(), noting(fail)
    async with asyncio.timeout(20):
        await inbox_of(service, handlers).handle(replace(record("anna", 1, 0)))
    assert await parked(service) == [1]


async def test_a_record_that_parks_while_its_key_is_re_driven_is_re_driven_too(make_service: MakeService) -> None:
    broken, gate = [True], Gate()

    async def fail_or_wait(event: UserState, session: Any) -> None:
        if broken:
            raise LookupError
        await gate(event, session)

    service, handlers = await make_service(), noting(fail_or_wait)
    inbox = inbox_of(service, handlers)
    await inbox.handle(record("anna", 1, 0))
    broken.clear()
    redrive = asyncio.create_task(inbox.redrive())
    await gate.inside.wait()
    await inbox.handle(record("anna", 2, 1))
    assert await parked(service) == [1, 2]
    gate.opened.set()
    assert await redrive == 2
    assert await words(service) == ["anna 1", "anna 2"]
    assert await parked(service) == []


async def test_a_lane_stops_when_it_is_told_to_though_the_database_is_gone(
    make_service: MakeService, database: TestDatabase, postgres_url: Any
) -> None:
    gate = Gate()
    service, handlers = await make_service(), noting(gate)
    lane = asyncio.create_task(inbox_of(service, handlers).handle_all([record("anna", 1), record("anna", 2)]))
    await gate.inside.wait()
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    role = database.url.split("//")[1].split(":")[0]
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
    await admin.close()
    lane.cancel()
    _, running = await asyncio.wait([lane], timeout=10)
    assert running == set()


async def test_a_key_parked_in_one_topic_is_handled_in_another(make_service: MakeService) -> None:
    on = Handlers()

    @on(UserState)
    async def refuse(event: UserState) -> None:
        raise ValueError(event.key)

    @on(UserDisconnected)
    async def note_end(event: UserDisconnected, *, session: Any) -> None:
        await session.execute(_NOTE, {"org_id": event.org_id, "words": "gone"})

    service = await make_service()
    inbox, state = inbox_of(service, on), record("anna", 1)
    end = UserDisconnected(org_id="acme", user_id="anna", aggregate_version=2, code="by_person", reason="asked")
    await inbox.handle_all([state])
    body = end.model_dump_json().encode()
    await inbox.handle_all([replace(state, topic=end.topic, value=body, headers={"ce_id": "2"})])
    assert (await parked(service), await words(service)) == ([1], ["gone"])
