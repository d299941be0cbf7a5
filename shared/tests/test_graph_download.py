"""Downloads, deltas and batches."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.graph import BatchRequest, Graph, GraphCaller
from shared.graph.download import CHUNK
from shared.graph.errors import GraphDeltaGone, GraphGiveUp, GraphNotFound, GraphPastEnd, GraphRetry
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server, whole

PATH = "/me/onlineMeetings/1/recordings/2/content"
FILM = bytes(range(256)) * 5000


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def storage() -> AsyncIterator[ScriptedServer]:
    """Another host, where pre-authenticated addresses lead."""
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(server: ScriptedServer, storage: ScriptedServer, made_keys: PlatformKeys) -> AsyncIterator[Graph]:
    host = storage.url.removeprefix("http://")
    made = Graph(client_settings(made_keys, graph_base_url=f"{server.url}/v1.0", graph_hosts=[host]), CountedTokens())
    made.sleep = Naps()
    yield made
    await made.aclose()


@pytest.fixture
def anna(graph: Graph) -> GraphCaller:
    return graph.as_user("acme", "anna")


def naps(graph: Graph) -> list[float]:
    assert isinstance(graph.sleep, Naps)
    return graph.sleep.taken


def part(start: int, end: int, total: str, body: bytes, **more: Any) -> Reply:
    return Reply(206, body=body, headers={"content-range": f"bytes {start}-{end}/{total}"}, **more)


def redirect(to: str) -> Reply:
    return Reply(302, headers={"location": to})


async def test_a_file_comes_whole_in_chunks_of_bounded_size(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(body=FILM, headers={"content-type": "video/mp4"})
    async with anna.download(PATH) as download:
        assert (download.status, download.total) == (200, len(FILM))
        chunks = [chunk async for chunk in download.chunks]
    assert b"".join(chunks) == FILM
    assert max(map(len, chunks)) < 2 * CHUNK
    assert server.seen[0].headers["accept-encoding"] == "identity"
    assert "range" not in server.seen[0].headers


async def test_a_download_goes_on_where_it_stopped(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = part(100, 999, "1000", b"x" * 900)
    async with anna.download(PATH, 100) as download:
        assert (download.status, download.total) == (206, 1000)
        assert len(b"".join([chunk async for chunk in download.chunks])) == 900
    assert server.seen[0].headers["range"] == "bytes=100-"


async def test_a_server_that_ignores_the_range_says_so_by_its_status(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(body=b"x" * 1000)
    async with anna.download(PATH, 100) as download:
        assert (download.status, download.total) == (200, 1000)


@pytest.mark.parametrize("header", ["bytes 0-9/10", "bytes 6-9/10", "bytes */10", "", "nonsense"])
async def test_another_range_than_the_one_asked_for_is_not_taken(
    server: ScriptedServer, anna: GraphCaller, header: str
) -> None:
    server.otherwise = Reply(206, body=b"x" * 5, headers={"content-range": header})
    with pytest.raises(GraphRetry, match="another range"):
        await whole(anna, PATH, 5)


async def test_an_unknown_total_is_none(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = part(5, 9, "*", b"x" * 5)
    async with anna.download(PATH, 5) as download:
        assert download.total is None


async def test_a_body_cut_off_is_said_after_the_bytes_that_came(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(body=FILM, cut=CHUNK + 10)
    got = bytearray()

    async def take() -> None:
        async with anna.download(PATH) as download:
            async for chunk in download.chunks:
                got.extend(chunk)

    with pytest.raises(GraphRetry, match="cut off"):
        await take()
    assert got == FILM[: len(got)]
    assert len(got) >= CHUNK


async def test_fewer_bytes_than_the_range_promised_are_not_the_end(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = part(5, 99, "100", b"x" * 50)
    with pytest.raises(GraphRetry) as error:
        await whole(anna, PATH, 5)
    assert error.value.code == "truncated"


async def test_a_start_at_the_end_is_told_with_the_total(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(416, headers={"content-range": "bytes */1000"})
    with pytest.raises(GraphPastEnd) as error:
        await whole(anna, PATH, 1000)
    assert (error.value.total, error.value.status) == (1000, 416)


async def test_a_redirect_is_followed_with_the_range_and_without_our_token(
    server: ScriptedServer, storage: ScriptedServer, anna: GraphCaller
) -> None:
    server.otherwise = redirect(f"{storage.url}/a?sig=hush")
    storage.script.append(redirect("b"))
    storage.otherwise = part(3, 9, "10", b"x" * 7)
    assert await whole(anna, PATH, 3, accept="video/mp4") == b"x" * 7
    assert [seen.target for seen in storage.seen] == ["/a?sig=hush", "/b"]
    for seen in storage.seen:
        assert seen.headers["range"] == "bytes=3-"
        assert seen.headers["accept"] == "video/mp4"
        assert "authorization" not in seen.headers
        assert "secret" not in str(seen.headers)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_expired_address_is_tried_again_with_a_new_one(
    server: ScriptedServer, storage: ScriptedServer, anna: GraphCaller, status: int
) -> None:
    server.otherwise = redirect(f"{storage.url}/a")
    storage.otherwise = Reply(status)
    with pytest.raises(GraphRetry) as error:
        await whole(anna, PATH)
    assert error.value.code == "link_expired"


async def test_a_throttling_host_says_how_long(
    server: ScriptedServer, storage: ScriptedServer, anna: GraphCaller
) -> None:
    server.otherwise = redirect(f"{storage.url}/a")
    storage.otherwise = Reply(503, headers={"retry-after": "40"})
    with pytest.raises(GraphRetry) as error:
        await whole(anna, PATH)
    assert error.value.after_s == 40


async def test_redirects_end(server: ScriptedServer, storage: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = redirect(f"{storage.url}/a")
    storage.otherwise = redirect("/a")
    with pytest.raises(GraphGiveUp, match="too often"):
        await whole(anna, PATH)
    assert len(storage.seen) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "2130706433"])
async def test_a_redirect_into_our_own_network_is_refused(server: ScriptedServer, anna: GraphCaller, host: str) -> None:
    async with scripted_server() as inside:
        server.otherwise = redirect(f"http://{host}:{inside.port}/latest/meta-data")
        with pytest.raises((GraphGiveUp, GraphRetry)):
            await whole(anna, PATH)
        assert inside.seen == []


async def test_a_throttled_download_is_tried_again(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(Reply(429, headers={"retry-after": "1"}))
    server.otherwise = Reply(body=b"x")
    assert await whole(anna, PATH) == b"x"


async def test_stopping_early_leaves_no_connection(server: ScriptedServer, anna: GraphCaller, graph: Graph) -> None:
    server.otherwise = Reply(body=FILM * 20)
    async with anna.download(PATH) as download:
        async for _ in download.chunks:
            break
    pool = graph.http._transport._pool  # type: ignore[attr-defined]
    assert pool.connections == []
    await asyncio.wait_for(server.until_in_flight(0), 5)


# Delta ---------------------------------------------------------------------------------------------------------------


def page(server: ScriptedServer, *ids: int, following: str = "", last: str = "") -> Reply:
    links = {"@odata.nextLink": following, "@odata.deltaLink": last}
    said = {name: f"{server.url}/v1.0{link}" for name, link in links.items() if link}
    return Reply(json={"value": [{"id": item} for item in ids]} | said)


async def changes(caller: GraphCaller, link: str | None = None) -> list[tuple[list[int], bool, bool, bool]]:
    found = caller.delta("/me/contacts/delta", {"$select": "id"}, link=link, page_size=2)
    return [([item["id"] for item in got.items], got.full, got.first, bool(got.delta_link)) async for got in found]


async def test_a_first_pass_lists_everything_and_ends_with_a_link(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(page(server, 1, following="/d?$skiptoken=1"))
    server.script.append(page(server, following="/d?$skiptoken=2"))
    server.script.append(page(server, 2, last="/d?$deltatoken=1"))
    assert await changes(anna) == [([1], True, True, False), ([], True, False, False), ([2], True, False, True)]
    assert [seen.target for seen in server.seen][1:] == ["/v1.0/d?$skiptoken=1", "/v1.0/d?$skiptoken=2"]
    assert "odata.maxpagesize=2" in server.seen[2].headers["prefer"]


async def test_a_later_pass_lists_changes_only(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = page(server, 3, last="/d?$deltatoken=2")
    assert await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1") == [([3], False, True, True)]


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("where", ["/d?$deltatoken=", ""])
async def test_a_lost_state_is_healed_by_listing_everything_again(
    server: ScriptedServer, anna: GraphCaller, status: int, where: str
) -> None:
    headers = {"location": f"{server.url}/v1.0{where}"} if where else {}
    server.script.append(Reply(status, json={"error": {"code": "SyncStateNotFound"}}, headers=headers))
    server.script.append(page(server, 1, last="/d?$deltatoken=2"))
    assert await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1") == [([1], True, True, True)]
    assert server.seen[1].target == f"/v1.0{where or '/me/contacts/delta?%24select=id'}"


async def test_a_state_lost_on_the_way_begins_a_new_full_pass(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(page(server, 1, following="/d?$skiptoken=1"))
    server.script.append(Reply(410, json={}))
    server.script.append(page(server, 1, last="/d?$deltatoken=2"))
    assert await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1") == [
        ([1], False, True, False),
        ([1], True, True, True),
    ]


@pytest.mark.parametrize("where", ["/d?$deltatoken=", ""])
async def test_a_state_lost_again_is_told(server: ScriptedServer, anna: GraphCaller, where: str) -> None:
    headers = {"location": f"{server.url}/v1.0{where}"} if where else {}
    server.script.extend([Reply(410, json={"error": {"code": "resyncRequired"}}, headers=headers)] * 2)
    server.otherwise = page(server, 1, last="/d?$deltatoken=2")
    with pytest.raises(GraphDeltaGone):
        await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1")
    assert len(server.seen) == 2


async def test_a_folder_that_is_gone_is_not_a_lost_state(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(404, json={"error": {"code": "ErrorItemNotFound"}})
    with pytest.raises(GraphNotFound):
        await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1")
    assert len(server.seen) == 1


@pytest.mark.parametrize("kind", ["@odata.nextLink", "@odata.deltaLink", "location"])
async def test_a_delta_never_leaves_for_another_host(server: ScriptedServer, anna: GraphCaller, kind: str) -> None:
    async with scripted_server() as stranger:
        if kind == "location":
            server.otherwise = Reply(410, json={}, headers={"location": f"{stranger.url}/x"})
        else:
            server.otherwise = Reply(json={"value": [], kind: f"{stranger.url}/x"})
        with pytest.raises(GraphGiveUp) as error:
            await changes(anna, f"{server.url}/v1.0/d?$deltatoken=1")
        assert error.value.code == "foreign_link"
        assert stranger.seen == []


# Batch ---------------------------------------------------------------------------------------------------------------


def item(number: int | str, status: int = 200, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"id": str(number), "status": status, "headers": named, "body": {"n": number}}


def gets(count: int) -> list[BatchRequest]:
    return [BatchRequest("GET", f"/me/contacts/{number}") for number in range(count)]


async def test_a_batch_is_split_by_twenty_and_answered_in_order(server: ScriptedServer, anna: GraphCaller) -> None:
    for count in (20, 20, 5):
        server.script.append(Reply(json={"responses": [item(n) for n in reversed(range(count))]}))
    answers = await anna.batch(gets(45))
    assert [answer.body["n"] for answer in answers] == [*range(20), *range(20), *range(5)]
    assert [len(seen.json()["requests"]) for seen in server.seen] == [20, 20, 5]
    first = server.seen[1].json()["requests"][0]
    assert (first["method"], first["url"]) == ("GET", "/me/contacts/20")
    assert 'IdType="ImmutableId"' in first["headers"]["Prefer"]


async def test_only_throttled_items_are_repeated_after_their_own_wait(
    server: ScriptedServer, anna: GraphCaller, graph: Graph
) -> None:
    first = [item(0), item(1, 429, Retry_After="3"), item(2, 404), item(3, 429, Retry_After="7"), item(4, 503)]
    server.script.append(Reply(json={"responses": first}))
    server.script.append(Reply(json={"responses": [item(3), item(1)]}))
    requests = [BatchRequest("POST", f"/me/contacts/{number}", {"a": number}) for number in range(5)]
    answers = await anna.batch(requests)
    assert [made["id"] for made in server.seen[1].json()["requests"]] == ["1", "3"]
    assert naps(graph) == [7.0]
    assert [answer.status for answer in answers] == [200, 200, 404, 200, 503]
    assert isinstance(answers[2].error, GraphNotFound)
    assert isinstance(answers[4].error, GraphRetry)


async def test_a_batch_of_reads_repeats_passing_faults_as_well(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(Reply(json={"responses": [item(0, 503), item(1)]}))
    server.script.append(Reply(503))
    server.script.append(Reply(json={"responses": [item(0)]}))
    assert [answer.error for answer in await anna.batch(gets(2))] == [None, None]


async def test_a_batch_of_writes_that_may_be_done_is_not_repeated(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(503)
    with pytest.raises(GraphRetry) as error:
        await anna.batch([BatchRequest("POST", "/me/contacts", {})])
    assert error.value.maybe_done
    assert len(server.seen) == 1


async def test_items_throttled_for_long_stay_with_their_wait(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(json={"responses": [item(0, 429, Retry_After="600")]})
    [answer] = await anna.batch(gets(1))
    assert isinstance(answer.error, GraphRetry)
    assert answer.error.after_s == 600
    assert len(server.seen) == 1


@pytest.mark.parametrize("said", [{}, {"responses": None}, {"responses": ["x"]}, {"responses": [{"id": "seven"}]}])
async def test_items_left_out_are_retries(server: ScriptedServer, anna: GraphCaller, said: dict[str, Any]) -> None:
    server.otherwise = Reply(json=said)
    [answer] = await anna.batch([BatchRequest("POST", "/me/contacts", {})])
    assert isinstance(answer.error, GraphRetry)
    assert answer.error.maybe_done
    assert len(server.seen) == 1


def test_a_batch_takes_relative_paths_only() -> None:
    with pytest.raises(ValueError, match="relative path"):
        BatchRequest("GET", "https://evil.example/")
