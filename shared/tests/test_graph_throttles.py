"""What one refusal teaches: others of the same limit wait too, backfill stands back early."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from shared.graph import BatchRequest, Graph
from shared.graph.errors import GraphNotFound, GraphRetry
from shared.graph.limits import BELIEVED_S, KEPT_AT_MOST, Limits, Scope
from shared.jobs import Priority
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server

NEAR = {"ratelimit-limit": "1200", "ratelimit-remaining": "120", "ratelimit-reset": "5"}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def graph(server: ScriptedServer, platform_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    made.sleep = Naps()
    made.limits.clock = Clock()
    yield made
    await made.aclose()


def naps(graph: Graph) -> list[float]:
    assert isinstance(graph.sleep, Naps)
    return graph.sleep.taken


def later(graph: Graph, seconds: float) -> None:
    clock = graph.limits.clock
    assert isinstance(clock, Clock)
    clock.now += seconds


def too_many(retry_after: str) -> Reply:
    return Reply(429, json={"error": {"code": "TooManyRequests"}}, headers={"retry-after": retry_after})


async def test_others_of_the_same_limit_wait_instead_of_earning_a_refusal(server: ScriptedServer, graph: Graph) -> None:
    server.script.append(too_many("7.5"))
    await graph.as_user("acme", "anna").get("/me/events")
    assert len(naps(graph)) == 1, "the one that was refused waits once"
    await graph.as_user("acme", "anna").get("/me/messages")
    assert len(server.seen) == 3
    assert all(7.5 <= nap <= 8.1 for nap in naps(graph))
    later(graph, 7.6)
    await graph.as_user("acme", "anna").get("/me/messages")
    assert len(naps(graph)) == 2


async def test_a_write_waits_too_and_is_then_sent_once(server: ScriptedServer, graph: Graph) -> None:
    server.script.append(too_many("3"))
    await graph.as_user("acme", "anna").get("/me/events")
    await graph.as_user("acme", "anna").post("/me/events", {})
    assert [seen.method for seen in server.seen] == ["GET", "GET", "POST"]
    assert naps(graph)[1] >= 3


async def test_who_shares_no_limit_does_not_wait(server: ScriptedServer, graph: Graph) -> None:
    server.script.append(too_many("7"))
    await graph.as_user("acme", "anna").get("/me/events")
    await graph.as_user("acme", "bob").get("/me/events")
    await graph.as_user("globex", "anna").get("/me/events")
    await graph.as_app("acme").get("/users/1/events")
    await graph.as_user("acme", "anna").get("/me/onlineMeetings/1")
    await graph.as_user("acme", "anna").get("/me/drive/root")
    assert len(naps(graph)) == 1


async def test_a_wait_beyond_patience_is_told_without_asking(server: ScriptedServer, graph: Graph) -> None:
    server.script.append(too_many("300"))
    for count in (1, 1):
        with pytest.raises(GraphRetry) as error:
            await graph.as_user("acme", "anna").post("/me/events", {})
        assert len(server.seen) == count
        assert 299 <= error.value.after_s <= 300
        assert not error.value.maybe_done
    later(graph, 301)
    await graph.as_user("acme", "anna").post("/me/events", {})
    assert naps(graph) == []


async def test_a_refusal_that_names_no_time_teaches_nothing(server: ScriptedServer, graph: Graph) -> None:
    server.script.append(Reply(429, json={}))
    await graph.as_user("acme", "anna").get("/me/events")
    await graph.as_user("acme", "anna").get("/me/events")
    assert len(naps(graph)) == 1


@pytest.mark.parametrize(("path", "waits"), [("/drives/1/items/2", True), ("/me/onlineMeetings/1", False)])
async def test_a_503_is_for_all_at_sharepoint_and_for_the_same_read_elsewhere(
    server: ScriptedServer, graph: Graph, path: str, waits: bool
) -> None:
    server.script.append(Reply(503, headers={"retry-after": "4"}))
    await graph.as_user("acme", "anna").get(path)
    await graph.as_user("acme", "anna").get(path + "/x")
    await graph.as_user("acme", "anna").get(path, {"$top": "1"})
    assert len(naps(graph)) == (3 if waits else 1)
    await graph.as_user("acme", "anna").get(path)
    assert len(naps(graph)) == (4 if waits else 2)


async def test_an_item_of_a_batch_teaches_as_well(server: ScriptedServer, graph: Graph) -> None:
    item = {"id": "0", "status": "429", "headers": {"retry-after": "4"}, "body": None}
    server.script.append(Reply(json={"responses": [item]}))
    server.script.append(Reply(json={"responses": [{"id": "0", "status": 201, "body": {}}]}))
    [answer] = await graph.as_user("acme", "anna").batch([BatchRequest("POST", "/me/contacts", {})])
    assert answer.status == 201
    assert naps(graph) == [4.0], "the batch itself waits once"
    await graph.as_user("acme", "anna").get("/me/contacts")
    assert len(naps(graph)) == 2


@pytest.mark.parametrize(
    ("left", "waits"), [("120", {"backfill"}), ("240", {"backfill"}), ("241", set()), ("60", {"backfill", "fresh"})]
)
@pytest.mark.parametrize("status", [200, 404])
async def test_sharepoints_early_signal_slows_backfill_not_interactive(
    server: ScriptedServer, graph: Graph, left: str, waits: set[str], status: int
) -> None:
    server.script.append(Reply(status, json={}, headers=NEAR | {"ratelimit-remaining": left}))
    with suppress(GraphNotFound):
        await graph.as_user("acme", "anna").get("/sites/1")
    priorities: tuple[Priority, ...] = ("interactive", "fresh", "backfill")
    for priority in priorities:
        before = len(naps(graph))
        await graph.as_app("acme", priority).get("/drives/1/items/2")
        assert (len(naps(graph)) > before) is (priority in waits)
        await graph.as_app("globex", priority).get("/drives/1/items/2")
    assert all(5 <= nap <= 5.6 for nap in naps(graph))


def test_what_is_learned_is_bounded_and_old_things_go_first() -> None:
    clock = Clock()
    limits = Limits(None, 0, clock)
    for number in range(KEPT_AT_MOST + 500):
        limits.learn(Scope("acme", str(number), "outlook"), 429, {"retry-after": "60"})
        clock.now += 0.01
    assert len(limits._until) <= KEPT_AT_MOST
    assert limits.due(Scope("acme", str(KEPT_AT_MOST + 499), "outlook")) > clock.now


def test_a_very_long_wait_is_probed_after_a_while() -> None:
    clock = Clock()
    limits = Limits(None, 0, clock)
    assert limits.learn(Scope("acme", "", "files"), 429, {"retry-after": "86400"}) == clock.now + 86_400
    assert limits.due(Scope("acme", "", "files")) == clock.now + BELIEVED_S
