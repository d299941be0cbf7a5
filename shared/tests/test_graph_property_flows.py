"""Deltas, downloads and uploads under random faults: they end with the truth, and our token stays with Graph."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.graph import Graph, GraphCaller, UploadSession
from shared.graph.errors import GraphDeltaGone, GraphError, GraphReconnect, GraphRetry, GraphTooLarge
from shared.graph.upload import MULTIPLE
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import (
    CountedTokens,
    Naps,
    Reply,
    ScriptedServer,
    Seen,
    UploadHost,
    client_settings,
    scripted_server,
    whole,
)

BOUNDED = settings(max_examples=30)
PEOPLE = count()
PUBLIC = "13.107.136.10"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def elsewhere() -> AsyncIterator[ScriptedServer]:
    """What answers at every public address."""
    async with scripted_server() as running:
        yield running


class Routed(httpx.AsyncHTTPTransport):
    """Public addresses lead to a server here."""

    def __init__(self, elsewhere: ScriptedServer) -> None:
        super().__init__()
        self._elsewhere = elsewhere

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == PUBLIC or request.url.host.endswith((".example", ".internal")):
            request.extensions.pop("sni_hostname", None)
            request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._elsewhere.port)
        return await super().handle_async_request(request)


@pytest.fixture
async def graph(server: ScriptedServer, elsewhere: ScriptedServer, platform_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    await made.http.aclose()
    made.http = httpx.AsyncClient(transport=Routed(elsewhere), timeout=10, trust_env=False)

    async def resolve(host: str, _port: int) -> list[str]:
        return [PUBLIC if host.endswith(".example") else "10.0.0.1"]

    made.links.resolve = resolve
    made.sleep = Naps()
    yield made
    await made.aclose()


def somebody(graph: Graph) -> GraphCaller:
    """A person of whom nothing is known yet."""
    return graph.as_user("acme", f"person-{next(PEOPLE)}")


# Deltas --------------------------------------------------------------------------------------------------------------


class Folder:
    """A folder with a delta: pages of two, tokens that may be forgotten, answers that may be lost."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/v1.0/me/contacts/delta"
        self.truth: dict[str, int] = {}
        self.changes: list[str] = []
        self.faults: deque[str] = deque()
        self.forgotten = 0
        self.refused = 0
        self.tokens: dict[str, tuple[list[str], int]] = {}

    def change(self, name: str, value: int | None) -> None:
        if value is None:
            self.truth.pop(name, None)
        else:
            self.truth[name] = value
        self.changes.append(name)

    def __call__(self, seen: Seen) -> Reply:
        fault, token = self.faults.popleft() if self.faults else "", seen.target.partition("token=")[2]
        if fault == "401":
            self.refused += 1
        elif fault not in TRIED_AGAIN:
            self.refused = 0
        if fault.startswith("gone") and token:
            self.forgotten += 1
            headers = {"location": f"{self.url}?$deltatoken="} if fault == "gone, with a place" else {}
            code = "syncStateNotFound" if fault == "gone, 400" else "resyncRequired"
            return Reply(400 if fault == "gone, 400" else 410, json={"error": {"code": code}}, headers=headers)
        names, version = self.tokens[token] if token else (sorted(self.truth), len(self.changes))
        if token.startswith("d"):
            names, version = sorted(set(self.changes[version:])), len(self.changes)
        page = self._page(names[:2], names[2:], version)
        odd = {
            "503": Reply(503, headers={"retry-after": "1"}),
            "429": Reply(429, headers={"retry-after": "1"}),
            "401": Reply(401),
            "reset": Reply(reset="after"),
            "cut": replace(page, cut=5),
            "truncated": Reply(body=page.bytes()[:-9]),
            "slow": replace(page, slices=3),
        }
        return odd.get(fault, page)

    def _page(self, now: list[str], later: list[str], version: int) -> Reply:
        items = [
            {"id": name, "value": self.truth[name]} if name in self.truth else {"id": name, "@removed": {}}
            for name in now
        ]
        token = f"{'s' if later else 'd'}{len(self.tokens)}"
        self.tokens[token] = (later, version)
        kind = "nextLink" if later else "deltaLink"
        return Reply(json={"value": items, f"@odata.{kind}": f"{self.url}?$token={token}"})


async def one_pass(caller: GraphCaller, local: dict[str, int], link: str | None) -> str:
    named: set[str] = set()
    async for page in caller.delta("/me/contacts/delta", link=link):
        named = set() if page.first else named
        for item in page.items:
            named.add(item["id"])
            local.pop(item["id"], None)
            if "@removed" not in item:
                local[item["id"]] = item["value"]
        if page.delta_link and page.full:
            for name in local.keys() - named:
                del local[name]
    assert page.delta_link
    return page.delta_link


NAMES = st.sampled_from("abcdefgh")
TRIED_AGAIN = ["503", "429", "reset", "cut", "truncated"]
"""What a call meets before its next try. A call renews its token once, however many tries it takes."""
GONE = ["gone", "gone, with a place", "gone, 400"]
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.tuples(NAMES, st.one_of(st.none(), st.integers(0, 9))), max_size=8),
        st.lists(st.sampled_from(["", "", "401", "slow", *TRIED_AGAIN, *GONE]), max_size=8),
    ),
    max_size=5,
)


