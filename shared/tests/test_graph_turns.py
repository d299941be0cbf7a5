"""Whose request goes next: priorities without starvation, organisations in turn, nothing held while waiting."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.database.work import PRIORITIES, Priority
from shared.graph import Graph
from shared.graph.limits import PER_MAILBOX, Limits, Scope
from shared.graph.turns import CONNECTIONS, PASSED_OVER, Turns
from shared.hosting.service import Service
from shared.jobs import Jobs, Work
from shared.jobs.job import Job
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Reply, ScriptedServer, client_settings, scripted_server

ALL: tuple[Priority, ...] = ("interactive", "fresh", "backfill")


class Note(Work):
    kind = "note"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(server: ScriptedServer, platform_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    yield made
    await made.aclose()


async def waiting(turns: Turns, count: int) -> None:
    """Until so many wait."""
    while sum(len(queue) for line in turns.lines.values() for queue in line.waiting) != count:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


async def test_interactive_goes_before_fresh_before_backfill(server: ScriptedServer, graph: Graph) -> None:
    hold, first = asyncio.Event(), asyncio.Event()
    server.script.extend(Reply(json={}, hold=hold) for _ in range(3))
    server.script.append(Reply(json={}, hold=first))
    running = [asyncio.create_task(graph.as_user("acme", "anna").get("/me/events/held")) for _ in range(4)]
    await asyncio.wait_for(server.until_in_flight(4), 10)
    for count, priority in enumerate(("backfill", "fresh", "interactive") * 2, 1):
        caller = graph.as_user("acme", "anna", priority)  # type: ignore[arg-type]
        running.append(asyncio.create_task(caller.get(f"/me/events/{priority}")))
        await waiting(graph.limits.turns, count)
    first.set()  # one of the four places is free now, and the others stay taken
    await asyncio.gather(*running[4:])
    went = [seen.target.rpartition("/")[2] for seen in server.seen[4:]]
    assert went == [name for name in ALL for _ in range(2)]
    hold.set()
    await asyncio.gather(*running)


async def test_a_request_that_waits_holds_no_connection(server: ScriptedServer, graph: Graph) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold)
    running = asyncio.gather(*(graph.as_user("acme", "anna").get("/me/events") for _ in range(20)))
    await asyncio.wait_for(server.until_in_flight(4), 10)
    assert len(graph.http._transport._pool.connections) == 4  # type: ignore[attr-defined]
    assert graph.limits.turns._busy.total() == 4
    hold.set()
    await running
    assert graph.limits.turns._busy == {}


@pytest.mark.parametrize("priority", ["fresh", "backfill"])
async def test_a_lower_priority_has_its_turn_while_interactive_keeps_coming(priority: Priority) -> None:
    turns, went, over = Turns(PER_MAILBOX), Counter[int](), False

    async def stream() -> None:
        while not over:
            line = await turns.enter("acme", "anna", 0)
            went[0] += 1
            await asyncio.sleep(0)
            turns.leave(line)

    streams = [asyncio.create_task(stream()) for _ in range(8)]
    await waiting(turns, 4)
    before = went[0]
    line = await asyncio.wait_for(turns.enter("acme", "anna", PRIORITIES[priority]), 10)
    assert went[0] - before <= PASSED_OVER[PRIORITIES[priority]] + 3 * PER_MAILBOX
    over = True
    turns.leave(line)
    await asyncio.gather(*streams)


async def test_organisations_take_turns_so_one_import_blocks_no_other() -> None:
    turns, order = Turns(PER_MAILBOX, 1), []

    async def go(org_id: str) -> None:
        line = await turns.enter(org_id, None, 2)
        order.append(org_id)
        turns.leave(line)

    line = await turns.enter("initech", None, 0)
    calls = [asyncio.create_task(go("acme")) for _ in range(50)]
    await waiting(turns, 50)
    calls += [asyncio.create_task(go(org_id)) for org_id in ("globex", "globex", "umbrella")]
    await waiting(turns, 53)
    turns.leave(line)
    await asyncio.gather(*calls)
    assert order[:6] == ["acme", "globex", "umbrella", "acme", "globex", "acme"]
    assert turns.lines == {}


async def test_mailboxes_of_one_organisation_take_turns_too() -> None:
    turns, order = Turns(PER_MAILBOX, 1), []

    async def go(mailbox: str) -> None:
        line = await turns.enter("acme", mailbox, 1)
        order.append(mailbox)
        turns.leave(line)

    line = await turns.enter("acme", None, 0)
    calls = [asyncio.create_task(go(mailbox)) for mailbox in ("anna", "anna", "anna", "bob")]
    await waiting(turns, 4)
    turns.leave(line)
    await asyncio.gather(*calls)
    assert order == ["anna", "bob", "anna", "anna"]


async def test_interactive_goes_before_backfill_of_another_mailbox() -> None:
    turns, order = Turns(PER_MAILBOX, 1), []

    async def go(mailbox: str, level: int) -> None:
        line = await turns.enter("acme", mailbox, level)
        order.append(level)
        turns.leave(line)

    line = await turns.enter("acme", None, 0)
    calls = [asyncio.create_task(go(mailbox, level)) for mailbox, level in (("anna", 2), ("bob", 1), ("carol", 0))]
    await waiting(turns, 3)
    turns.leave(line)
    await asyncio.gather(*calls)
    assert order == [0, 1, 2]


@pytest.mark.parametrize(("level", "most"), [(0, 60), (1, 60), (2, 60)])
async def test_one_organisation_never_has_all_connections(level: int, most: int) -> None:
    turns = Turns(PER_MAILBOX, 100)
    went = [asyncio.create_task(turns.enter("acme", None, level)) for _ in range(100)]
    await waiting(turns, 100 - most)
    await asyncio.wait_for(turns.enter("globex", None, level), 5)
    assert sum(task.done() for task in went) == most
    for task in went:
        task.cancel()
    await asyncio.gather(*went, return_exceptions=True)


async def test_backfill_leaves_connections_for_those_somebody_waits_for() -> None:
    turns = Turns(PER_MAILBOX)
    entering = [asyncio.create_task(turns.enter(f"org{at}", None, 2)) for at in range(CONNECTIONS)]
    await waiting(turns, CONNECTIONS // 4)
    assert sum(task.done() for task in entering) == CONNECTIONS * 3 // 4
    await asyncio.wait_for(turns.enter("late", None, 0), 5)
    for task in entering:
        task.cancel()
    await asyncio.gather(*entering, return_exceptions=True)


async def test_a_job_s_calls_go_with_its_priority(make_service: Callable[..., Awaitable[Service]]) -> None:
    does, met = Jobs(), list[Priority]()

    @does(Note)
    async def note(job: Job, wanted: Note) -> None:
        met.append(job.priority)

    service = await make_service(jobs=does)
    async with service.db.unit_of_work("acme") as work:
        for priority in ALL:
            work.queue(Note(), priority=priority)
    await service.runner.drain()
    assert sorted(met) == sorted(ALL)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(["anna", "anna", "anna", "bob", None]),
        st.sampled_from(ALL),
        st.sampled_from(["ends", "ends", "ends", "ends", "cancelled", "cancelled at once"]),
    ),
    min_size=10,
    max_size=40,
)
PLACES = 2
"""Few, so that many examples have more requests to a mailbox than it has places."""


@settings(max_examples=60)
@given(steps=STEPS, seed=st.integers(0, 1000), connections=st.integers(1, 12))
async def test_the_limits_hold_whatever_ends_or_is_cancelled(
    steps: list[tuple[str, str | None, Priority, str]], seed: int, connections: int
) -> None:
    limits, chance, now = Limits(None, PLACES), random.Random(seed), Counter[tuple[str, str | None]]()
    limits.turns = Turns(PLACES, connections)

    async def one(org_id: str, mailbox: str | None, priority: Priority) -> None:
        async with limits.enter(Scope(org_id, "", "outlook", mailbox, priority)):
            now[org_id, mailbox] += 1
            assert mailbox is None or now[org_id, mailbox] <= PLACES
            assert now.total() <= connections
            try:
                for _ in range(chance.randint(0, 20)):
                    await asyncio.sleep(0)
            finally:
                now[org_id, mailbox] -= 1

    tasks = []
    for org_id, mailbox, priority, end in steps:
        tasks.append(asyncio.create_task(one(org_id, mailbox, priority)))
        for _ in range(chance.randint(0, 2)):
            await asyncio.sleep(0)
        if end != "ends":
            tasks[-1 if end == "cancelled at once" else chance.randrange(len(tasks))].cancel()
    done, left = await asyncio.wait(tasks, timeout=10) if tasks else (set(), set())
    assert not left, "somebody waits for ever"
    assert [task.exception() for task in done if not task.cancelled() and task.exception()] == []
    assert (limits.turns.lines, limits.turns._busy, limits.turns._served) == ({}, {}, {})
