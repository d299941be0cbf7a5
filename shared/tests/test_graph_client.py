"""Calls to Graph: what is tried again, what is not, and what is said about it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.graph import Graph, GraphCaller
from shared.graph.errors import (
    GraphChanged,
    GraphConflict,
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphNotFound,
    GraphReconnect,
    GraphRetry,
    GraphTellAdmin,
    GraphTooLarge,
)
from shared.graph.transport import PATIENCE_S, TRIES
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server, whole

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(server: ScriptedServer, made_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(made_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    made.sleep = Naps()
    yield made
    await made.aclose()


@pytest.fixture
def anna(graph: Graph) -> GraphCaller:
    return graph.as_user("acme", "anna")


def naps(graph: Graph) -> list[float]:
    assert isinstance(graph.sleep, Naps)
    return graph.sleep.taken


def tokens(graph: Graph) -> CountedTokens:
    assert isinstance(graph.tokens, CountedTokens)
    return graph.tokens


def refused(status: int, code: str = "", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json={"error": {"code": code, "message": "No."}}, headers=named)


async def test_a_call_carries_the_token_the_ids_and_immutable_ids(server: ScriptedServer, anna: GraphCaller) -> None:
    await anna.get("/me/contacts", {"$top": "5"}, page_size=50)
    [seen] = server.seen
    assert seen.target == "/v1.0/me/contacts?%24top=5"
    assert seen.headers["authorization"] == "Bearer secret-acme-anna-1"
    assert len(seen.headers["client-request-id"]) == 36
    assert seen.headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=50'
    assert seen.headers["user-agent"].startswith("ISV|")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 509])
async def test_a_read_is_tried_again_after(server: ScriptedServer, anna: GraphCaller, status: int) -> None:
    server.script.append(refused(status))
    server.otherwise = Reply(json={"id": "1"})
    assert await anna.get("/me") == {"id": "1"}
    assert len(server.seen) == 2


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 509])
@pytest.mark.parametrize("method", ["post", "patch", "delete"])
async def test_a_write_that_graph_may_have_done_is_not_repeated(
    server: ScriptedServer, anna: GraphCaller, method: str, status: int
) -> None:
    server.otherwise = refused(status, retry_after="1")
    with pytest.raises(GraphRetry) as error:
        await write(anna, method)
    assert len(server.seen) == 1
    assert error.value.maybe_done


async def write(caller: GraphCaller, method: str) -> dict[str, Any]:
    return await (caller.delete("/x") if method == "delete" else getattr(caller, method)("/x", {"a": 1}))


async def test_a_throttled_write_is_repeated(server: ScriptedServer, anna: GraphCaller, graph: Graph) -> None:
    server.script.append(refused(429, retry_after="3"))
    await anna.post("/me/sendMail", {})
    assert len(server.seen) == 2
    assert 3 <= naps(graph)[0] <= 3.5


@pytest.mark.parametrize("method", ["get", "post"])
async def test_a_body_that_is_cut_is_asked_for_again_by_a_read_only(
    server: ScriptedServer, anna: GraphCaller, method: str
) -> None:
    server.script.append(Reply(json={"id": "a long enough answer"}, cut=3))
    server.otherwise = Reply(json={"id": "1"})
    if method == "get":
        assert await anna.get("/me") == {"id": "1"}
    else:
        with pytest.raises(GraphRetry) as error:
            await anna.post("/me/events", {})
        assert error.value.maybe_done
        assert len(server.seen) == 1


async def test_a_write_is_tried_again_when_no_connection_was_made(made_keys: PlatformKeys) -> None:
    graph = Graph(client_settings(made_keys, graph_base_url="http://127.0.0.1:9/v1.0"), CountedTokens())
    graph.sleep = Naps()
    with pytest.raises(GraphRetry) as error:
        await graph.as_user("acme", "anna").post("/me/events", {})
    assert len(naps(graph)) == TRIES - 1
    assert not error.value.maybe_done
    await graph.aclose()


async def test_a_retry_after_that_is_a_date_is_honoured(
    server: ScriptedServer, anna: GraphCaller, graph: Graph
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=10)
    server.script.append(refused(429, retry_after=format_datetime(moment, usegmt=True)))
    await anna.get("/me")
    assert 7 <= naps(graph)[0] <= 10.6


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-5", "1e3", "Wed, 99 Foo 2026"])
async def test_without_a_readable_retry_after_waits_grow_and_differ(
    server: ScriptedServer, anna: GraphCaller, graph: Graph, value: str
) -> None:
    server.otherwise = refused(503, retry_after=value)
    with pytest.raises(GraphRetry):
        await anna.get("/me")
    assert len(server.seen) == TRIES
    for nap, (least, most) in zip(naps(graph), [(0.5, 1.1), (1, 2.2), (2, 4.4)], strict=True):
        assert least <= nap <= most
    assert len({nap % 0.5 for nap in naps(graph)}) == 3


async def test_the_greater_of_retry_after_and_sharepoint_s_reset_counts(
    server: ScriptedServer, anna: GraphCaller, graph: Graph
) -> None:
    server.script.append(refused(429, retry_after="2", ratelimit_reset="9"))
    await anna.get("/me/drive")
    assert naps(graph)[0] >= 9


@pytest.mark.parametrize("said", ["300", "99999999999"])
async def test_a_long_wait_is_left_to_the_job(
    server: ScriptedServer, anna: GraphCaller, graph: Graph, said: str
) -> None:
    server.otherwise = refused(429, retry_after=said)
    with pytest.raises(GraphRetry) as error:
        await anna.get("/me")
    assert error.value.after_s == min(float(said), 86_400)
    assert naps(graph) == []


async def test_patience_is_for_the_whole_call(server: ScriptedServer, anna: GraphCaller, graph: Graph) -> None:
    server.otherwise = refused(429, retry_after="9")
    with pytest.raises(GraphRetry):
        await anna.get("/me")
    assert len(naps(graph)) == 2
    assert 2 * 9 <= PATIENCE_S < 3 * 9


async def test_a_claims_challenge_is_answered_once_with_its_json(
    server: ScriptedServer, anna: GraphCaller, graph: Graph
) -> None:
    coded = base64.b64encode(CLAIMS.encode()).decode().rstrip("=")
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{coded}"'
    server.script.append(Reply(401, json={}, headers={"www-authenticate": challenge}))
    server.script.append(refused(429, retry_after="1"))
    await anna.post("/me/events", {})
    assert tokens(graph).claims == [CLAIMS]
    assert [seen.headers["authorization"][-1] for seen in server.seen] == ["1", "2", "2"]


async def test_a_refused_token_is_renewed_once_and_never_twice(
    server: ScriptedServer, anna: GraphCaller, graph: Graph
) -> None:
    server.otherwise = refused(401, "InvalidAuthenticationToken")
    with pytest.raises(GraphReconnect):
        await anna.get("/me")
    assert len(server.seen) == 2
    assert tokens(graph).forgotten == 1


async def test_a_download_s_refused_token_is_renewed_too(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(refused(401))
    server.otherwise = Reply(body=b"WEBVTT")
    assert await whole(anna, "/me/onlineMeetings/1/transcripts/2/content") == b"WEBVTT"


REFUSALS = [
    (400, GraphGiveUp),
    (402, GraphTellAdmin),
    (403, GraphTellAdmin),
    (404, GraphNotFound),
    (409, GraphConflict),
    (410, GraphNotFound),
    (412, GraphChanged),
    (413, GraphTooLarge),
    (423, GraphRetry),
    (501, GraphGiveUp),
    (507, GraphFull),
    (302, GraphGiveUp),
]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_is_told_by_what_to_do_next(
    server: ScriptedServer, anna: GraphCaller, status: int, kind: type[GraphError]
) -> None:
    inner = {"code": "inner"}
    server.otherwise = Reply(status, json={"error": {"code": "outer", "message": "No.", "innererror": inner}})
    with pytest.raises(kind) as error:
        await anna.get("/me")
    assert type(error.value) is kind
    said = error.value
    assert (said.status, said.code, said.inner_code, said.request_id) == (status, "outer", "inner", "graph-request-1")
    assert len(server.seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"error":{"code":null}}', b"\xff"])
async def test_an_unreadable_refusal_is_a_refusal_all_the_same(
    server: ScriptedServer, anna: GraphCaller, body: bytes
) -> None:
    server.otherwise = Reply(403, body=body)
    with pytest.raises(GraphTellAdmin, match="answered 403"):
        await anna.get("/me")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"x"', b"{"])
async def test_an_unreadable_success_is_never_a_crash(server: ScriptedServer, anna: GraphCaller, body: bytes) -> None:
    server.otherwise = Reply(200, body=body)
    with pytest.raises(GraphRetry, match="cannot be read"):
        await anna.get("/me")


async def test_nothing_is_held_while_waiting(server: ScriptedServer, anna: GraphCaller, graph: Graph) -> None:
    held: list[int] = []

    async def nap(seconds: float) -> None:
        held.append(len(graph.limits.turns.lines))
        held.append(server.in_flight)

    graph.sleep = nap
    server.script.append(refused(503))
    await anna.get("/me/events")
    assert held == [0, 0]


async def test_the_token_stays_home_when_a_page_links_elsewhere(server: ScriptedServer, anna: GraphCaller) -> None:
    async with scripted_server() as stranger:
        server.otherwise = Reply(json={"value": [{"id": "1"}], "@odata.nextLink": f"{stranger.url}/v1.0/me/x"})
        with pytest.raises(GraphGiveUp) as error:
            assert [item async for item in anna.pages("/me/contacts")]
        assert error.value.code == "foreign_link"
        assert stranger.seen == []


async def test_pages_are_followed_to_the_end(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(Reply(json={"value": [{"id": 1}], "@odata.nextLink": f"{server.url}/v1.0/me/x?$skip=1"}))
    server.script.append(Reply(json={"value": [], "@odata.nextLink": f"{server.url}/v1.0/me/x?$skip=2"}))
    server.script.append(Reply(json={"value": [{"id": 2}]}))
    assert [item["id"] async for item in anna.pages("/me/x", {"$top": "1"})] == [1, 2]
    assert [seen.target for seen in server.seen] == ["/v1.0/me/x?%24top=1", "/v1.0/me/x?$skip=1", "/v1.0/me/x?$skip=2"]


async def test_a_page_that_names_itself_does_not_go_round_for_ever(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(json={"value": [], "@odata.nextLink": f"{server.url}/v1.0/me/x?$skip=1"})
    with pytest.raises(GraphGiveUp):
        assert [item async for item in anna.pages("/me/x")] == []
    assert len(server.seen) == 2


async def test_four_requests_of_one_mailbox_run_at_a_time_and_others_do_not_wait(
    server: ScriptedServer, graph: Graph
) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold)
    calls = [graph.as_user("acme", "anna").get("/me/events") for _ in range(9)]
    calls += [graph.as_user("acme", "bob").get("/me/messages"), graph.as_app("acme").get("/users/1/events")]
    running = asyncio.gather(*calls)
    await asyncio.wait_for(server.until_in_flight(4 + 2), 5)
    hold.set()
    await running
    assert server.most_in_flight == 6
    assert graph.limits.turns.lines == {}


async def test_what_is_not_outlook_s_waits_for_no_mailbox(server: ScriptedServer, anna: GraphCaller) -> None:
    hold = asyncio.Event()
    server.otherwise = Reply(json={}, hold=hold)
    running = asyncio.gather(*(anna.get("/me/onlineMeetings/1/recordings") for _ in range(7)))
    await asyncio.wait_for(server.until_in_flight(7), 5)
    hold.set()
    await running


async def test_every_call_is_a_span_with_its_answer(server: ScriptedServer, anna: GraphCaller, graph: Graph) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    graph.tracer = provider.get_tracer("test")
    server.script.extend([refused(503), Reply(json={}), refused(404, "ErrorItemNotFound")])
    await anna.get("/me/events/AAMkAG")
    with suppress(GraphNotFound):
        await anna.get("/me/events/AAMkAG")
    good, bad = exporter.get_finished_spans()
    assert good.name == bad.name == "graph GET /me/events/{id}"
    assert good.attributes is not None
    assert good.attributes["http.response.status_code"] == 200
    assert good.attributes["http.request.resend_count"] == 1
    assert good.attributes["graph.graph_request_id"] == "graph-request-1"
    assert good.status.is_unset
    assert (bad.status.is_ok, bad.status.description) == (False, "GraphNotFound")
    assert "AAMkAG" not in good.to_json() + bad.to_json()


async def test_a_refusal_is_logged_with_both_ids_and_without_secrets(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = refused(403, "ErrorAccessDenied")
    with structlog.testing.capture_logs() as logs, suppress(GraphTellAdmin):
        await anna.get(f"{server.url}/v1.0/me/messages/AAMk?$skiptoken=hush")
    [said] = logs
    assert said["graph_request_id"] == "graph-request-1"
    assert said["client_request_id"] == server.seen[0].headers["client-request-id"]
    assert (said["status"], said["graph_code"]) == (403, "ErrorAccessDenied")
    assert not any(secret in str(said) for secret in ("hush", "secret-", "AAMk", "No."))


async def test_a_server_that_never_ends_its_answer_does_not_keep_the_slot(
    server: ScriptedServer, anna: GraphCaller, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.graph.transport.ANSWER_S", 0.05)
    server.otherwise = Reply(json={}, hold=asyncio.Event())
    with pytest.raises(GraphRetry, match="TimeoutError"):
        await anna.post("/me/events", {})
    assert graph.limits.turns.lines == {}


def test_the_client_follows_no_redirect_by_itself(graph: Graph) -> None:
    assert graph.http.follow_redirects is False
    assert isinstance(graph.http, httpx.AsyncClient)
