"""For tests: a simulator on loopback ports, sign-in, a wire before it, and an address for notifications."""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import secrets
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from . import create_simulator
from .client import SimulatorClient
from .core import Simulator
from .serving import Protocol, QuietServer, serve
from .settings import SimulatorSettings
from .tls import ensure_certificates, usual_trust

REDIRECT = "http://localhost:8365/integrations/microsoft/callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPES = (
    "Contacts.Read Calendars.ReadWrite OnlineMeetings.ReadWrite OnlineMeetingRecording.Read.All "
    "OnlineMeetingTranscript.Read.All"
)
_ports = itertools.count(secrets.randbelow(10_000))


def free_port() -> int:
    """Another one each time, below the ports that outgoing connections are given: one of these could take it first."""
    while True:
        port = 10_000 + next(_ports) % 10_000
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def until_open(port: int, tls: ssl.SSLContext | None = None) -> None:
    """Return when something accepts connections there; ``TimeoutError`` after a minute, for a busy machine."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


def loopback_settings(folder: Path, **more: Any) -> SimulatorSettings:
    """Settings of a simulator of its own, on two free ports."""
    http, https = free_port(), free_port()
    return SimulatorSettings(
        state_dir=folder,
        http_port=http,
        https_port=https,
        http_base_url=f"http://localhost:{http}",
        https_base_url=f"https://localhost:{https}",
        **more,
    )


@contextlib.asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[Simulator]:
    """Background work and both listeners, until the end of the block."""
    settings = simulator.settings
    await simulator.start()
    serving = asyncio.create_task(serve(simulator, settings))
    await until_open(settings.http_port)
    await until_open(settings.https_port, ssl.create_default_context(cafile=settings.state_dir / "ca.pem"))
    try:
        yield simulator
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await simulator.stop()


def make_state(folder: Path) -> Path:
    """A new state folder with keys, certificates and the directory: 0.2 s. To copy it takes a millisecond."""
    create_simulator(SimulatorSettings(state_dir=folder)).store.close()
    return folder


class Hosting:
    """Two listeners, http and https, for all tests of a process, and behind them a new simulator for each test.

    Keys, certificates, and what ``seeding`` added, are made once; each simulator starts with a copy. ``folder`` holds
    the seeds, ``new`` among them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = loopback_settings(folder)
        self._simulator: Simulator | None = None
        self._servers: list[uvicorn.Server] = []
        self._serving: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        certificate, key = ensure_certificates(self._folder / "new")
        for tls in (False, True):
            files = {"ssl_certfile": certificate, "ssl_keyfile": key} if tls else {}
            port = self.settings.https_port if tls else self.settings.http_port
            config = uvicorn.Config(
                self._answer, host="127.0.0.1", port=port, interface="asgi3", http=Protocol, lifespan="off",
                log_config=None, access_log=False, timeout_graceful_shutdown=1, **files,  # type: ignore[arg-type]
            )  # fmt: skip
            self._servers.append(QuietServer(config))
        self._serving = [asyncio.create_task(server.serve(), name="listener") for server in self._servers]
        for server in self._servers:
            await until_open(server.config.port)

    async def aclose(self) -> None:
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._simulator.app if self._simulator else PlainTextResponse("No test is running.", 503)
        await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def simulator(self, folder: Path, seed: str = "new", **more: Any) -> AsyncIterator[Simulator]:
        """A new one behind the listeners, its background work running, until the end of the block."""
        shutil.copytree(self._folder / seed, folder)
        simulator = create_simulator(self.settings.model_copy(update={"state_dir": folder, **more}))
        simulator.store.flush_nothing()
        await simulator.start()
        self._simulator = simulator
        try:
            yield simulator
        finally:
            self._simulator = None
            await simulator.stop()

    @contextlib.asynccontextmanager
    async def seeding(self, name: str) -> AsyncIterator[Simulator]:
        """What is done in the block is there in every simulator with this ``seed``; not while another one is used."""
        async with self.simulator(self._folder / name) as simulator:
            yield simulator


