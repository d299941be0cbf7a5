"""Every answer that Microsoft publishes is understood: refusals, batches, throttling, upload sessions, pages, links.

The samples are not in the checkout. Each is told by its kind, by what it looks like and not by its name, so
that others of the same kinds are read as well.
"""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.graph import Graph, GraphCaller, UploadSession
from shared.graph.batch import read_answers
from shared.graph.errors import (
    GraphConflict,
    GraphDeltaGone,
    GraphError,
    GraphGiveUp,
    GraphNotFound,
    GraphReconnect,
    GraphRetry,
)
from shared.graph.limits import BELIEVED_S, Limits, Scope
from shared.graph.refusals import claims_challenge, refusal
from shared.graph.upload import Standing, Uploads, read_session
from shared.graph.words import field_of
from shared.testing.fixtures import PlatformKeys
from shared.testing.samples import MISSING, everything
from shared.testing.scripted import CountedTokens, Naps, Reply, ScriptedServer, client_settings, scripted_server, whole

GRAPH = "https://graph.microsoft.com"
OF_THE_WIRE = {"content-length", "content-encoding", "transfer-encoding", "connection"}


FILES = {sample.name: sample.document for sample in everything() if sample.document}


def answer_of(sample: dict[str, Any]) -> dict[str, Any]:
    return sample.get("response") or {}


def headers_of(sample: dict[str, Any]) -> httpx.Headers:
    return httpx.Headers({name: str(value) for name, value in (answer_of(sample).get("headers") or {}).items()})


def asked(sample: dict[str, Any], *parts: str) -> bool:
    """Whether what was asked has one of these in its address."""
    url = str((sample.get("request") or {}).get("url") or "").lower()
    return any(part in url for part in parts)


def is_entra(sample: dict[str, Any]) -> bool:
    """Entra's words are ``shared.entra.client``'s business."""
    return asked(sample, "login.microsoftonline", "oauth2") or field_of(answer_of(sample).get("body"), "error_codes")


def is_refusal(sample: dict[str, Any]) -> bool:
    said = answer_of(sample)
    status, error = said.get("status"), field_of(said.get("body"), "error")
    return not is_entra(sample) and ((status or 0) >= 400 or (status is None and isinstance(error, dict)))


def is_batch(sample: dict[str, Any]) -> bool:
    return isinstance(field_of(answer_of(sample).get("body"), "responses"), list)


def is_multi_status(sample: dict[str, Any]) -> bool:
    return answer_of(sample).get("status") == 207


def is_page(sample: dict[str, Any]) -> bool:
    """A list, or a page with a way on."""
    body = answer_of(sample).get("body")
    if (answer_of(sample).get("status") or 200) >= 300:
        return False
    links = any(field_of(body, f"@odata.{name}") for name in ("nextLink", "deltaLink"))
    return isinstance(body, dict) and (links or isinstance(body.get("value"), list)) and not is_multi_status(sample)


def is_new_session(sample: dict[str, Any]) -> bool:
    return field_of(answer_of(sample).get("body"), "uploadUrl") is not None


def is_of_session(sample: dict[str, Any]) -> bool:
    """An answer of where upload sessions lead."""
    wanted = field_of(answer_of(sample).get("body"), "nextExpectedRanges") is not None
    given = sample.get("request") or {}
    ranged = "content-range" in httpx.Headers({k: str(v) for k, v in (given.get("headers") or {}).items()})
    led = asked(sample, "up.1drv.com", "attachmentsessions")
    return (wanted or ranged or led) and not is_new_session(sample) and answer_of(sample).get("status") is not None


def is_throttling(sample: dict[str, Any]) -> bool:
    headers = headers_of(sample)
    return answer_of(sample).get("status") == 429 or any(name.startswith("ratelimit") for name in headers)


def is_challenge(sample: dict[str, Any]) -> bool:
    return "www-authenticate" in headers_of(sample)


KINDS = (is_refusal, is_batch, is_multi_status, is_page, is_new_session, is_of_session, is_throttling, is_challenge)


def of_kind(kind: Any) -> Any:
    """All samples of a kind, as a test's parameters; one that is skipped where there are none."""
    found = {name: sample for name, sample in FILES.items() if kind(sample)}
    return pytest.mark.parametrize("sample", list(found.values()) or [None], ids=list(found) or ["none"])


