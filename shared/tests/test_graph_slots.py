"""A service's share of a mailbox, over its processes on one database."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.graph import limits as limits_module
from shared.graph import slots as slots_module
from shared.graph.errors import GraphRetry
from shared.graph.limits import PER_MAILBOX, Limits, Scope
from shared.testing.databases import TestDatabase, connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server

ANNA = Scope("acme", "anna", "outlook", "anna")
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
ASKED = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle'"""
"""Sessions that were answered when they asked for a slot."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a database that is there may answer late."""
    monkeypatch.setattr(slots_module, "_DATABASE_S", 60.0)


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    made = Database(database.url)
    yield made
    await made.close()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def two(server: ScriptedServer, db: Database, platform_keys: PlatformKeys) -> AsyncIterator[tuple[Graph, Graph]]:
    """Two processes' clients on one database."""
    pair = tuple(
        Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens(), db)
        for _ in range(2)
    )
    for graph in pair:
        graph.sleep = Naps()
    yield pair[0], pair[1]
    for graph in pair:
        await graph.aclose()


async def test_two_processes_together_send_four_at_a_time(server: ScriptedServer, two: tuple[Graph, Graph]) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold, hold_s=0.02)
    callers = [graph.as_user("acme", "anna") for graph in two]
    running = asyncio.gather(*(caller.get("/me/events") for caller in callers for _ in range(12)))
    await asyncio.wait_for(server.until_in_flight(4), 30)
    hold.set()
    await running
    assert len(server.seen) == 24
    assert server.most_in_flight == 4


async def test_another_mailbox_does_not_wait(server: ScriptedServer, two: tuple[Graph, Graph]) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold)
    owners = [("acme", "anna"), ("acme", "bob"), ("globex", "anna")]
    running = asyncio.gather(*(two[0].as_user(*owner).get("/me/events") for owner in owners for _ in range(4)))
    await asyncio.wait_for(server.until_in_flight(12), 10)
    hold.set()
    await running


async def test_no_pooled_connection_is_held_while_graph_thinks(
    server: ScriptedServer, two: tuple[Graph, Graph], db: Database
) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold)
    running = asyncio.gather(*(two[0].as_user("acme", "anna").get("/me/events") for _ in range(4)))
    await asyncio.wait_for(server.until_in_flight(4), 10)
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    hold.set()
    await running


async def test_a_cancelled_caller_gives_its_slot_back(db: Database, database: TestDatabase) -> None:
    limits = Limits(db, PER_MAILBOX)

    async def take() -> None:
        async with limits.enter(ANNA):
            await asyncio.Event().wait()

    for delay in (0.0, 0.0, 0.001, 0.002, 0.005, 0.02, 0.05):
        task = asyncio.create_task(take())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert limits.turns.lines == {}
    assert limits._slots is not None
    while limits._slots._tasks:
        await asyncio.gather(*limits._slots._tasks)
    watcher = await connect(database.url)
    assert await watcher.fetchval(LOCKS) == 0
    await watcher.close()
    await limits.aclose()


async def test_a_process_that_dies_leaves_no_slot_taken(db: Database, database: TestDatabase) -> None:
    dying, other = Limits(db, PER_MAILBOX), Limits(db, PER_MAILBOX)
    places = [dying.enter(ANNA) for _ in range(4)]
    for place in places:
        await place.__aenter__()
    waiting = asyncio.create_task(other.enter(ANNA).__aenter__())
    watcher = await connect(database.url)
    async with asyncio.timeout(30):
        while await watcher.fetchval(ASKED) < 2:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
    assert (await watcher.fetchval(LOCKS), waiting.done()) == (4, False)
    await watcher.close()
    assert dying._slots is not None
    dying._slots._connection.terminate()  # what the operating system does to a killed process
    await waiting
    await other.aclose()
    for place in places:
        await place.__aexit__(None, None, None)
    await dying.aclose()


async def test_waiting_for_a_mailbox_ends(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, other = Limits(db, PER_MAILBOX), Limits(db, PER_MAILBOX)
    places = [busy.enter(ANNA) for _ in range(4)]
    for place in places:
        await place.__aenter__()
    with monkeypatch.context() as impatient:
        impatient.setattr(limits_module, "WAIT_S", 0.3)
        for limits in (busy, other):
            with pytest.raises(GraphRetry, match="wait for this mailbox"):
                await limits.enter(ANNA).__aenter__()
    for place in places:
        await place.__aexit__(None, None, None)
    async with other.enter(ANNA):
        pass
    await busy.aclose()
    await other.aclose()


async def test_without_the_database_the_limit_holds_within_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots_module, "_TRY_AGAIN_S", 0.0)
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none")
    limits, most, running, four = Limits(away, PER_MAILBOX), 0, 0, asyncio.Event()

    async def one() -> None:
        nonlocal most, running
        async with limits.enter(ANNA):
            running += 1
            most = max(most, running)
            if most >= 4:
                four.set()
            await asyncio.wait_for(four.wait(), 30)
            await asyncio.sleep(0.01)  # for a fifth, who must not come
            running -= 1

    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(*(one() for _ in range(20)))
    assert most == 4
    assert [line["event"] for line in logs] == ["mailbox_limit.not_shared"]
    await limits.aclose()
    await away.close()


async def test_a_database_that_comes_back_is_used_again(
    db: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "_TRY_AGAIN_S", 0.0)
    limits, watcher = Limits(db, PER_MAILBOX), await connect(database.url)
    async with limits.enter(ANNA):
        mine = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        await watcher.execute(f"SELECT pg_terminate_backend(({mine} LIMIT 1))")
    async with limits.enter(ANNA):
        pass
    async with limits.enter(ANNA):
        assert await watcher.fetchval(LOCKS) == 1
    await limits.aclose()
    await watcher.close()
