"""A stand-in for the company's API gateway: authenticates the browser, routes by path, never routes ``/internal``.

It answers names of this machine only: whoever reaches it is whoever a cookie says. Under any other name it takes
Microsoft's notifications and nothing else. docs/how-to/gateway.md says what a real gateway must do as well.

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

from dev.embedded.paths import is_plain
from dev.services import HEARING, ROUTES
from m365_simulator.hosts import REFUSED, is_known
from m365_simulator.tls import usual_trust
from shared.problems import problem_response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

COOKIE = "prospo_persona"
PERSONAS = {
    "acme-admin": "Acme · Org Admin",
    "acme-anna": "Acme · Anna",
    "acme-ben": "Acme · Ben",
    "globex-admin": "Globex · Org Admin",
    "globex-carl": "Globex · Carl",
}
_OWN_PAGES = {"same-origin", "none"}
"""``Sec-Fetch-Site`` of what our own pages or a person's own typing send."""
_TOKEN_LIFE_S = 600


class PersonaTokens:
    """Access tokens of the development issuer, kept ten minutes each."""

    def __init__(self, issuer_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=issuer_url, timeout=5, trust_env=False, verify=usual_trust())
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


def _refusal(scope: Scope, status: int, code: str, detail: str) -> Response:
    """A problem document, as the services' own refusals are."""
    return problem_response(Request(scope), status, code, detail)


class Personas:
    """Chooses by a cookie whose token a request gets, and checks from where people ask.

    As an app it answers a gateway that routes by itself: asked for ``/check`` and the path, 200 with what to add.
    """

    def __init__(self, tokens: PersonaTokens, hosts: str = "") -> None:
        self._tokens = tokens
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = {**scope, "path": scope["path"].removeprefix("/check")}
        answer = self.refused(asked)
        if answer is None and scope["path"] == "/dev/persona":
            answer = await choose_persona(Request(scope, receive))
        added = await self.added(scope["headers"]) if answer is None else []
        names = {name.decode(): value.decode() for name, value in added}
        await (answer or Response(headers=names))(scope, receive, send)

    def refused(self, scope: Scope) -> Response | None:
        """Under a foreign name nobody is anybody, and another page may not use the person's cookie."""
        if not is_known(scope["headers"], self._hosts):
            return PlainTextResponse(REFUSED, 421)
        if scope["path"].startswith("/v1/") and not _is_own_page(scope["headers"]) and persona_of(scope["headers"]):
            return _refusal(scope, 403, "another_page", "Another page may not call this with the person's cookie.")
        return None

    async def added(self, headers: Headers) -> Headers:
        """The person's token, and who it is; nothing for a request with a token of its own, or without a person."""
        persona = persona_of(headers)
        if persona is None:
            return []
        token = await self._tokens.token(persona)
        return [(b"authorization", f"Bearer {token}".encode()), (b"x-prospo-persona", persona.encode())]


class Gateway:
    """Routes a request to one of the hosted services' apps, in process, streaming both ways."""

    def __init__(self, apps: dict[str, App], tokens: PersonaTokens, hosts: str = "") -> None:
        self._apps = apps
        self._personas = Personas(tokens, hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self._refused(scope)
        if refused is None and scope["path"] == "/dev/persona":
            refused = await choose_persona(Request(scope, receive))
        app, inner = self._route(scope["path"])
        if refused is not None or app is None:
            await (refused or _refusal(scope, 404, "not_routed", "Nothing is routed here. Check the address."))(
                scope, receive, send
            )
            return
        await app(await self._inner_scope(scope, inner), receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        if not is_plain(scope["raw_path"]):
            return _refusal(
                scope, 400, "path_refused", "A path has no dot segments, encoded slashes or control characters."
            )
        notified = scope["method"] == "POST" and self._is_webhook(scope["path"])
        return None if notified else self._personas.refused(scope)

    def _is_webhook(self, path: str) -> bool:
        service, _, rest = path.removeprefix("/").partition("/")
        return service in HEARING and service in self._apps and rest == "webhooks/graph"

    def _route(self, path: str) -> tuple[App | None, str]:
        for prefix, service in ROUTES.items():
            if path == prefix or path.startswith(prefix + "/"):
                return self._apps.get(service), path
        if self._is_webhook(path):
            return self._apps[path.split("/")[1]], "/webhooks/graph"
        if path.startswith(("/internal", "/v1/")):
            return None, path
        return self._apps.get("console"), path

    async def _inner_scope(self, scope: Scope, path: str) -> Scope:
        headers = [(name, value) for name, value in scope["headers"] if name != b"x-prospo-persona"]
        if not path.startswith("/webhooks/"):
            headers += await self._personas.added(headers)
        raw = scope["raw_path"] if path == scope["path"] else path.encode()
        return {**scope, "path": path, "raw_path": raw, "headers": headers}


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


def _is_own_page(headers: Headers) -> bool:
    return all(value.decode("latin-1") in _OWN_PAGES for name, value in headers if name == b"sec-fetch-site")


def persona_of(headers: Headers) -> str | None:
    """The person whose token the request gets: the cookie's, unless the request has a token of its own."""
    if any(name == b"authorization" for name, _ in headers):
        return None
    for name, value in headers:
        if name == b"cookie":
            morsel = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            if morsel and morsel.value in PERSONAS:
                return morsel.value
    return None


async def choose_persona(request: Request) -> Response:
    if request.method != "POST" or request.headers.get("sec-fetch-site", "same-origin") not in _OWN_PAGES:
        return PlainTextResponse("Choose a person with the form on the page.", 405)
    form = parse_qs((await request.body()).decode())
    persona = form.get("persona", [""])[0]
    if persona not in PERSONAS:
        return PlainTextResponse(f"Unknown person. Known: {', '.join(PERSONAS)}.", 400)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, persona, httponly=True, samesite="lax")
    return response
