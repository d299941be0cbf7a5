"""What every page is served with: a strict content policy, and no form accepted from another site."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.problems import said_page
from console.settings import Settings

_BODY_OF_A_MAIL = re.compile(r"/mail/messages/[^/]+/body")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def content_policy(settings: Settings) -> str:
    """Nothing inline, nothing from elsewhere; forms lead to us and, by redirect, to Microsoft's pages."""
    elsewhere = {_origin(url) for url in (settings.pages_at, settings.simulator_url) if url}
    return (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
        f"media-src 'self'; frame-src 'self'; form-action 'self' {' '.join(sorted(elsewhere))}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def mail_policy(images: bool) -> str:
    """The policy of the frame that shows a mail: no script; pictures of ours, or the mail's where ``images`` is set.

    It keeps our origin, so that the page around it can fit it to its text; only a script could make use of that.
    """
    pictures = " https: http:" if images else ""
    return (
        f"default-src 'none'; img-src 'self' data:{pictures}; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
    )


class Protection:
    """ASGI middleware around everything that answers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_policy(settings),
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._protect(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, guarded)

    def _protect(self, headers: MutableHeaders, scope: Scope) -> None:
        path = scope["path"]
        for name, value in self._headers.items():
            headers[name] = value
        if _BODY_OF_A_MAIL.fullmatch(path):
            headers["Content-Security-Policy"] = mail_policy(b"images=shown" in scope["query_string"])
        headers["Referrer-Policy"] = _referrer_policy(path)
        cached = path.startswith("/static/")
        headers["Cache-Control"] = "public, max-age=300" if cached else "no-store"


class OwnForms:
    """ASGI middleware. A form must come from our own pages: browsers say so in ``Sec-Fetch-Site`` and ``Origin``."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._own_origin = _origin(settings.public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS or self._from_here(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        detail = "It came from another site, so nothing was done. Open the page here and send it from there."
        refusal = said_page(Request(scope), 403, "This form was not sent from the console", detail)
        await refusal(scope, receive, send)

    def _from_here(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site != "same-origin":
            return False
        return origin == self._own_origin if origin is not None else site == "same-origin"


def _referrer_policy(path: str) -> str:
    """Nothing is told of an address with a secret: a way back from Microsoft has a code in it, a mail's is nobody's."""
    secret = path.endswith("/callback") or _BODY_OF_A_MAIL.fullmatch(path)
    return "no-referrer" if secret else "same-origin"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
