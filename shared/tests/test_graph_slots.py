"""Four requests at a time per mailbox, over processes on one database; and a client under random faults."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.db import Database
from shared.graph import Graph, GraphCaller
from shared.graph import slots as slots_module
from shared.graph.errors import GraphError, GraphRetry
from shared.graph.slots import Slots
from shared.testing.fixtures import PlatformKeys, TestDatabase, connect
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    made = Database(database.url)
    yield made
    await made.close()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


class DeadAtTimes(httpx.AsyncHTTPTransport):
    """Real connections; those that are due go to a port where nobody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = 0
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.refuse:
            self.refuse -= 1
            self.refused += 1
            request.url = request.url.copy_with(port=9)
        return await super().handle_async_request(request)


@pytest.fixture
async def two(server: ScriptedServer, db: Database, platform_keys: PlatformKeys) -> AsyncIterator[tuple[Graph, Graph]]:
    """Two processes' clients on one database."""
    pair = tuple(
        Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens(), db)
        for _ in range(2)
    )
    for graph in pair:
        graph.sleep = Naps()
        await graph.http.aclose()
        graph.http = httpx.AsyncClient(transport=DeadAtTimes(), timeout=10, trust_env=False)
    yield pair[0], pair[1]
    for graph in pair:
        await graph.aclose()


def door(graph: Graph) -> DeadAtTimes:
    assert isinstance(graph.http._transport, DeadAtTimes)
    return graph.http._transport


async def test_two_processes_together_send_four_at_a_time(server: ScriptedServer, two: tuple[Graph, Graph]) -> None:
    server.otherwise = Reply(json={}, hold_s=0.02)
    callers = [graph.as_user("acme", "anna") for graph in two]
    await asyncio.gather(*(caller.get("/me/events") for caller in callers for _ in range(12)))
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
    slots = Slots(db)

    async def take() -> None:
        async with slots.slot("acme", "anna"):
            await asyncio.Event().wait()

    for delay in (0.0, 0.0, 0.001, 0.002, 0.005, 0.02, 0.05):
        task = asyncio.create_task(take())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert slots.turns.lines == {}
    assert slots._locks is not None
    while slots._locks._tasks:
        await asyncio.gather(*slots._locks._tasks)
    watcher = await connect(database.url)
    assert await watcher.fetchval(LOCKS) == 0
    await watcher.close()
    await slots.aclose()


