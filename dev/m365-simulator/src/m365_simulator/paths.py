"""One spelling for Graph's paths: keys in parentheses become segments, and known words get their usual case."""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]
_KEY = re.compile(r"^(?P<name>[\w$.]+)\('(?P<key>[^']*)'\)$")
VERSIONS = {"v1.0": "v1.0", "v1": "v1.0", "beta": "beta"}
"""A page of Microsoft's writes /v1/. The beta has only what v1.0 does not have (``notifying.subscriptions``)."""

PEER = re.compile(r"^/peer/v2\.0/(?=drives/)")
"""Drives a second time, where rclone looks for them below a ``tenant_url`` that ends in ``/peer``."""


class OnePath:
    """``/v1.0/users('a')/Messages`` arrives as ``/v1.0/users/a/messages``, ``delta()`` as ``delta``.

    Ids keep their case. ``/peer/v2.0/drives`` arrives as ``/v1.0/drives``.
    """

    def __init__(self, app: Asgi, words: Iterable[str]) -> None:
        self._app = app
        self._words = {word.lower(): word for word in words}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            head, _, rest = PEER.sub("/v1.0/", scope["path"]).lstrip("/").partition("/")
            if head.lower() in VERSIONS and rest:
                scope = {**scope, "path": f"/{VERSIONS[head.lower()]}/{self._spelled(rest)}"}
        await self._app(scope, receive, send)

    def _spelled(self, rest: str) -> str:
        parts: list[str] = []
        named = False
        for part in rest.split("/"):
            if part.endswith(":") or named:  # root:/A folder/a file:/content: names are nobody's words
                named = not named if part.endswith(":") else named
                parts.append(part)
                continue
            found = _KEY.match(part)
            parts += (
                [self._words.get(found["name"].lower(), found["name"]), found["key"]] if found else [self._word(part)]
            )
        return "/".join(parts)

    def _word(self, part: str) -> str:
        name, paren, given = part.removesuffix("()").partition("(")
        return self._words.get(name.lower(), name) + paren + given


def words_of(paths: Iterable[str]) -> set[str]:
    """The literal segments of route paths; function names stop at their parenthesis."""
    segments = {segment.partition("(")[0] for path in paths for segment in path.split("/")}
    return {segment for segment in segments if segment and "{" not in segment}
