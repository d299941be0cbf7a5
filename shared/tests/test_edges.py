"""What hostile and broken callers are told, and what they leave behind."""

import asyncio
import io
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Request
from sqlalchemy import text

from shared.database.unit_of_work import Database
from shared.graph import bounded
from shared.graph.errors import GraphGiveUp
from shared.hosting.service import Service
from shared.hosting.serving import Listener
from shared.problems import ConfigurationError
from shared.secrets import OPENED_MAX, Envelope, KeyRing
from shared.settings import ServiceSettings
from shared.telemetry import set_up_logs
from shared.testing.databases import TestDatabase
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.serving import NO_TLS, serving


@pytest.fixture
async def bare(make_settings: MakeSettings, database: TestDatabase, memory_bus: Any) -> AsyncIterator[Service]:
    """A service with one route that reads a body, and one that breaks."""
    settings = make_settings(ServiceSettings, "notes", request_body_s=0.2, **database.settings)
    service = Service("notes", "notes", settings, bus=memory_bus)

    async def read(request: Request) -> None:
        await request.body()

    async def broken() -> None:
        raise RuntimeError("broken on purpose")

    service.app.add_api_route("/read", read, methods=["POST"])
    service.app.add_api_route("/broken", broken)
    yield service
    await service.stop()


@pytest.fixture
async def http(bare: Service, client_of: Callable[..., Any]) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await client_of(bare)
    return client


async def test_a_failure_of_ours_is_kept_by_no_cache_and_has_its_id(http: httpx.AsyncClient) -> None:
    answer = await http.get("/broken")
    assert (answer.status_code, answer.headers["cache-control"]) == (500, "no-store")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_wrong_method_is_told_the_right_ones(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/read")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_slash_too_many_sends_nobody_to_another_host(http: httpx.AsyncClient) -> None:
    answer = await http.post("/read/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


async def test_the_id_of_a_request_is_ours_and_the_callers_is_in_the_log(http: httpx.AsyncClient) -> None:
    set_up_logs("INFO", said := io.StringIO())
    answer = await http.get("/broken", headers={"X-Request-Id": "chosen-by-the-caller"})
    assert answer.headers["x-request-id"] != "chosen-by-the-caller"
    uuid.UUID(answer.headers["x-request-id"])
    assert '"asked_as": "chosen-by-the-caller"' in said.getvalue()


async def test_a_length_of_no_ascii_digits_is_refused(http: httpx.AsyncClient) -> None:
    for length in ["²", "9" * 5000, "1e3", "-1"]:
        answer = await http.post("/read", content=b"x", headers={"Content-Length": length.encode()})
        assert answer.status_code == 413


async def sent(url: str, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    writer.write(request)
    await writer.drain()
    return reader, writer


UNFINISHED = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"


async def test_a_body_that_does_not_come_is_refused_in_time(bare: Service) -> None:
    async with serving(bare.app) as url:
        reader, writer = await sent(url, UNFINISHED)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer


async def test_a_connection_whose_headers_do_not_end_is_closed_in_time() -> None:
    closed = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await closed.wait()  # an answer may take longer than headers
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(slow, interface="asgi3", lifespan="off", log_level="critical", log_config=None)
    server = Listener(config, headers_s=0.3)
    running = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with asyncio.timeout(20), httpx.AsyncClient(verify=NO_TLS) as other:
        asked = asyncio.create_task(other.get(url))
        for unfinished in (b"", b"GET / HTTP/1.1\r\nHost: local"):
            reader, writer = await sent(url, unfinished)
            assert await reader.read() == b""
            writer.close()
        closed.set()
        assert (await asked).text == "whole"
        server.should_exit = True
        await running


async def test_a_caller_who_hangs_up_leaves_no_error_in_the_log(bare: Service) -> None:
    set_up_logs("INFO", said := io.StringIO())
    async with serving(bare.app) as url:
        _, writer = await sent(url, UNFINISHED)
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient(verify=NO_TLS) as other:
            assert (await other.post(f"{url}/read", content=b"whole")).status_code == 200
    assert "ERROR" not in said.getvalue().upper()


async def test_a_value_that_cannot_be_sent_is_not_in_the_error(bare: Service) -> None:
    db: Database = bare.db
    for value, kind in {"private\ud800": "text", 10**30: "bigint"}.items():
        statement = text(f"SELECT CAST(:value AS {kind})")
        with pytest.raises(Exception, match="query argument") as refused:
            await db.at_once(statement, {"value": value})
        said = [str(refused.value), str(getattr(refused.value, "orig", "")), str(refused.value.__cause__)]
        assert all("private" not in one and "000000" not in one for one in said)


@pytest.mark.parametrize("name", ["public_url", "notification_base_url", "jwt_jwks_url"])
def test_an_address_in_the_clear_stops_the_start(make_settings: MakeSettings, name: str) -> None:
    for url in ["http://prospo.example", "http://localhost.evil.example"]:
        with pytest.raises(ConfigurationError, match=f"PROSPO_{name.upper()} must be https"):
            make_settings(ServiceSettings, "notes", **{name: url})
        assert make_settings(ServiceSettings, "notes", development=True, **{name: url})
    assert make_settings(ServiceSettings, "notes", **{name: "http://microsoft.localhost:8367/x"})


def test_figures_are_read_from_this_machine_unless_a_setting_says_more(make_settings: MakeSettings) -> None:
    assert make_settings(ServiceSettings, "notes").metrics_host == "127.0.0.1"


async def test_an_answer_that_unpacks_to_more_than_fits_is_refused() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * 1024 * 1024

    with pytest.raises(GraphGiveUp, match="more than"):
        await bounded.read(httpx.Response(200, stream=Endless()))


def test_opened_data_keys_are_few_and_soon_forgotten(platform_keys: PlatformKeys) -> None:
    envelope = Envelope(KeyRing.load(platform_keys.key_ring_dir))
    for number in range(OPENED_MAX + 5):
        envelope._remember("acme", str(number), b"key")
    assert len(envelope._opened) == OPENED_MAX
    envelope._opened = {place: (0.0, key) for place, (_, key) in envelope._opened.items()}  # their time is over
    envelope._remember("globex", "1", b"key")
    assert len(envelope._opened) == 1
