"""A stand-in for the company's API gateway: authenticates the browser, routes by path, never routes ``/internal``.

A request with its own ``Authorization`` is passed on as it is. A browser has a persona cookie instead; the gateway then
fetches that person's token from the development issuer, as a company's gateway does from its session.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "prospo_persona"
PERSONAS = {
    "acme-admin": "Acme · Org Admin",
    "acme-anna": "Acme · Anna",
    "acme-ben": "Acme · Ben",
    "globex-admin": "Globex · Org Admin",
    "globex-carl": "Globex · Carl",
}
ROUTES = {
    "/v1/tenant": "tenant-connector",
    "/v1/connection": "user-auth",
    "/v1/meetings": "meetings",
    "/v1/contacts": "contacts",
    "/v1/mail": "mail",
    "/v1/files": "storage",
    "/v1/uploads": "storage",
    "/v1/transcripts": "recording-ingest",
    "/v1/ledger": "recording-ingest",
}
_TOKEN_LIFE_S = 600


class PersonaTokens:
    """Access tokens of the development issuer, kept ten minutes each."""

    def __init__(self, issuer_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=issuer_url, timeout=5, trust_env=False)
        self._kept: dict[str, tuple[float, str]] = {}

    async def token(self, persona: str) -> str:
        until, token = self._kept.get(persona, (0.0, ""))
        if until < time.monotonic():
            answer = await self._http.post("/token", json={"persona": persona})
            token = str(answer.raise_for_status().json()["access_token"])
            self._kept[persona] = (time.monotonic() + _TOKEN_LIFE_S, token)
        return token

    async def aclose(self) -> None:
        await self._http.aclose()


class Gateway:
    """Routes a request to one of the hosted services' apps, in process, streaming both ways."""

    def __init__(self, apps: dict[str, App], tokens: PersonaTokens) -> None:
        self._apps = apps
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == "/dev/persona":
            response = await _choose_persona(Request(scope, receive))
            await response(scope, receive, send)
            return
        app, inner = self._route(path)
        if app is None:
            await PlainTextResponse("Nothing is routed here.", 404)(scope, receive, send)
            return
        await app(await self._inner_scope(scope, inner), receive, send)

    def _route(self, path: str) -> tuple[App | None, str]:
        for prefix, service in ROUTES.items():
            if path == prefix or path.startswith(prefix + "/"):
                return self._apps.get(service), path
        service, _, rest = path.removeprefix("/").partition("/")
        if service in self._apps and rest == "webhooks/graph":
            return self._apps[service], "/webhooks/graph"
        if path.startswith(("/internal", "/v1/")):
            return None, path
        return self._apps.get("console"), path

    async def _inner_scope(self, scope: Scope, path: str) -> Scope:
        headers = [(name, value) for name, value in scope["headers"] if name != b"x-prospo-persona"]
        if not any(name == b"authorization" for name, _ in headers):
            persona = _persona_of(headers)
            if persona and not path.startswith("/webhooks/"):
                headers.append((b"authorization", f"Bearer {await self._tokens.token(persona)}".encode()))
                headers.append((b"x-prospo-persona", persona.encode()))
        return {**scope, "path": path, "raw_path": path.encode(), "headers": headers}


class InternalDispatcher:
    """``/<service>/…`` to the service's app: what cluster DNS does in Kubernetes."""

    def __init__(self, apps: dict[str, App]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        service, _, rest = scope["path"].removeprefix("/").partition("/")
        app = self._apps.get(service)
        if app is None:
            await PlainTextResponse("No such service.", 404)(scope, receive, send)
            return
        await app({**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}, receive, send)


def _persona_of(headers: list[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"cookie":
            morsel = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            if morsel and morsel.value in PERSONAS:
                return morsel.value
    return None


async def _choose_persona(request: Request) -> Response:
    if request.method != "POST" or request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return PlainTextResponse("Choose a person with the form on the page.", 405)
    form = parse_qs((await request.body()).decode())
    persona = form.get("persona", [""])[0]
    if persona not in PERSONAS:
        return PlainTextResponse(f"Unknown person. Known: {', '.join(PERSONAS)}.", 400)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, persona, httponly=True, samesite="lax")
    return response