async def test_a_process_that_dies_leaves_no_slot_taken(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    dying, other = Slots(db), Slots(db)
    monkeypatch.setattr(slots_module, "WAIT_S", 10)
    places = [dying.slot("acme", "anna") for _ in range(4)]
    for place in places:
        await place.__aenter__()
    waiting = asyncio.create_task(other.slot("acme", "anna").__aenter__())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert dying._locks is not None
    dying._locks._connection.terminate()  # what the operating system does to a killed process
    await waiting
    await other.aclose()
    for place in places:
        await place.__aexit__(None, None, None)
    await dying.aclose()


async def test_waiting_for_a_mailbox_ends(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "WAIT_S", 0.3)
    busy, other = Slots(db), Slots(db)
    places = [busy.slot("acme", "anna") for _ in range(4)]
    for place in places:
        await place.__aenter__()
    for slots in (busy, other):
        with pytest.raises(GraphRetry, match="wait for this mailbox"):
            await slots.slot("acme", "anna").__aenter__()
    for place in places:
        await place.__aexit__(None, None, None)
    async with other.slot("acme", "anna"):
        pass
    await busy.aclose()
    await other.aclose()


async def test_without_the_database_the_limit_holds_in_the_process_and_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots_module, "_TRY_AGAIN_S", 0.0)
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none")
    slots, most, running = Slots(away), 0, 0

    async def one() -> None:
        nonlocal most, running
        async with slots.slot("acme", "anna"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(*(one() for _ in range(20)))
    assert most == 4
    assert [line["event"] for line in logs] == ["mailbox limit holds within this process only"]
    await slots.aclose()
    await away.close()


async def test_a_database_that_comes_back_is_used_again(
    db: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "_TRY_AGAIN_S", 0.0)
    slots, watcher = Slots(db), await connect(database.url)
    async with slots.slot("acme", "anna"):
        mine = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        await watcher.execute(f"SELECT pg_terminate_backend(({mine} LIMIT 1))")
    async with slots.slot("acme", "anna"):
        pass
    async with slots.slot("acme", "anna"):
        assert await watcher.fetchval(LOCKS) == 1
    await slots.aclose()
    await watcher.close()


# Random faults -------------------------------------------------------------------------------------------------------

REFUSED = "no connection"
FAULTS = st.one_of(
    st.builds(lambda status, wait: Reply(status, json={}, headers={"retry-after": str(wait)}),
              st.sampled_from([429, 503]), st.integers(0, 30)),
    st.builds(lambda status: Reply(status, json={}), st.sampled_from([401, 403, 404, 409, 429, 500, 502, 503, 504])),
    st.just(Reply(json={"a": "long enough"}, cut=2)),
    st.just(Reply(body=b"<html>")),
    st.just(Reply(302, headers={"location": "http://127.0.0.1:9/elsewhere"})),
    st.just(REFUSED),
)  # fmt: skip
CALLS = st.tuples(st.sampled_from(["get", "post", "patch", "delete", "download"]), st.lists(FAULTS, max_size=6))


async def run(caller: GraphCaller, method: str) -> None:
    match method:
        case "get":
            await caller.get("/me/events")
        case "delete":
            await caller.delete("/me/events/1")
        case "download":
            await caller.text("/me/events/1/attachments/2/$value")
        case _:
            await getattr(caller, method)("/me/events/1", {"a": 1})


def check_one(method: str, given: list[Any], seen: int, refused: int, naps: list[float]) -> None:
    """What the faults that were used up, in order, allow."""
    used = given[: seen + refused]
    for at, fault in enumerate(used[:-1] if len(used) == seen + refused else used):
        status = None if fault == REFUSED else fault.status
        writes = method in {"post", "patch", "delete"}
        assert not writes or status in {None, 429, 401}, f"a write was repeated after {status}"
        assert status not in {403, 404, 409}
        said = float(fault.headers["retry-after"]) if status in {429, 503} and fault.headers else 0.0
        assert naps[at] >= said
    assert [fault != REFUSED and fault.status == 401 for fault in used].count(True) <= 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(call=CALLS)
async def test_under_any_faults_no_write_is_repeated_that_may_be_done_and_waits_are_kept(
    server: ScriptedServer, two: tuple[Graph, Graph], call: tuple[str, list[Any]]
) -> None:
    method, faults = call
    graph, naps, door_ = two[0], Naps(), door(two[0])
    server.clear()
    graph.sleep, door_.refused = naps, 0
    left = list(faults)

    async def next_fault(seconds: float) -> None:
        await naps(seconds)
        lay_out()

    def lay_out() -> None:
        server.script.clear()
        door_.refuse = 0
        if left:
            fault = left.pop(0)
            if fault == REFUSED:
                door_.refuse = 1
            else:
                server.script.append(replace(fault))

    graph.sleep = next_fault
    lay_out()
    error: GraphError | None = None
    try:
        await run(graph.as_user("acme", "anna"), method)
    except GraphError as refused:
        error = refused
    check_one(method, faults, len(server.seen), door_.refused, naps.taken)
    assert len(server.seen) + door_.refused <= 5
    assert error is not None or len(server.seen) >= 1
    assert graph.slots.turns.lines == {}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    methods=st.lists(st.sampled_from(["get", "post", "patch", "delete", "download"]), min_size=8, max_size=16),
    faults=st.lists(FAULTS, max_size=12),
)
async def test_under_any_faults_at_most_four_run_and_the_token_meets_graph_only(
    server: ScriptedServer, two: tuple[Graph, Graph], methods: list[str], faults: list[Any]
) -> None:
    server.clear()
    async with scripted_server() as stranger:
        elsewhere = {"location": f"{stranger.url}/elsewhere"}
        for fault in faults:
            if fault == REFUSED:
                door(two[0]).refuse += 1
            else:
                server.script.append(
                    replace(fault, hold_s=0.003, headers=elsewhere if fault.status == 302 else fault.headers)
                )
        server.otherwise = Reply(json={}, hold_s=0.003)
        callers = [two[at % 2].as_user("acme", "anna") for at in range(len(methods))]
        calls = (run(caller, method) for caller, method in zip(callers, methods, strict=True))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(result is None or isinstance(result, GraphError) for result in ended)
        assert server.most_in_flight <= 4
        assert all("authorization" in seen.headers for seen in server.seen)
        assert stranger.seen == []