@contextlib.asynccontextmanager
async def held(simulator: Simulator, path: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Requests with ``path`` in theirs wait for their answer until the end of the block; the function: until one does.

    ``TimeoutError`` when none comes within thirty seconds.
    """
    behind, asked, answered = simulator.app, asyncio.Event(), asyncio.Event()

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if path in scope.get("path", ""):
            asked.set()
            await answered.wait()
        await behind(scope, receive, send)

    async def until_asked() -> None:
        async with asyncio.timeout(30):
            await asked.wait()

    simulator.app = door
    try:
        yield until_asked
    finally:
        answered.set()


class Address:
    """Takes notifications over ASGI: echoes validation tokens and answers ``status``, unless ``answers`` does it.

    ``received`` are the JSON bodies of notifications, ``asked`` the requests of handshakes; ``urls`` of both.
    """

    def __init__(self) -> None:
        self.status = 202
        self.received: list[Any] = []
        self.asked: list[Request] = []
        self.urls: list[str] = []
        self.answers: Callable[[Request], Awaitable[Response | None]] | None = None

    @property
    def items(self) -> list[Any]:
        return [item for body in self.received for item in body["value"]]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.urls.append(str(request.url))
        answer = await self.answers(request) if self.answers else None
        await (answer or await self._usual(request))(scope, receive, send)

    async def _usual(self, request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            self.asked.append(request)
            return PlainTextResponse(token)
        self.received.append(await request.json())
        return Response(status_code=self.status)


async def sign_in(
    client: SimulatorClient, settings: SimulatorSettings, address: str, scopes: str = SCOPES
) -> dict[str, Any]:
    """A person's token through consent and sign-in, in the words in which user-auth gives it to other services."""
    base, app = f"{settings.http_base_url}/organizations", settings.client_id
    consent = {"client_id": app, "redirect_uri": settings.redirect_uris[0], "state": "s"}
    consent["scope"] = "https://graph.microsoft.com/.default"
    admin = f"admin@{address.partition('@')[2]}"
    await client.approve_admin_consent(f"{base}/v2.0/adminconsent?{urlencode(consent)}", admin)
    asked = {"client_id": app, "redirect_uri": REDIRECT, "response_type": "code", "scope": f"openid {scopes}"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s", "nonce": "n"}
    back = await client.sign_in(f"{base}/oauth2/v2.0/authorize?{urlencode(asked)}", address)
    form = {"client_id": app, "client_secret": settings.client_secret, "grant_type": "authorization_code"}
    form |= {"redirect_uri": REDIRECT, "code_verifier": VERIFIER, "scope": scopes}
    form["code"] = parse_qs(urlsplit(back).query)["code"][0]
    async with httpx.AsyncClient(verify=usual_trust()) as http:
        answer = (await http.post(f"{base}/oauth2/v2.0/token", data=form)).raise_for_status().json()
    person = next(one for one in (await client.state())["users"] if one["address"] == address)
    made = {"access_token": answer["access_token"], "oid": person["id"], "tid": person["tenant"]}
    return made | {"expires_at": "2099-01-01T00:00:00Z"}


class Wire:
    """ASGI middleware before what is hosted: notes what is sent, and does what a test asks it to.

    ``requests`` are method, path and Range, ``accepted`` the ranges of uploads that were taken, ``sent`` bytes of
    answers by the first part of the path. ``instead`` gives an app that answers a request, or None.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.sent: dict[str, int] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.accepted: list[str] = []
        self.instead: Callable[[str, str], Any] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        place = "/" + scope["path"].strip("/").split("/")[0]
        headers = dict(scope["headers"])
        ranged, put = headers.get(b"range", b"").decode(), headers.get(b"content-range", b"").decode()
        self.requests.append((scope["method"], scope["path"], ranged))

        async def counted(message: Any) -> None:
            await send(message)
            if put and message["type"] == "http.response.start" and message["status"] < 300:
                self.accepted.append(put)
            if message["type"] == "http.response.body":
                self.sent[place] = self.sent.get(place, 0) + len(message.get("body", b""))

        app = self.instead(scope["method"], scope["path"]) if self.instead else None
        await (app or self.app)(scope, receive, counted)

    def ranges(self, prefix: str = "/download") -> list[str]:
        return [ranged for _, path, ranged in self.requests if path.startswith(prefix)]

    def during(
        self, method: str, part: str, act: Callable[[], Awaitable[None]], *, number: int = 1, done: bool = False
    ) -> None:
        """``act`` happens while the ``number``-th such request is on its way, which is then answered as ever.

        The request comes after ``act``, or with ``done`` before it, and only its answer after.
        """
        left = itertools.count(1 - number)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            answer: list[Any] = []

            async def keep(message: Any) -> None:
                answer.append(message)

            if done:
                await self.app(scope, receive, keep)
            await act()
            if not done:
                await self.app(scope, receive, send)
            for message in answer:
                await send(message)

        def instead(used: str, path: str) -> Any:
            return app if used == method and part in path and next(left) == 0 else None

        self.instead = instead
