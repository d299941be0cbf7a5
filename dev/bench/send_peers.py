"""How others send a mail through Graph, in a few lines each: what they retry, and what they then tell the sender."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

TRIES = 10
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Policy:
    """``path`` is what it sends by; ``send`` tells ``sent`` or ``failed``."""

    path: str
    send: Callable[[httpx.AsyncClient, Json], Awaitable[str]]


def message(subject: str, to: str) -> Json:
    people = [{"emailAddress": {"address": to}}]
    return {"subject": subject, "body": {"contentType": "text", "content": "Text."}, "toRecipients": people}


async def _status(http: httpx.AsyncClient, path: str, body: Any = None) -> tuple[int, Json]:
    """0 is no answer."""
    try:
        answer = await http.post(path, json=body)
    except httpx.TransportError:
        return 0, {}
    return answer.status_code, answer.json() if answer.content else {}


async def retried(http: httpx.AsyncClient, body: Json) -> str:
    """EmailEngine's queue: ``sendMail``, again whenever that is not accepted, but for a 4xx."""
    for _ in range(TRIES):
        status, _ = await _status(http, "/me/sendMail", {"message": body})
        if status == httpx.codes.ACCEPTED:
            return "sent"
        if 400 <= status < 500:
            break
    return "failed"


async def drafted(http: httpx.AsyncClient, body: Json) -> str:
    """inbox-zero: a draft that is then sent; only a 429 is tried again, everything else is told as failed."""
    for ending in ("", "/{id}/send"):
        for _ in range(TRIES):
            path = "/me/messages" + ending.format(id=body.get("id", ""))
            status, said = await _status(http, path, None if ending else body)
            if status != httpx.codes.TOO_MANY_REQUESTS:
                break
        if status not in {httpx.codes.CREATED, httpx.codes.ACCEPTED}:
            return "failed"
        body = said or body
    return "sent"


async def careful(http: httpx.AsyncClient, body: Json) -> str:
    """visulima: ``sendMail``, again after 408, 429 and 503; never after 500, 502, 504 or no answer."""
    for _ in range(TRIES):
        status, _ = await _status(http, "/me/sendMail", {"message": body})
        if status not in {408, 429, 503}:
            break
    return "sent" if status == httpx.codes.ACCEPTED else "failed"


POLICIES = {
    "EmailEngine's queue policy": Policy("/me/sendMail", retried),
    "inbox-zero's policy": Policy("*/send", drafted),
    "visulima's policy": Policy("/me/sendMail", careful),
}
