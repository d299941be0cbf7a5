"""The gateway of the embedded platform: whom it answers, and which paths it passes on. Envoy has ``test_envoy.py``."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from dev.embedded.gateway import Gateway, PersonaTokens
from dev.services import HEARING, SERVICES
from m365_simulator.core import Simulator
from shared.testing.serving import serving

FOREIGN = ["demo.tunnel.example", "localhost.evil.example", "localhost@evil.example", "127.0.0.1.evil.example:80", ""]
OWN = ["localhost", "localhost:8365", "gateway.localhost:1", "127.0.0.1:8365", "[::1]:8365"]
ANNA = {"Cookie": "prospo_persona=acme-anna"}


class Services:
    """Every service: tells what reached it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.seen.append(f"{request.method} {scope['raw_path'].decode()}")
        await PlainTextResponse("reached")(scope, receive, send)


class Door:
    """A gateway on a port. ``ask`` sends the path as it stands, which no HTTP library does."""

    def __init__(self, url: str, services: Services) -> None:
        self.port = httpx.URL(url).port
        self.services = services

    async def ask(self, path: str, method: str = "GET", host: str | None = "localhost", **headers: str) -> int:
        lines = [f"{method} {path} HTTP/1.1", "Connection: close", "Content-Length: 0"]
        lines += [f"Host: {host}"] if host is not None else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split()[1])


@pytest.fixture
async def door(simulator: Simulator) -> AsyncIterator[Door]:
    services = Services()
    tokens = PersonaTokens(f"{simulator.settings.http_base_url}/prospo-issuer")
    async with serving(Gateway(dict.fromkeys([*SERVICES, "console"], services), tokens)) as gateway:
        yield Door(gateway, services)
    await tokens.aclose()


async def test_a_person_is_served_under_a_name_of_this_machine(door: Door) -> None:
    for host in OWN:
        assert await door.ask("/v1/tenant", host=host, **ANNA) == 200, host


async def test_under_a_foreign_name_nobody_is_anybody(door: Door) -> None:
    for host in [*FOREIGN, "localhost\r\nX-Forwarded-Host: demo.tunnel.example", None]:
        for path in ["/v1/tenant", "/", "/health/ready", "/dev/persona", "/recording-ingest/webhooks/graph"]:
            assert await door.ask(path, host=host, **ANNA) in {400, 421}, f"{host}{path}"
        assert await door.ask("/dev/persona", "POST", host=host) in {400, 421}, host
    assert door.services.seen == []


async def test_under_a_foreign_name_microsofts_notifications_arrive(door: Door) -> None:
    for name in HEARING:
        assert await door.ask(f"/{name}/webhooks/graph", "POST", host="demo.tunnel.example", **ANNA) == 200
    assert door.services.seen == ["POST /webhooks/graph"] * len(HEARING)


READ_TWICE = [
    "/v1/tenant/../../internal/app-token",
    "/v1/tenant/./x",
    "/v1/connection/..%2f..%2finternal%2ftokens",
    "/v1/connection/%2e%2e/%2E%2E/internal/tokens",
    "/v1/uploads/../../internal/upload-sessions",
    "/v1/tenant/%252e%252e/internal/app-token",
    "/v1/tenant/..%252finternal",
    "/v1/tenant/%25%32%66internal",
    "/v1/tenant/..\\internal\\app-token",
    "/v1/tenant/%5c..%5cinternal",
    "/v1/meetings/%0d%0aX:%20y",
    "/v1/meetings/a%00b",
    "/v1/meetings/a%7fb",
    "/recording-ingest/webhooks/../internal/x",
    "/..",
]


async def test_a_path_that_can_be_read_in_two_ways_reaches_no_service(door: Door) -> None:
    for path in READ_TWICE:
        assert await door.ask(path, "POST", **ANNA) == 400, path
    assert door.services.seen == []


async def test_what_is_no_route_reaches_no_service(door: Door) -> None:
    for path in ["/internal/app-token", "/v1/other", "/v1/audit"]:
        assert await door.ask(path, "PUT", **ANNA) == 404, path
    assert door.services.seen == []


async def test_an_upload_address_leads_nowhere_from_outside(door: Door) -> None:
    assert await door.ask("/v1/uploads/token", "PUT") == 404


async def test_a_service_is_sent_the_path_that_the_gateway_was_sent(door: Door) -> None:
    paths = ["/v1/meetings/100%25?cursor=a%2Fb", "/v1/meetings/%C3%A9..", "/static/site.css"]
    for path in paths:
        assert await door.ask(path, **ANNA) == 200, path
    assert door.services.seen == [f"GET {path.partition('?')[0]}" for path in paths]


async def test_another_page_may_not_call_with_the_persons_cookie(door: Door) -> None:
    for site in ["same-site", "cross-site"]:
        assert await door.ask("/v1/tenant/consent", "POST", Sec_Fetch_Site=site, **ANNA) == 403
        assert await door.ask("/v1/tenant", "POST", Sec_Fetch_Site=site, Authorization="Bearer of-its-own") == 200
    for site in ["same-origin", "none"]:
        assert await door.ask("/v1/tenant/consent", "POST", Sec_Fetch_Site=site, **ANNA) == 200


async def test_issuer_and_controls_answer_no_foreign_name(simulator: Simulator) -> None:
    door = Door(simulator.settings.http_base_url, Services())
    for host in FOREIGN:
        assert await door.ask("/prospo-issuer/token", "POST", host=host) in {400, 421}, host
        for path in ["/control/state", "/", "/watch"]:
            assert await door.ask(path, host=host) in {400, 421}, f"{host}{path}"


async def test_a_name_in_the_development_setting_is_answered(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVELOPMENT_HOSTS", "box.example other.example")
    hosts = type(simulator.settings)().hosts
    simulator.settings.hosts = hosts
    services, tokens = Services(), PersonaTokens(f"{simulator.settings.http_base_url}/prospo-issuer")
    async with serving(Gateway(dict.fromkeys(SERVICES, services), tokens, hosts)) as url:
        assert await Door(url, services).ask("/v1/tenant", host="other.example:8365", **ANNA) == 200
        assert await Door(url, services).ask("/v1/tenant", host="another.example", **ANNA) == 421
        issuer = Door(simulator.settings.http_base_url, services)
        assert await issuer.ask("/prospo-issuer/jwks", host="box.example") == 200
    await tokens.aclose()
