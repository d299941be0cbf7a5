"""The address of an upload session: only where it may lead, without our token, and never a word about it."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.graph import Graph, GraphCaller, UploadSession
from shared.graph.errors import GraphGiveUp, GraphRetry, GraphSessionGone
from shared.graph.links import Links
from shared.graph.upload import MULTIPLE
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import (
    CountedTokens,
    Naps,
    ScriptedServer,
    UploadHost,
    client_settings,
    scripted_server,
)

SIZE = 4 * MULTIPLE + 17


@pytest.fixture
async def host() -> AsyncIterator[ScriptedServer]:
    """Where upload sessions lead, and Graph itself."""
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(host: ScriptedServer, made_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(made_keys, graph_base_url=f"{host.url}/v1.0"), CountedTokens())
    made.sleep = Naps()
    yield made
    await made.aclose()


@pytest.fixture
def anna(graph: Graph) -> GraphCaller:
    return graph.as_user("acme", "anna")


def session(host: ScriptedServer, chunk: int = MULTIPLE, **more: Any) -> UploadSession:
    return UploadSession(f"{host.url}/up/hush?sig=hush", chunk=chunk, **more)


async def source(start: int) -> AsyncGenerator[bytes, None]:
    for at in range(start, SIZE, 50_000):
        yield bytes(min(50_000, SIZE - at))


def microsoft(host: ScriptedServer, *faults: str, **more: Any) -> UploadHost:
    host.respond = UploadHost(SIZE, *faults, **more)
    return host.respond


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34/up",
        "https://169.254.169.254/up",
        "https://10.0.0.1/up",
        "https://[::ffff:10.0.0.1]/up",
        "https://user:pass@a.example/up",
        "ftp://a.example/up",
        "/up",
        "",
        "https://a.example\\@b.example/up",
    ],
)
async def test_an_address_inside_or_without_https_gets_no_byte(made_keys: PlatformKeys, url: str) -> None:
    graph = Graph(client_settings(made_keys), CountedTokens())
    sent: list[httpx.Request] = []

    async def never(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(201, json={})

    await graph.http.aclose()
    graph.http = httpx.AsyncClient(transport=httpx.MockTransport(never))
    with pytest.raises(GraphGiveUp) as error:
        await graph.as_app("acme").upload(UploadSession(url), SIZE).send(source, start=0)
    assert error.value.code == "foreign_redirect"
    assert sent == []
    await graph.aclose()


async def test_our_own_service_may_be_plain_and_inside_but_no_link_leads_there(host: ScriptedServer) -> None:
    links = Links("https://graph.example/v1.0", [], inside=[host.url])
    assert (await links.target("", f"{host.url}/up/1")).name == f"{host.url}/up/1"
    assert not links.is_ours(f"{host.url}/v1.0/me")
    with pytest.raises(GraphGiveUp):
        await links.target("", f"http://127.0.0.1:{host.port + 1}/up/1")


async def test_an_authorization_header_of_a_session_is_dropped(host: ScriptedServer, anna: GraphCaller) -> None:
    there = microsoft(host)
    await anna.upload(session(host, headers={"authorization": "Bearer x", "X-A": "b"}), SIZE).send(source, start=0)
    assert there.broken_rules == []
    assert host.seen[0].headers["x-a"] == "b"


async def test_no_log_trace_error_or_representation_has_the_address(
    host: ScriptedServer, graph: Graph, anna: GraphCaller, caplog: pytest.LogCaptureFixture
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    graph.tracer = provider.get_tracer("test")
    microsoft(host, "lost", "reset", "416", "410")
    caplog.set_level(logging.WARNING, "httpx")  # as ``shared.telemetry`` sets it, for httpx logs whole addresses
    caplog.set_level(logging.DEBUG, "shared")
    made = session(host)
    with structlog.testing.capture_logs() as logs, pytest.raises(GraphSessionGone) as gone:
        await anna.upload(made, SIZE).send(source, start=0)
    graph.links = Links(graph.base_url, [], inside=["http://127.0.0.1:9"])
    with pytest.raises(GraphRetry) as unanswered:
        await anna.upload(UploadSession("http://127.0.0.1:9/hush", chunk=MULTIPLE), SIZE).send(source, start=0)
    for error in (gone.value, unanswered.value):
        assert "hush" not in f"{error!r} {error} {vars(error)}"
        assert error.__cause__ is None
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "hush" not in f"{made!r} {logs} {caplog.text} {spans}"
    assert len(logs) == 3