@BOUNDED
@given(rounds=ROUNDS)
@example(rounds=[([("a", 1), ("b", 2), ("c", 3)], []), ([("a", None)], ["gone"])])
@example(rounds=[([("a", 1), ("b", 2), ("c", 3)], ["", "gone, with a place"]), ([("b", None)], [])])
@example(rounds=[([("a", 1), ("b", 2), ("c", 3)], ["", "401", "503", "401"])])
async def test_every_delta_pass_ends_with_the_server_s_truth(
    server: ScriptedServer, graph: Graph, rounds: list[Any]
) -> None:
    server.clear()
    server.respond = folder = Folder(server.url)
    caller, local, link = somebody(graph), dict[str, int](), None
    for changes, faults in rounds:
        for name, value in changes:
            folder.change(name, value)
        folder.faults.extend(faults)
        while True:
            folder.forgotten = 0
            try:
                link = await one_pass(caller, local, link)
                break
            except GraphDeltaGone:
                assert folder.forgotten > 1, "a state lost once is healed"
                link = None
            except GraphRetry:  # more faults than a call has tries: the job does the pass again
                continue
            except GraphReconnect:
                assert folder.refused > 1, "a token refused once in a call is renewed"
        assert local == folder.truth
        folder.faults.clear()


# Uploads -------------------------------------------------------------------------------------------------------------

FATES = st.lists(st.sampled_from(["", "", *UploadHost.FAULTS, "dies"]), max_size=12)


@BOUNDED
@given(tail=st.integers(1, 2 * MULTIPLE), ranges=st.integers(1, 4), fates=FATES)
@example(tail=5, ranges=1, fates=["stored", "silent", "rewound"])
@example(tail=5, ranges=2, fates=["dies", "silent", "dies"])
@example(tail=5, ranges=2, fates=["416", "413", "lost", "429"])
async def test_an_upload_arrives_whole_and_in_order_over_any_faults_and_deaths(
    elsewhere: ScriptedServer, graph: Graph, tail: int, ranges: int, fates: list[str]
) -> None:
    elsewhere.clear()
    size = 3 * MULTIPLE + tail
    file = bytes(at % 251 for at in range(997)) * (size // 997 + 1)
    elsewhere.respond = there = UploadHost(size, *(fate for fate in fates if fate != "dies"))
    secret, deaths = UploadSession("https://up.example/hush", chunk=ranges * MULTIPLE).secret(), fates.count("dies")

    async def source(start: int) -> AsyncGenerator[bytes, None]:
        for at in range(start, size, 100_003):
            yield file[at : min(at + 100_003, size)]

    async def saved(_position: int) -> None:
        nonlocal deaths
        if deaths:
            deaths -= 1
            raise ConnectionAbortedError("the process dies here")

    start: int | None = 0
    for _ in range(len(fates) + 3):
        upload = somebody(graph).upload(UploadSession.of_secret(secret), size)
        try:
            await upload.send(source, start=start, saved=saved)
            break
        except (GraphRetry, GraphTooLarge, ConnectionAbortedError):  # 413 may befall the smallest range too
            start = None  # another process knows the sealed secret only
        except GraphError:
            assert there.done, "given up although it was not stored"
            break
    assert there.done
    assert bytes(there.received) == file[:size]
    assert there.broken_rules == []


# Hosts ---------------------------------------------------------------------------------------------------------------

PLACES = st.sampled_from(
    [
        "own",
        "https://cdn.example/a?sig=1",
        "https://b.example:8443/b",
        "https://inside.internal/c",
        "http://cdn.example/d",
    ]
)
KINDS = st.sampled_from(["download", "pages", "delta", "lost delta", "write", "upload"])


def pointing(kind: str, url: str) -> Reply:
    match kind:
        case "pages":
            return Reply(json={"value": [], "@odata.nextLink": url})
        case "delta":
            return Reply(json={"value": [], "@odata.deltaLink": url})
        case "lost delta":
            return Reply(410, json={}, headers={"location": url})
        case "upload":
            return Reply(json={"uploadUrl": url})
    return Reply(302, headers={"location": url})


async def follow(caller: GraphCaller, kind: str) -> None:
    async def source(_start: int) -> AsyncGenerator[bytes, None]:
        yield b"abc"

    match kind:
        case "download":
            await whole(caller, "/me/onlineMeetings/1/recordings/2/content")
        case "pages":
            assert [item async for item in caller.pages("/me/contacts")] == []
        case "delta" | "lost delta":
            link = f"{caller._graph.base_url}/me/contacts/delta?$deltatoken=1"
            assert [page async for page in caller.delta("/me/contacts/delta", link=link)]
        case "upload":
            session = await caller.upload_session("/me/drive/root:/a:/createUploadSession")
            await caller.upload(session, 3).send(source, start=0)
        case _:
            await caller.post("/me/events", {})


@settings(BOUNDED, max_examples=80)
@given(kind=KINDS, places=st.lists(PLACES, min_size=1, max_size=4), ends=st.sampled_from([200, 201, 401, 403, 503]))
@example(kind="download", places=["https://cdn.example/a?sig=1", "https://b.example:8443/b"], ends=200)
@example(kind="upload", places=["https://cdn.example/a?sig=1"], ends=201)
@example(kind="pages", places=["https://cdn.example/a?sig=1"], ends=200)
async def test_our_token_never_meets_a_foreign_host(
    server: ScriptedServer, elsewhere: ScriptedServer, graph: Graph, kind: str, places: list[str], ends: int
) -> None:
    server.clear()
    elsewhere.clear()
    for at, place in enumerate(places):
        host = elsewhere if at and places[at - 1] != "own" else server
        host.script.append(pointing(kind, f"{server.url}/v1.0/me/next" if place == "own" else place))
    server.otherwise = elsewhere.otherwise = Reply(ends, json={"value": []})
    met: GraphError | None = None
    try:
        await follow(somebody(graph), kind)
    except GraphError as error:
        met = error
    for seen in elsewhere.seen:
        assert "authorization" not in seen.headers
        assert "secret-" not in f"{seen.headers} {seen.target} {seen.body!r}"
    if kind not in {"download", "upload"}:
        assert elsewhere.seen == [], met