@pytest.fixture(autouse=True)
def _there() -> None:
    if not everything():
        pytest.skip(MISSING)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def anna(server: ScriptedServer, made_keys: PlatformKeys) -> AsyncIterator[GraphCaller]:
    graph = Graph(client_settings(made_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    graph.sleep = Naps()
    yield graph.as_user("acme", "anna")
    await graph.aclose()


def reply(sample: dict[str, Any], server: ScriptedServer, status: int = 200) -> Reply:
    """The published answer, with links that lead to the test's server; a length never fits what a page shows."""
    said = answer_of(sample)
    headers = {name: value for name, value in headers_of(sample).items() if name not in OF_THE_WIRE}
    body = said.get("body")
    text = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
    return Reply(said.get("status") or status, body=text.replace(GRAPH, server.url).encode(), headers=headers)


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_samples_of_every_kind(kind: Any) -> None:
    assert any(kind(sample) for sample in FILES.values())


@of_kind(is_refusal)
def test_a_refusal_is_typed_with_its_words(sample: dict[str, Any]) -> None:
    said = answer_of(sample)
    error = refusal(said.get("status") or 0, headers_of(sample), said.get("body"))
    words = field_of(said.get("body"), "error")
    if isinstance(words, dict):
        code, message = words.get("code"), words.get("message")
        assert error.code == ("" if code is None else str(code))
        assert error.message == message or not (isinstance(message, str) and message)
        inner = field_of(words, "innerError")
        assert error.inner_code == str(field_of(inner, "code") or error.inner_code)
        told = headers_of(sample).get("request-id") or field_of(inner, "request-id")
        assert error.request_id == (told or error.request_id)
    assert error.status == (said.get("status") or 0)
    assert error.message


@of_kind(is_refusal)
async def test_a_refusal_reaches_the_caller_with_its_type(
    sample: dict[str, Any], server: ScriptedServer, anna: GraphCaller
) -> None:
    server.otherwise = reply(sample, server, status=400)
    with pytest.raises(GraphError) as error:
        await anna.post("/x", {})
    headers = headers_of(sample)
    assert type(error.value) is type(refusal(server.otherwise.status, headers, answer_of(sample).get("body")))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("ItemAlreadyExists", 400, GraphConflict), (None, 404, GraphNotFound), ("NotImplemented", 501, GraphGiveUp)],
)
def test_what_published_refusals_mean(code: str | None, status: int, kind: type[GraphError]) -> None:
    body = None if code is None else {"error": {"code": code, "message": "No."}}
    assert type(refusal(status, {}, body)) is kind


@of_kind(is_batch)
def test_every_item_of_a_batch_is_read(sample: dict[str, Any]) -> None:
    body = answer_of(sample)["body"]
    items = {int(item["id"]): item for item in body["responses"] if str(item["id"]).isdigit()}
    answers = read_answers(body, 1)
    assert sorted(answers) == sorted(items)
    for number, item in items.items():
        answer = answers[number]
        assert (answer.status, answer.body) == (int(item["status"]), item.get("body"))
        assert (answer.error is None) is (200 <= answer.status < 300)
        if answer.error is not None:
            assert answer.error.code == str(field_of(field_of(item.get("body"), "error"), "code") or "")


@of_kind(is_page)
async def test_a_page_is_read_item_by_item_and_its_links_followed(
    sample: dict[str, Any], server: ScriptedServer, anna: GraphCaller
) -> None:
    body = answer_of(sample)["body"]
    server.script.append(reply(sample, server))
    server.otherwise = Reply(json={"value": [], "@odata.deltaLink": f"{server.url}/v1.0/done"})
    value, (following, last) = body.get("value"), (field_of(body, f"@odata.{kind}Link") for kind in ("next", "delta"))
    delta = last or "delta" in str(following or "")
    absolute = [str(link) for link in (following, last) if str(link or "").startswith("http")]

    async def read() -> list[Any]:
        if delta:
            return [item async for page in anna.delta("/x/delta") for item in page.items]
        return [item async for item in anna.pages("/x")]

    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        with pytest.raises(GraphRetry, match="not a list"):
            await read()
    elif not all(link.startswith(GRAPH) for link in absolute):
        with pytest.raises(GraphGiveUp, match="foreign host"):  # a page may show "https://..."
            await read()
    else:
        assert await read() == json.loads(json.dumps(value).replace(GRAPH, server.url))
        assert len(server.seen) == 1 + bool(following and not last)


@of_kind(is_new_session)
def test_a_new_upload_session_is_read(sample: dict[str, Any]) -> None:
    body = answer_of(sample)["body"]
    assert read_session(body).url == field_of(body, "uploadUrl")


