"""The console on a loopback port, in front of public APIs that answer what a test says."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from console.main import create_service
from console.settings import Settings
from m365_simulator.teams.recording import film
from shared.testing.serving import NO_TLS, listening_socket


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Apis:
    """Every service's public API: ``answers`` by path or by "METHOD path", a body, (status, body) or what gives one."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.takes_s = 0.0

    @property
    def answers(self) -> dict[str, Any]:
        return self._answers

    @answers.setter
    def answers(self, given: dict[str, Any]) -> None:
        """A copy: a test that changes an answer must not change the state that the next test shows."""
        self._answers = dict(given)

    def sent(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        sent = await request.body()
        is_json = "json" in request.headers.get("content-type", "")
        body = await request.json() if sent and is_json else sent or None
        path = request.url.path
        self.calls.append(Call(request.method, path, dict(request.headers), body))
        await asyncio.sleep(self.takes_s)
        found = self.answers.get(f"{request.method} {path}", self.answers.get(path, (404, {"detail": "Not told."})))
        found = found() if callable(found) else found
        status, answer = found if isinstance(found, tuple) else (200, found)
        headers = {"ETag": '"7"', "X-Request-Id": "req-1"}
        made = answer if isinstance(answer, Response) else JSONResponse(answer, status, headers)
        await made(scope, receive, send)


@dataclass
class Site:
    """What a browser sees, with a gateway's part played here: it adds the token of ``person``."""

    url: str
    apis: Apis
    console: Any
    person: str | None = "acme-anna"
    requests: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    """Scripts of a test by path. A browser keeps these compiled, unlike one that a test passes with each page."""

    def client(self, **headers: str) -> httpx.Client:
        """A client that sends what a browser on our own pages sends; it does not follow redirects."""
        own = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        return httpx.Client(base_url=self.url, headers=own | headers, trust_env=False, timeout=10, verify=NO_TLS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        self.requests.append(path)
        if path.startswith("/apis/"):
            inner = "/" + path.split("/", 3)[3]
            await self.apis({**scope, "path": inner, "raw_path": inner.encode()}, receive, send)
        elif path.startswith("/v1/files/"):
            await Response(film(), media_type="video/mp4")(scope, receive, send)
        elif path in self.scripts:
            kept = {"Cache-Control": "max-age=3600"}
            await Response(self.scripts[path], media_type="text/javascript", headers=kept)(scope, receive, send)
        elif path.startswith("/v1/mail/"):
            await self.apis(scope, receive, send)
        elif path == "/dev/persona":
            self.person = str((await Request(scope, receive).form())["persona"])
            await RedirectResponse("/", 303)(scope, receive, send)
        else:
            given = [(b"authorization", f"Bearer {token_of(self.person)}".encode())] if self.person else []
            await self.console.app({**scope, "headers": [*scope["headers"], *given]}, receive, send)


def token_of(person: str) -> str:
    roles = ["org_admin", "user"] if person.endswith("admin") else ["user"]
    claims = {"sub": person, "org_id": person.split("-")[0], "roles": roles, "name": person}
    return jwt.encode(claims, "a key of the tests, as the console does not verify", algorithm="HS256")


async def serve(site: Site, server: uvicorn.Server, listener: socket.socket) -> None:
    await server.serve(sockets=[listener])
    await site.console.stop()


@contextmanager
def opened(**settings: Any) -> Iterator[Site]:
    listener = listening_socket()
    url = f"http://localhost:{listener.getsockname()[1]}"
    given = {"public_url": url, "internal_url": f"{url}/apis/{{service}}", "simulator_url": "http://localhost:8367"}
    site = Site(url, Apis(), create_service(Settings(**(given | settings))))
    config = uvicorn.Config(site, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(serve(site, server, listener)))
    thread.start()
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join()
