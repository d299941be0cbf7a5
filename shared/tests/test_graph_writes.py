"""Writes with and without If-Match, and what the caller learns to do next from a refusal, however it is spelt."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.graph import BatchRequest, Graph, GraphCaller
from shared.graph.caller import CONTENT_BYTES
from shared.graph.errors import (
    GraphChanged,
    GraphConflict,
    GraphDeltaGone,
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphNotFound,
    GraphPastEnd,
    GraphReconnect,
    GraphRetry,
    GraphTellAdmin,
    GraphTooLarge,
)
from shared.graph.refusals import LOCKED_S, refusal
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(server: ScriptedServer, platform_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    made.sleep = Naps()
    yield made
    await made.aclose()


@pytest.fixture
def anna(graph: Graph) -> GraphCaller:
    return graph.as_user("acme", "anna")


async def test_json_and_small_files_are_put(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(201, json={"id": "1"})
    assert await anna.put("/me/photo", {"a": 1}) == {"id": "1"}
    await anna.put("/me/drive/root:/a.txt:/content", content=b"\x00\xff")
    first, second = server.seen
    assert (first.method, first.json(), first.headers["content-type"]) == ("PUT", {"a": 1}, "application/json")
    assert (second.body, second.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")


async def test_a_large_content_is_refused_before_it_is_sent(server: ScriptedServer, anna: GraphCaller) -> None:
    with pytest.raises(GraphTooLarge, match="upload session"):
        await anna.put("/me/drive/root:/a:/content", content=bytes(CONTENT_BYTES + 1))
    assert server.seen == []


async def test_a_throttled_content_is_put_again_whole(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(Reply(429, headers={"retry-after": "1"}))
    await anna.put("/me/drive/root:/a:/content", content=b"abc")
    assert [seen.body for seen in server.seen] == [b"abc", b"abc"]


async def test_a_change_since_it_was_read_is_told_and_never_repeated(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(412, json={"error": {"code": "ErrorIrresolvableConflict"}})
    with pytest.raises(GraphChanged) as error:
        await anna.patch("/me/events/1", {"a": 1}, etag='W/"1"')
    assert [seen.headers["if-match"] for seen in server.seen] == ['W/"1"']
    assert error.value.code == "ErrorIrresolvableConflict"


async def test_without_an_etag_nothing_is_asked_to_match(server: ScriptedServer, anna: GraphCaller) -> None:
    await anna.patch("/x", {})
    await anna.put("/x", {})
    await anna.delete("/x")
    assert not any("if-match" in seen.headers for seen in server.seen)


@pytest.mark.parametrize("method", ["get", "post", "put"])
async def test_a_locked_file_is_for_later_and_not_asked_for_at_once(
    server: ScriptedServer, anna: GraphCaller, method: str
) -> None:
    server.otherwise = Reply(423, json={"error": {"code": "resourceLocked"}}, headers={"retry-after": "1"})
    with pytest.raises(GraphRetry) as error:
        await getattr(anna, method)("/me/drive/items/1")
    assert len(server.seen) == 1
    assert error.value.after_s == LOCKED_S
    assert not error.value.maybe_done


def said(code: Any, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "No."} | more}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, said("ItemAlreadyExists"), GraphConflict),
        (409, said("nameAlreadyExists"), GraphConflict),
        (409, said("conflict", innererror={"code": "nameAlreadyExists"}), GraphConflict),
        (400, said("invalidRequest", innerError={"code": "nameAlreadyExists"}), GraphConflict),
        (403, said("quotaLimitReached"), GraphFull),
        (507, None, GraphFull),
        (400, said("ErrorQuotaExceeded"), GraphFull),
        (413, b"", GraphTooLarge),
        (400, said("ErrorMessageSizeExceeded"), GraphTooLarge),
        (404, said("MailboxNotEnabledForRESTAPI"), GraphTellAdmin),
        (400, said("MAILBOXNOTENABLEDFORRESTAPI"), GraphTellAdmin),
        (402, None, GraphTellAdmin),
        (0, said("ErrorAccessDenied"), GraphTellAdmin),
        (0, said("InvalidAuthenticationToken"), GraphReconnect),
        (0, said("itemNotFound"), GraphNotFound),
        (0, said("invalidRange"), GraphPastEnd),
        (0, said("syncStateNotFound"), GraphDeltaGone),
        (410, said("resyncChangesApplyDifferences"), GraphDeltaGone),
        (0, said("serviceNotAvailable"), GraphRetry),
        (0, said(429), GraphRetry),
        (0, said("404"), GraphNotFound),
        (0, said(""), GraphGiveUp),
        (501, said("NotImplemented"), GraphGiveUp),
        (599, None, GraphRetry),
    ],
)
def test_status_and_codes_say_what_to_do_next(status: int, body: Any, kind: type[GraphError]) -> None:
    assert type(refusal(status, {}, body)) is kind


@pytest.mark.parametrize("code", ["TooManyRequests", "activityLimitReached", "ApplicationThrottled"])
@pytest.mark.parametrize("status", [0, 400, 429])
def test_a_throttled_write_was_surely_not_done(status: int, code: str) -> None:
    error = refusal(status, {}, said(code))
    assert isinstance(error, GraphRetry)
    assert not error.maybe_done


@pytest.mark.parametrize("inner", ["innerError", "innererror", "InnerError"])
@pytest.mark.parametrize("request_id", ["request-id", "requestId", "RequestId"])
def test_odd_spellings_are_read(inner: str, request_id: str) -> None:
    deep = {inner: {"code": 42, inner: {request_id: "r-1"}}}
    error = refusal(400, {}, {"Error": {"Code": 17, "Message": {"lang": "en", "value": "No."}} | deep})
    assert (error.code, error.inner_code, error.message, error.request_id) == ("17", "42", "No.", "r-1")


@pytest.mark.parametrize(
    "body", [None, [], "x", 7, {}, {"error": None}, {"error": []}, {"error": {"code": True, "innerError": "x"}}]
)
def test_a_body_without_words_is_told_by_its_status(body: Any) -> None:
    error = refusal(404, {}, body)
    assert (type(error), error.code, error.message) == (GraphNotFound, "", "Microsoft answered 404.")


def test_words_without_an_envelope_and_as_entra_has_them_are_read() -> None:
    assert refusal(409, {}, {"code": "x", "detail": "No."}).message == "No."
    assert refusal(400, {}, {"error": "invalid_grant", "error_description": "Gone."}).code == "invalid_grant"


@pytest.mark.parametrize("value", [{"id": 1}, None, "x", [1], ["x", {}]])
async def test_a_list_that_is_none_is_an_error_and_not_empty(
    server: ScriptedServer, anna: GraphCaller, value: Any
) -> None:
    server.otherwise = Reply(json={"value": value})
    with pytest.raises(GraphRetry, match="not a list"):
        assert [item async for item in anna.pages("/me/contacts")]


@pytest.mark.parametrize("path", ["me/events", "/me/events", "/v1.0/me/events", "v1.0/me/events", "//me/events"])
async def test_relative_content_urls_lead_to_graph(server: ScriptedServer, anna: GraphCaller, path: str) -> None:
    await anna.get(path)
    assert server.seen[0].target == "/v1.0/me/events"


async def test_what_a_batch_did_is_not_lost_to_a_later_refusal(server: ScriptedServer, anna: GraphCaller) -> None:
    items = [{"id": 0, "status": "201", "body": {}}, {"id": "1", "Status": 429, "Headers": {"Retry-After": "1"}}]
    server.script.append(Reply(json={"Responses": items}))
    server.otherwise = Reply(503)
    done, throttled = await anna.batch([BatchRequest("POST", f"/me/contacts/{n}", {}) for n in range(2)])
    assert done.status == 201
    assert isinstance(throttled.error, GraphRetry)
    assert throttled.error.maybe_done
    assert len(server.seen) == 2


@pytest.mark.parametrize("status", [424, 429])
async def test_a_batch_refused_as_a_whole_is_read_item_by_item(
    server: ScriptedServer, anna: GraphCaller, status: int
) -> None:
    failed = {"id": "1", "status": status, "body": {"error": {"code": "x"}}, "headers": {"Retry-After": "3600"}}
    server.script.append(Reply(status, json={"responses": [{"id": "0", "status": 201, "body": {}}, failed]}))
    done, refused = await anna.batch([BatchRequest("POST", f"/me/contacts/{n}", {}) for n in range(2)])
    assert (done.status, done.error, refused.status) == (201, None, status)
    assert len(server.seen) == 1


async def test_a_redirect_in_a_batch_keeps_where_it_leads(server: ScriptedServer, anna: GraphCaller) -> None:
    leads = {"id": "0", "status": 302, "headers": {"Location": "https://files.example/secret-link"}}
    server.script.append(Reply(json={"responses": [leads]}))
    (answer,) = await anna.batch([BatchRequest("GET", "/me/drive/items/1/content")])
    assert (answer.status, answer.error, answer.location) == (302, None, "https://files.example/secret-link")
    assert "secret-link" not in repr(answer)


async def test_the_rest_of_a_long_batch_is_not_sent_after_a_refusal(server: ScriptedServer, anna: GraphCaller) -> None:
    server.script.append(Reply(json={"responses": [{"id": n, "status": 201, "body": {}} for n in range(20)]}))
    server.otherwise = Reply(503)
    answers = await anna.batch([BatchRequest("POST", f"/me/contacts/{n}", {}) for n in range(60)])
    assert [answer.status for answer in answers] == [201] * 20 + [503] * 20 + [0] * 20
    assert [getattr(answer.error, "maybe_done", None) for answer in answers[20::20]] == [True, False]
    assert len(server.seen) == 2