@of_kind(is_of_session)
async def test_an_answer_of_an_upload_session_says_where_it_stands(
    sample: dict[str, Any], server: ScriptedServer, anna: GraphCaller
) -> None:
    given, said = sample.get("request") or {}, answer_of(sample)
    server.otherwise = reply(sample, server)
    session = UploadSession(f"{server.url}/up")
    uploads = Uploads(anna._graph.http, anna._graph.links)
    ranged = httpx.Headers({k: str(v) for k, v in (given.get("headers") or {}).items()}).get("content-range")
    wanted = field_of(said.get("body"), "nextExpectedRanges")
    first, last, size = span(ranged) if ranged else (0, 0, 1 << 40)

    async def body() -> AsyncIterator[bytes]:
        yield bytes(last + 1 - first)

    async def ask() -> Standing | None:
        match given.get("method"):
            case "DELETE":
                return await uploads.cancel(session)
            case "PUT":
                return await uploads.put(session, first, last + 1, size, body())
        return await uploads.status(session, size)

    if said["status"] >= 300:
        with pytest.raises(GraphError):
            await ask()
        return
    standing = await ask()
    if wanted:
        assert standing is not None
        assert standing.position == min(int(str(one).partition("-")[0]) for one in wanted)
        assert not standing.done
    elif standing is not None:
        assert standing.done is (said["status"] in {200, 201})
        assert not standing.done or standing.item == (said.get("body") or {})


def span(header: str) -> tuple[int, int, int]:
    numbers = header.removeprefix("bytes ").replace("/", "-").split("-")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


@of_kind(is_throttling)
def test_throttling_is_waited_for_and_its_early_signal_heard(sample: dict[str, Any]) -> None:
    headers, status = headers_of(sample), answer_of(sample)["status"]
    limits = Limits(None, 0, lambda: 1000.0)
    scope, backfill = (Scope("acme", "anna", "files", None, priority) for priority in ("interactive", "backfill"))
    said = [headers.get(name, "") for name in ("retry-after", "ratelimit-reset")]
    told = [float(value) for value in said if value.replace(".", "").isdigit()]
    limit, left = (float(headers.get(f"ratelimit-{name}", "-1")) for name in ("limit", "remaining"))
    if status == 429:
        error = refusal(status, headers, answer_of(sample).get("body"))
        assert isinstance(error, GraphRetry)
        assert error.after_s == (max(told) if told else error.after_s)
        assert not error.maybe_done
    if status == 429 and told:
        limits.learn(scope, status, headers)
        assert limits.due(scope) == 1000 + min(max(told), BELIEVED_S)
    if status != 429 and 0 <= left <= 0.2 * limit:
        limits.learn(scope, status, headers)
        assert limits.due(backfill) == 1000 + max(told)
        assert limits.due(scope) == 0


@of_kind(is_challenge)
def test_a_claims_challenge_is_told_from_a_plain_refusal_of_the_token(sample: dict[str, Any]) -> None:
    headers = headers_of(sample)
    found = claims_challenge(headers["www-authenticate"])
    if "claims=" not in headers["www-authenticate"]:
        assert found is None
    if found is not None:
        assert base64.b64encode(found.encode()).decode().rstrip("=") in headers["www-authenticate"]
        assert isinstance(json.loads(found), dict)
    if answer_of(sample)["status"] == 401:
        assert type(refusal(401, headers, answer_of(sample).get("body"))) is GraphReconnect


def test_a_published_challenge_is_decoded() -> None:
    published = [claims_challenge(headers_of(one)["www-authenticate"]) for one in FILES.values() if is_challenge(one)]
    assert any(published)
    assert None in published


@of_kind(lambda sample: (answer_of(sample).get("status") or 0) in range(200, 300))
async def test_every_published_success_is_read_without_a_crash(
    sample: dict[str, Any], server: ScriptedServer, anna: GraphCaller
) -> None:
    body = answer_of(sample).get("body")
    server.otherwise = reply(sample, server)
    if isinstance(body, str) and body:
        assert (await whole(anna, "/x")).decode() == body.replace(GRAPH, server.url)
    elif isinstance(body, list):
        with pytest.raises(GraphRetry):
            await anna.get("/x")
    else:
        assert await anna.get("/x") == json.loads(json.dumps(body or {}).replace(GRAPH, server.url))


@pytest.mark.parametrize("text", [sample.text for sample in everything() if "resync" in sample.name] or [""])
def test_the_codes_that_pages_name_for_a_lost_state_mean_a_new_pass(text: str) -> None:
    codes = [word for word in text.split() if word.startswith("resync") and word.isalpha()]
    assert codes
    for code in codes:
        assert type(refusal(410, {}, {"error": {"code": code}})) is GraphDeltaGone
