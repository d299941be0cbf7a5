"""The gateway as it is deployed: Envoy itself, with the configuration made from ``services.toml``, attacked."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from dev.embedded.gateway import Personas
from dev.envoy import BODY_BYTES, Addresses, Floods, configuration
from dev.services import HEARING, ROUTES, described
from shared.testing.engines import free_port
from shared.testing.fixtures import ISSUER, PlatformKeys
from shared.testing.serving import serving

from . import attacks
from .test_gateways import ANNA, FOREIGN, OWN, READ_TWICE

ENVOY = Path(sys.executable).with_name("envoy")
ROOT = Path(__file__).resolve().parents[2]


class Behind:
    """Every service, the issuer's keys and development's personas: tells what reached which."""

    def __init__(self, keys: PlatformKeys) -> None:
        self.keys = keys
        self.seen: list[str] = []
        self.headers: dict[str, str] = {}
        self.personas = Personas(self)  # type: ignore[arg-type]

    async def token(self, persona: str) -> str:
        return self.keys.token(user_id=persona)

    def named(self, service: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            request = Request(scope, receive)
            size = len(await request.body())
            self.seen.append(f"{service}: {request.method} {scope['raw_path'].decode()}")
            self.headers = dict(request.headers)
            await PlainTextResponse(f"{size} bytes")(scope, receive, send)

        return answer

    async def jwks(self, scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse(self.keys.jwks())(scope, receive, send)


class Door:
    """An Envoy on a port. ``ask`` and ``send`` write what they are given as it stands, which no HTTP library does.

    Envoy keeps a connection that it refused open for a second. Only ``send`` waits for its end.
    """

    def __init__(self, port: int, behind: Behind) -> None:
        self.port = port
        self.behind = behind

    async def send(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = b""
        with suppress(ConnectionResetError):  # after an answer that did not wait for the whole request
            while piece := await reader.read(65_536):
                answer += piece
        writer.close()
        return answer

    async def ask(self, path: str, method: str = "GET", host: str = "localhost", body: bytes = b"", **more: str) -> int:
        lines = [f"{method} {path} HTTP/1.1", "Connection: close", f"Content-Length: {len(body)}", f"Host: {host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        said = await reader.readline()
        writer.close()
        return int(said.split()[1])

    @cached_property
    def _token(self) -> str:
        return self.behind.keys.token(exp=int(time.time()) + 3600)

    def person(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}


@asynccontextmanager
async def running(
    behind: Behind, folder: Path, *, personas: bool, floods: Floods, meetings: Sequence[int] = ()
) -> AsyncIterator[Door]:
    """An Envoy before services that are each on a port of their own; ``meetings`` on these in turn, if any are."""
    async with AsyncExitStack() as stack:
        apps = {name: behind.named(name) for name in described()} | {"jwks": behind.jwks, "personas": behind.personas}
        at = {name: httpx.URL(await stack.enter_async_context(serving(app))).port for name, app in apps.items()}
        port = free_port()
        where = Addresses(
            upstream="127.0.0.1:1",
            issuer=ISSUER,
            jwks=f"http://127.0.0.1:{at['jwks']}/jwks",
            port=port,
            personas=f"127.0.0.1:{at['personas']}" if personas else None,
        )
        made = configuration(where, floods)
        for cluster in made["static_resources"]["clusters"]:
            ports = meetings if meetings and cluster["name"] == "meetings" else [at[cluster["name"]]]
            places = [{"socket_address": {"address": "127.0.0.1", "port_value": port}} for port in ports]
            cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": p}} for p in places]}]
        (folder / "envoy.yaml").write_text(yaml.safe_dump(made))
        command = [
            ENVOY,
            "-c",
            folder / "envoy.yaml",
            "--concurrency",
            "1",
            "--log-level",
            "warn",
            "--use-dynamic-base-id",
        ]
        process = await asyncio.create_subprocess_exec(*command)
        try:
            await _until_it_listens(process, port)
            yield Door(port, behind)
        finally:
            process.terminate()
            await process.wait()


async def _until_it_listens(process: asyncio.subprocess.Process, port: int) -> None:
    while True:
        assert process.returncode is None, "Envoy ended; its log is above"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


PLENTY = Floods(at_once=10_000)


@pytest.fixture(scope="module")
async def development(made_keys: PlatformKeys, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("development")
    async with running(Behind(made_keys), folder, personas=True, floods=PLENTY) as door:
        yield door


@pytest.fixture(scope="module")
async def production(made_keys: PlatformKeys, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("production")
    async with running(Behind(made_keys), folder, personas=False, floods=PLENTY) as door:
        yield door


@pytest.fixture(params=["development", "production"])
def door(request: pytest.FixtureRequest) -> Door:
    found: Door = request.getfixturevalue(request.param)
    found.behind.seen.clear()
    return found


def test_envoy_takes_a_configuration_for_addresses_elsewhere(tmp_path: Path) -> None:
    where = [
        "--upstream",
        "{service}.prospo:{port}",
        "--issuer",
        "https://id.example",
        "--jwks",
        "https://id.example/k",
    ]
    made = subprocess.run([sys.executable, "-m", "dev.envoy", *where], cwd=ROOT, capture_output=True, check=True)
    (tmp_path / "envoy.yaml").write_bytes(made.stdout)
    checked = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", tmp_path / "envoy.yaml"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


async def test_every_route_leads_to_its_service_with_a_token(door: Door) -> None:
    for prefix, service in ROUTES.items():
        for path in (prefix, f"{prefix}/x%20y?cursor=a%2Fb"):
            assert await door.ask(path) == 401, path
            assert await door.ask(path, **door.person()) == 200, path
            assert door.behind.seen.pop() == f"{service}: GET {path.partition('?')[0]}"
            assert door.behind.headers["authorization"] == door.person()["Authorization"]
        await door.ask(f"{prefix}s", **door.person())
    assert door.behind.seen == []


async def test_a_token_that_is_not_good_opens_nothing(door: Door) -> None:
    taken, shown = set(), set()
    for kind, token in attacks.of_a_person(door.behind.keys).items():
        if await door.ask("/v1/meetings", Authorization=f"Bearer {token}") not in {401, 403}:
            taken.add(kind)
        if await door.ask("/meetings", Authorization=f"Bearer {token}") not in {401, 403}:
            shown.add(kind)
    assert taken == SEEN_BY_THE_SERVICE
    assert shown == SEEN_BY_THE_SERVICE | {"no token"}


async def test_a_programs_token_is_passed_on_when_it_is_good(door: Door) -> None:
    made = partial(door.behind.keys.token, "acme", "archive", ("artefacts.read",), client_id="archive")
    good = f"Bearer {made()}"
    for path in ("/v1/files/f/content", "/v1/transcripts/t", "/v1/ledger/m"):
        assert await door.ask(path, Authorization=good) == 200
        assert door.behind.headers["authorization"] == good
        door.behind.seen.clear()
        for defect in ({"exp": int(time.time()) - 60}, {"aud": "another-api"}):
            assert await door.ask(path, Authorization=f"Bearer {made(**defect)}") in {401, 403}
        assert door.behind.seen == []


SEEN_BY_THE_SERVICE = {
    "NUL in a claim",
    "no person",
    "no organisation",
    "organisation of another type",
    "roles that are no list",
    "no key id",
}
"""Claims that are ours alone: the gateway passes them on, and the service refuses them."""


async def test_what_asks_for_no_token_is_said_in_the_table(door: Door) -> None:
    for service in described().values():
        for prefix in service.open:
            assert await door.ask(f"{prefix}x", "POST") == 200
            assert await door.ask(f"{prefix}x", "POST", Authorization="Bearer nonsense") == 401
    assert await door.ask("/meetings") == 200


async def test_microsofts_notifications_arrive_without_a_token(door: Door) -> None:
    for name in described():
        said = await door.ask(f"/{name}/webhooks/graph?validationToken=x", "POST", host="tunnel.example")
        reached = f"{name}: POST /webhooks/graph" in door.behind.seen
        assert (said == 200 and reached) if name in HEARING else not reached, name
        await door.ask(f"/{name}/webhooks/graph", "PUT", **door.person())
        await door.ask(f"/{name}/webhooks/graph/x", "POST", **door.person())
    assert [seen for seen in door.behind.seen if not seen.startswith("console: ")] == [
        f"{name}: POST /webhooks/graph" for name in HEARING
    ]


async def test_what_is_no_route_reaches_no_service(door: Door) -> None:
    inner = [route.partition(" ")[2] for service in described().values() for route in service.internal]
    for path in [*inner, "/internal", "/v1/other", "/v1/audit", "/v1/uploads/token", "/health/ready", "/metrics"]:
        for method in ("GET", "POST", "PUT"):
            assert await door.ask(path, method, **door.person()) == 404, path
    for prefix in [f"/{name}" for name in described()] + ["//", "/v1", "/%69nternal", "/INTERNAL"]:
        for path in inner:
            await door.ask(prefix + path, "POST", **door.person())
    assert [seen for seen in door.behind.seen if not seen.startswith("console: ")] == []


async def test_a_path_that_can_be_read_in_two_ways_reaches_no_service(door: Door) -> None:
    for path in [*READ_TWICE, "/v1/tenant/%2E", "/v1/tenant/.", "/%2e%2e/internal", "/v1/tenant/%c0%ae%255c"]:
        assert await door.ask(path, "POST", **door.person()) == 400, path
    assert door.behind.seen == []


async def test_a_service_is_sent_the_path_that_the_gateway_was_sent(door: Door) -> None:
    for path in ["/v1/meetings/100%25?cursor=a%2Fb&x=..%2f", "/v1/meetings/%C3%A9..", "/v1/files/a;b=c//d"]:
        assert await door.ask(path, **door.person()) == 200, path
        assert door.behind.seen.pop().endswith(f" {path.partition('?')[0]}")


GET = b"GET /v1/meetings HTTP/1.1\r\nHost: localhost\r\n"
INNER = b"POST /internal/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
SMUGGLED = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello" + INNER,
    "a list of lengths": b"Content-Length: 0, 5\r\n\r\nhello" + INNER,
    "a signed length": b"Content-Length: +5\r\n\r\nhello" + INNER,
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + INNER,
    "chunked and identity": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
    "a chunk of a wrong size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + INNER,
    "a chunk's extension with a line end": b"Transfer-Encoding: chunked\r\n\r\n0;\rx\r\n\r\n" + INNER,
    "a NUL in a header": b"X: a\x00b\r\n\r\n",
    "a carriage return in a header": b"X: a\rContent-Length: 9\r\n\r\n" + INNER,
    "a header with an underscore": b"content_length: 9\r\n\r\n",
    "a hop-by-hop Authorization": b"Connection: Authorization, close\r\n\r\n",
}


async def test_no_request_is_hidden_in_another(door: Door) -> None:
    token = f"Authorization: Bearer {door.behind.keys.token()}\r\n".encode()
    for kind, rest in SMUGGLED.items():
        await asyncio.wait_for(door.send(GET + token + b"Connection: close\r\n" + rest), 30)
        assert [seen for seen in door.behind.seen if "internal" in seen] == [], kind
        assert set(door.behind.seen) <= {"meetings: GET /v1/meetings"}, kind
        if door.behind.seen:
            assert door.behind.headers["authorization"].startswith("Bearer "), kind
        door.behind.seen.clear()


async def test_a_body_and_headers_have_limits(door: Door) -> None:
    post = {"Content_Type": "application/json", **door.person()}
    assert await door.ask("/v1/meetings", "POST", body=b"x" * BODY_BYTES, **post) == 200
    door.behind.seen.clear()
    assert await door.ask("/v1/meetings", "POST", body=b"x" * (BODY_BYTES + 1), **post) == 413
    assert await door.ask("/v1/meetings", X="x" * 33_000, **door.person()) == 431
    assert await door.ask("/v1/meetings", **door.person(), **{f"X{n}": "x" for n in range(100)}) == 431
    assert door.behind.seen == []


async def test_where_a_body_may_be_large_it_passes_whole(door: Door) -> None:
    """A mail with its text, its files, and the console's form for whoever has no JavaScript."""
    large = {prefix: name for name, service in described().items() for prefix in service.large}
    assert {"/v1/mail", "/mail/write", "/files/upload", "/v1/files/uploads/"} <= set(large)
    body = b"x" * (4 * BODY_BYTES)
    for prefix, name in large.items():
        paths = [prefix, f"{prefix}/files"] if name == "mail" else [prefix]
        for path in paths:
            about = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            about += "".join(f"{key}: {value}\r\n" for key, value in door.person().items())
            answer = await door.send(about.encode() + b"\r\n" + body)
            assert answer.split()[1] == b"200", path
            assert answer.endswith(f"{len(body)} bytes".encode()), path
            assert door.behind.seen.pop() == f"{name}: POST {path}"


