"""What every page is served with: a strict content policy, and no form accepted from another site."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

Message = MutableMapping[str, Any]


class Protection:
    """ASGI middleware. A POST must come from our own pages: browsers say so in ``Sec-Fetch-Site`` and ``Origin``."""

    def __init__(self, app: Any, public_url: str, form_targets: str | None = None) -> None:
        self._app = app
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        targets = " ".join(["'self'", "https://login.microsoftonline.com", *([form_targets] if form_targets else [])])
        self._policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; media-src 'self'; "
            f"form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
        )

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST" and not self._from_here(Headers(scope=scope)):
            refusal = PlainTextResponse("This form was not sent from the console. Open the page and try again.", 403)
            await refusal(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, guarded)

    def _from_here(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site != "same-origin":
            return False
        return origin == self._origin if origin is not None else site == "same-origin"