async def test_the_caller_chooses_neither_persona_nor_request_id(door: Door) -> None:
    said = {"X_Prospo_Persona": "acme-admin", "X_Request_Id": "of-the-caller"}
    assert await door.ask("/v1/meetings", **said, **door.person()) == 200
    assert "x-prospo-persona" not in door.behind.headers
    assert door.behind.headers["x-request-id"] not in {"", "of-the-caller"}


async def test_a_refusal_is_a_problem_document(door: Door) -> None:
    answer = await door.send(b"GET /v1/meetings HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["status"] == 401


async def test_a_cookie_makes_nobody_a_person_in_production(production: Door) -> None:
    assert await production.ask("/v1/meetings", **ANNA) == 401
    production.behind.seen.clear()
    await production.ask("/dev/persona", "POST", body=b"persona=acme-anna", **ANNA)
    assert production.behind.seen == ["console: POST /dev/persona"]


async def test_a_persona_is_given_a_token_on_this_machine_only(development: Door) -> None:
    for host in OWN:
        assert await development.ask("/v1/tenant", host=host, **ANNA) == 200, host
        assert development.behind.headers["x-prospo-persona"] == "acme-anna"
    development.behind.seen.clear()
    for host in [host for host in FOREIGN if host]:
        for path in ["/v1/tenant", "/", "/dev/persona"]:
            assert await development.ask(path, host=host, **ANNA) in {400, 421}, f"{host}{path}"
    for site in ["same-site", "cross-site"]:
        assert await development.ask("/v1/tenant", "POST", Sec_Fetch_Site=site, **ANNA) == 403
    assert development.behind.seen == []
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert await development.ask("/dev/persona", "POST", body=b"persona=acme-anna", **form) == 303


async def test_a_flood_is_refused_from_the_address_it_comes_from(made_keys: PlatformKeys, tmp_path: Path) -> None:
    few = Floods(at_once=20, more=1, every_s=3600)
    async with running(Behind(made_keys), tmp_path, personas=False, floods=few) as door:
        answers = [await door.ask("/v1/meetings", **door.person()) for _ in range(25)]
        assert answers == [200] * 20 + [429] * 5
        assert len(door.behind.seen) == 20
